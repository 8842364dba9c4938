"""Time steps for images of unknown degradation."""

import re

import pytest
import torch
from blind_cases import STEPS, build, images
from torch import Tensor, nn

from dtir_mm.apis import restore_pixels
from dtir_mm.models.restorers.blind_inference import Prediction, classified_parts
from dtir_mm.models.restorers.task_timesteps import TaskTimesteps


def answer_by_brightness(restorer: nn.Module) -> None:
    """Images of brightness -0.75, -0.25, 0.25 and 0.75 are hazy, noisy, rainy and clean."""
    centres = torch.tensor([-0.75, -0.25, 0.25, 0.75])
    restorer.classifier.forward = lambda x: -(x.mean((1, 2, 3))[:, None] - centres).abs()


def of_brightness(*values: float) -> Tensor:
    return images(len(values)) * 0.2 + torch.tensor(values).reshape(-1, 1, 1, 1).double()


def make_batch(degraded: Tensor, tasks: list[str]) -> dict:
    names = {name: ['x'] * len(tasks) for name in ('domain', 'path')}
    return {'degraded': degraded, 'clean': degraded, 'task': tasks, **names}


# --- by a classifier --------------------------------------------------------------------------


def test_the_predicted_task_selects_the_time_step():
    restorer = build(inference='predict')
    answer_by_brightness(restorer)
    degraded = of_brightness(0.25, -0.75, 0.75, -0.25, -0.7)
    assert restorer.find_steps(degraded).tolist() == [8, 47, 0, 4, 47]
    batch = make_batch(degraded, ['noisy'] * 5)  # the given task is ignored
    assert [sample['t'] for sample in restorer.predict(batch)] == [8, 47, 0, 4, 47]
    restorer.set_inference('task')
    assert [sample['t'] for sample in restorer.predict(batch)] == [4] * 5


def test_the_classifier_sees_images_in_minus_one_to_one():
    restorer = build(inference='predict', image_range=(0, 1))
    answer_by_brightness(restorer)
    unit = (of_brightness(0.25, -0.75, 0.75, -0.25) + 1) / 2
    assert restorer.find_steps(unit).tolist() == [8, 47, 0, 4]


def test_clean_images_are_returned_and_others_restored():
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

    samples = restorer.predict(make_batch(degraded, ['x'] * 4))
    assert [sample['t'] for sample in samples] == t.tolist()
    for i, sample in enumerate(samples):
        assert (sample['restored'] == sample['degraded']).all() == (i in (1, 3))


def test_clean_images_are_returned_bit_exactly():
    restorer = build(inference='predict').float()
    restorer.classifier.forward = lambda x: torch.eye(4)[[3]]
    every = torch.arange(256, dtype=torch.uint8).reshape(16, 16, 1).repeat(1, 1, 3).numpy()
    assert (restore_pixels(restorer, every, None) == every).all()
    restorer.classifier.forward = lambda x: torch.eye(4)[[2]]
    assert (restore_pixels(restorer, every, None) == restore_pixels(restorer, every, 8)).all()
    assert (restore_pixels(restorer, every, None) != every).any()


def test_clean_is_always_at_step_zero():
    for spec in ('paper', 'fixed:8', STEPS):
        assert TaskTimesteps(spec, 50)['clean'] == 0
    assert 'clean' not in TaskTimesteps('paper', 50).by_task
    samples = build().predict(make_batch(images(2), ['clean', 'hazy']))
    assert [sample['t'] for sample in samples] == [0, 47]


# --- how sure the classifier is ---------------------------------------------------------------


def predict(confidence: float, steps: dict, *probabilities: list[float]) -> list[Prediction]:
    """Predictions for images whose hazy, noisy, rainy and clean have these probabilities."""
    restorer = build(inference='predict', timesteps=steps)
    restorer.classifier.confidence = confidence
    logits = torch.tensor(probabilities).log() + 3
    restorer.classifier.forward = lambda x: logits
    degraded = images(len(probabilities))
    return restorer.find_predictions(lambda a, b, c, d: degraded[..., a:b, c:d], (8, 8))


def rounded(predictions: list[Prediction]) -> list[tuple]:
    return [(p.task, round(p.probability, 5), p.t) for p in predictions]


CASES = (
    [0.1, 0.1, 0.75, 0.05],
    [0.85, 0.05, 0.05, 0.05],
    [0.1, 0.1, 0.1, 0.7],
    [0.01, 0.01, 0.08, 0.9],
    [0.1, 0.1, 0.55, 0.25],
)


def test_doubtful_degradations_are_restored_at_the_blind_step_and_what_may_be_clean_never():
    found = predict(0.8, STEPS | dict(blind=1), *CASES)
    assert rounded(found) == [
        ('unsure', 0.75, 1), ('hazy', 0.85, 47), ('clean', 0.7, 0), ('clean', 0.9, 0),
        ('unsure', 0.55, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(('confidence', 'steps'), [(0.8, STEPS), (0.0, STEPS | dict(blind=1))])
def test_without_a_blind_step_or_a_threshold_the_most_probable_class_decides(confidence, steps):
    assert rounded(predict(confidence, steps, *CASES)) == [
        ('rainy', 0.75, 8), ('hazy', 0.85, 47), ('clean', 0.7, 0), ('clean', 0.9, 0),
        ('rainy', 0.55, 8),
    ]  # fmt: skip


def test_other_inferences_predict_a_step_only():
    restorer = build(inference=31)
    degraded = images(2)
    asked = []

    def part(*box: int) -> Tensor:
        asked.append(box)
        return degraded[..., box[0] : box[1], box[2] : box[3]]

    assert restorer.find_predictions(part, (8, 8)) == [Prediction(None, None, 31)] * 2
    assert asked == [(0, 1, 0, 1)]
    restorer.set_inference('try_all')
    one, other = restorer.find_predictions(part, (8, 8))
    assert one.task is None and other.probability is None and {one.t, other.t} <= {4, 8, 47}


# --- large images -----------------------------------------------------------------------------


@pytest.mark.parametrize('size', [(1, 1), (1152, 1152), (40, 5000), (768, 1024)])
def test_small_images_are_classified_whole(size):
    assert classified_parts(*size) == [(0, size[0], 0, size[1])]


@pytest.mark.parametrize(
    ('size', 'rows', 'columns'),
    [((4320, 7680), 4, 4), ((1153, 1152), 4, 4), ((300, 20_000), 2, 4), ((70, 40_000), 1, 4)],
)
def test_large_images_are_classified_by_a_grid_of_parts(size, rows, columns):
    parts = classified_parts(*size)
    assert len(set(parts)) == len(parts) == rows * columns
    side = min(288, size[0])
    assert {(bottom - top, right - left) for top, bottom, left, right in parts} == {(side, 288)}
    first, last = parts[0], parts[-1]
    assert (first[0], first[2]) == (0, 0) and (last[1], last[3]) == size
    gaps = {b[2] - a[2] for a, b in zip(parts[: columns - 1], parts[1:columns], strict=True)}
    assert max(gaps) - min(gaps) <= 1


def test_a_large_image_is_read_part_by_part():
    restorer = build(inference='predict')
    seen, asked = [], []
    restorer.classifier.classify_parts = lambda parts: seen.extend(parts) or torch.eye(4)[[2]]

    def part(*box: int) -> Tensor:
        asked.append(box)
        return torch.full((1, 3, box[1] - box[0], box[3] - box[2]), box[0] / 4320).double()

    (found,) = restorer.find_predictions(part, (4320, 7680))
    assert (found.task, found.t) == ('rainy', 8) and asked == classified_parts(4320, 7680)
    assert [float(x.mean()) * 4320 for x in seen] == pytest.approx([box[0] for box in asked])


# --- by a number, and what is refused ---------------------------------------------------------


def test_a_time_step_can_be_set_for_all():
    restorer = build(inference=31, classifier=None)
    assert restorer.find_steps(images(3)).tolist() == [31] * 3
    samples = restorer.predict(make_batch(images(2), ['hazy'] * 2))
    assert [sample['t'] for sample in samples] == [31] * 2
    restorer.set_inference(0)
    assert restorer.find_steps(images(1)).tolist() == [0]


def test_non_blind_inference_needs_the_task():
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
def test_invalid_inference_modes_are_rejected(inference, message):
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
