"""How a time step is found for an image whose degradation nobody tells."""

import itertools
import math
import re

import pytest
import torch
from torch import Tensor, nn

from dtir_mm.apis import restore
from dtir_mm.models.restorers import generative_consistency
from dtir_mm.models.restorers.degradation_classifier import DegradationClassifier
from dtir_mm.models.restorers.generative_consistency import generative_inconsistency
from dtir_mm.models.restorers.task_timesteps import TaskTimesteps
from dtir_mm.registry import MODELS

TINY = dict(
    type='DtirUNet', width=4, channel_multipliers=(1, 2), blocks_per_level=(1,), middle_blocks=1,
    attention=False, num_groups=2,
)  # fmt: skip
TASKS = ['hazy', 'noisy', 'rainy']
STEPS = dict(hazy=47, noisy=4, rainy=8)
CLASSIFIER = dict(type='DegradationClassifier', tasks=TASKS, width=4)


def build(**arguments) -> nn.Module:
    """A restorer in float64 whose weights are all random."""
    few = dict(num_experts=3, param_budget=3000, prompt_dim=8)
    backbone = dict(type='ConditionedBackbone', backbone=TINY, embedding_dim=8, adapters=few)
    settings = {'classifier': CLASSIFIER, 'timesteps': STEPS, **arguments}
    restorer = MODELS.build(dict(type='UnifiedRestorer', backbone=backbone, **settings))
    restorer.set_precision('fp64')
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.2)
    return restorer.eval()


def images(batch: int, height: int = 8, width: int = 8) -> Tensor:
    return torch.rand(batch, 3, height, width, dtype=torch.float64) * 2 - 1


def answer_by_brightness(restorer: nn.Module) -> None:
    """Images of brightness -0.75, -0.25, 0.25 and 0.75 are hazy, noisy, rainy and clean."""
    centres = torch.tensor([-0.75, -0.25, 0.25, 0.75])
    restorer.classifier.forward = lambda x: -(x.mean((1, 2, 3))[:, None] - centres).abs()


def of_brightness(*values: float) -> Tensor:
    return images(len(values)) * 0.2 + torch.tensor(values).reshape(-1, 1, 1, 1).double()


# --- by a classifier --------------------------------------------------------------------------


def test_the_classifiers_answer_is_the_time_step_of_that_task():
    restorer = build(inference='predict')
    answer_by_brightness(restorer)
    degraded = of_brightness(0.25, -0.75, 0.75, -0.25, -0.7)
    assert restorer.find_steps(degraded) == [8, 47, 0, 4, 47]
    batch = {'degraded': degraded, 'task': ['noisy'] * 5}  # what is told is not looked at
    assert restorer.steps_to_restore_at(batch) == [8, 47, 0, 4, 47]
    restorer.set_inference('task')
    assert restorer.steps_to_restore_at(batch) == [4] * 5


def test_a_clean_image_comes_back_and_those_beside_it_are_restored():
    restorer = build(inference='predict')
    answer_by_brightness(restorer)
    degraded = of_brightness(0.25, 0.75, -0.75, 0.8)
    t = torch.tensor([8, 0, 47, 0])
    restored = restorer.restore_images(degraded, t)
    unit = ((degraded + 1) / 2).clamp(0, 1)
    for i in (1, 3):
        assert torch.equal(restored[i], unit[i])
    for i in (0, 2):
        with torch.no_grad():
            alone = restorer(degraded[i : i + 1], t[i : i + 1])[0]
        torch.testing.assert_close(restored[i], ((alone + 1) / 2).clamp(0, 1))
        assert float((restored[i] - unit[i]).abs().max()) > 0.01
    torch.testing.assert_close(restorer.restore_images(degraded[1:2], t[1:2]), unit[1:2])

    names = {n: ['x'] * 4 for n in ('task', 'domain', 'path')}
    samples = restorer.predict({'degraded': degraded, 'clean': degraded, **names})
    assert [sample['t'] for sample in samples] == t.tolist()
    for i, sample in enumerate(samples):
        assert (sample['restored'] == sample['degraded']).all() == (i in (1, 3))


def test_a_clean_photograph_comes_back_to_the_bit():
    restorer = build(inference='predict').float()
    restorer.classifier.forward = lambda x: torch.eye(4)[[3]]
    every = torch.arange(256, dtype=torch.uint8).reshape(16, 16, 1).repeat(1, 1, 3).numpy()
    assert (restore(restorer, every, None) == every).all()
    restorer.classifier.forward = lambda x: torch.eye(4)[[2]]
    assert (restore(restorer, every, None) == restore(restorer, every, 8)).all()
    assert (restore(restorer, every, None) != every).any()


def test_clean_stands_at_step_zero_whatever_the_others_stand_at():
    for spec in ('paper', 'fixed:8', STEPS):
        assert TaskTimesteps(spec, 50)['clean'] == 0
    assert 'clean' not in TaskTimesteps('paper', 50).by_task
    assert build().steps_to_restore_at({'task': ['clean', 'hazy']}) == [0, 47]


def test_the_classifiers_answer_depends_neither_on_other_images_nor_on_the_size():
    classifier = DegradationClassifier(TASKS, width=4).double()
    x = images(3, 16, 24)
    together = classifier(x)
    for i in range(3):
        torch.testing.assert_close(classifier(x[i : i + 1])[0], together[i])
    constant = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64).reshape(1, 3, 1, 1)
    answers = [classifier(constant.expand(1, 3, side, side)) for side in (256, 512, 1024)]
    changes = [(b - a).detach().abs().max() for a, b in itertools.pairwise(answers)]
    # Twice the size has half the borders, in a standard deviation their root.
    assert changes[1] < 0.75 * changes[0] < 0.1


def test_the_classifiers_losses_against_a_loop():
    classifier = DegradationClassifier(TASKS, width=4).double()
    assert classifier.classes == ('hazy', 'noisy', 'rainy', 'clean')
    degraded, clean, tasks = (
        images(4, 16, 16),
        images(4, 16, 16),
        ['rainy', 'hazy', 'rainy', 'noisy'],
    )
    losses = classifier.losses(degraded, clean, tasks)
    for i, place in enumerate((2, 0, 2, 1)):
        dirty, pure = (classifier(x[i : i + 1])[0].softmax(0) for x in (degraded, clean))
        expected = -math.log(dirty[place]) - math.log(pure[3]) / 3
        assert losses[i].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize('tasks', [['hazy', 'hazy'], ['hazy', 'clean']])
def test_answers_that_are_not_different_are_refused(tasks):
    with pytest.raises(ValueError, match=re.escape(f'tasks={tasks} of DegradationClassifier must')):
        DegradationClassifier(tasks)


def test_the_smallest_image_is_found_out_like_a_large_one_of_its_colour():
    classifier = DegradationClassifier(TASKS, width=8).double().eval()
    pixel = images(1, 1, 1)
    assert torch.isfinite(classifier(pixel)).all()
    with torch.no_grad():
        for parameter in classifier.layers.parameters():
            parameter.zero_()
    large = pixel.expand(1, 3, 64, 48)
    torch.testing.assert_close(classifier(pixel), classifier(large))


def test_a_width_that_does_not_split_into_groups_is_refused():
    with pytest.raises(ValueError, match='width=6 of DegradationClassifier .* multiple of 4'):
        DegradationClassifier(TASKS, width=6)


# --- by trying all ----------------------------------------------------------------------------


def inconsistency_by_loop(restorer: nn.Module, image: Tensor, multiple: int) -> float:
    """One image and step at a time, with the schedule written out."""
    alpha_bar = torch.cumprod(1 - torch.linspace(0.002, 0.4, 50, dtype=torch.float64), 0)
    height, width = (side // multiple * multiple for side in image.shape[1:])
    image = image[:, :height, :width]
    rng, errors = torch.Generator().manual_seed(0), []
    for t in (3, 6):
        noise = torch.randn(3, height, width, generator=rng).double()
        noisy = alpha_bar[t - 1].sqrt() * image + (1 - alpha_bar[t - 1]).sqrt() * noise
        predicted = restorer.backbone(noisy[None], torch.tensor([t]), adapted=False)[0]
        errors.append(float(((predicted - noise) ** 2).detach().mean()))
    return sum(errors) / 2


@pytest.mark.parametrize(('height', 'width'), [(8, 12), (7, 9)])
def test_inconsistency_is_the_error_of_the_noise_prediction_at_low_noise(height, width):
    restorer = build()
    x = images(3, height, width)
    scores = generative_inconsistency(restorer, x)
    assert restorer.backbone.size_rule.multiple == 2
    expected = [inconsistency_by_loop(restorer, image, 2) for image in x]
    assert scores.tolist() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(generative_inconsistency(restorer, x), scores)  # under the same noise


def test_trying_all_takes_the_step_of_the_least_inconsistent_restoration(monkeypatch):
    restorer, degraded = build(inference='try_all'), images(6)
    found = restorer.find_steps(degraded)
    for i, step in enumerate(found):
        scores = {}
        for t in (4, 8, 47):
            restored = restorer.restore_images(degraded[i : i + 1], torch.tensor([t]))
            scores[t] = inconsistency_by_loop(restorer, restored[0] * 2 - 1, 2)
        assert step == min(scores, key=scores.get)
    # and with scores that are known: the second call is that of t = 8
    table = iter([[3.0, 1.0, 2.0], [2.0, 5.0, 1.0], [1.0, 4.0, 3.0]])
    monkeypatch.setattr(
        generative_consistency, 'generative_inconsistency', lambda *_: torch.tensor(next(table))
    )
    assert restorer.find_steps(degraded[:3]) == [47, 4, 8]


def test_trying_all_where_all_tasks_share_a_step_has_one_to_try():
    assert build(inference='try_all', timesteps='fixed:8').find_steps(images(3)) == [8] * 3


def test_a_restoration_that_is_right_wins_under_a_generator_that_knows_clean_images():
    """Clean images are constant here, so that noise is what differs from the mean."""
    restorer = build(inference='try_all')
    shifts = {4: 0.0, 8: -0.5, 47: 0.5}  # what each step restores leaves another ripple

    def nuisance(u: Tensor, t: Tensor, adapted: bool = True) -> Tensor:
        if not adapted:
            return (u - u.mean((2, 3), keepdim=True)) / restorer.schedule.sigma(t)[0]
        ripple = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(4)
        part = torch.tensor([0.2 + shifts[int(step)] for step in t])[:, None, None, None]
        return part * ripple / restorer.scale_of(t)[:, None, None, None]

    restorer.nuisance = nuisance
    ripple = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(4).expand(3, 3, 8, 8)
    sizes = torch.tensor([0.2, -0.3, 0.7])[:, None, None, None]
    assert restorer.find_steps(0.1 + sizes * ripple) == [4, 8, 47]


# --- by a number, and what is refused ---------------------------------------------------------


def test_a_time_step_can_be_set_for_all():
    restorer = build(inference=31, classifier=None)
    assert restorer.find_steps(images(3)) == [31] * 3
    assert restorer.steps_to_restore_at({'degraded': images(2), 'task': ['hazy'] * 2}) == [31] * 2
    restorer.set_inference(0)
    assert restorer.find_steps(images(1)) == [0]


def test_the_task_must_be_told_where_it_is_not_found_out():
    with pytest.raises(ValueError, match='inference="task" needs the task; set "predict"'):
        build().find_steps(images(1))


@pytest.mark.parametrize(
    ('inference', 'message'),
    [
        ('guess', "inference='guess' must be one of task, predict, try_all, or a time step"),
        ('8', "inference='8' must be one of task, predict, try_all, or a time step"),
        (True, 'inference=True must be one of task, predict, try_all, or a time step'),
        (51, 'inference=51 must lie in 0..50'),
        (-1, 'inference=-1 must lie in 0..50'),
    ],
)
def test_another_inference_is_refused_when_built_and_when_changed(inference, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build(inference=inference)
    restorer = build(inference='predict')
    with pytest.raises(ValueError, match=re.escape(message)):
        restorer.set_inference(inference)
    assert restorer.inference == 'predict'


def test_predicting_needs_a_classifier():
    for kind in ('build', 'change'):
        with pytest.raises(ValueError, match=r'inference="predict" needs model\.classifier'):
            if kind == 'build':
                build(inference='predict', classifier=None)
            build(classifier=None).set_inference('predict')
