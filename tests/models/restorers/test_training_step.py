"""One update of pre-training and fine-tuning, against losses written out sample by sample."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from restorer_cases import (
    BOTH,
    RELEASED,
    build,
    compute,
    content_loss,
    draw,
    gradient_of,
    make_data,
    noise_loss,
    step_of,
)
from torch import nn

from dtir_mm.models.objectives.objective import Losses
from dtir_mm.models.objectives.reconstruction import Reconstruction
from dtir_mm.models.restorers import update
from dtir_mm.registry import MODELS


def test_gradient_of_pretraining(toy_backbone):
    restorer = build(toy_backbone, step_of('pretraining'))
    data = make_data([2, 0, 3, 1, 5, 4])
    gradient, losses = compute(restorer, data)
    expected = torch.stack([noise_loss(restorer, data, i) for i in range(6)])
    torch.testing.assert_close(losses['noise'], expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, gradient_of(expected.mean(), restorer))


@pytest.mark.parametrize(('ratio', 'generative'), [(0.3, 2), (0.5, 4), (0.0, 0)])
def test_gradient_of_finetuning(toy_backbone, ratio, generative):
    """The first slots of the global batch are generative, in any order."""
    restorer = build(toy_backbone, step_of('finetuning', ratio=ratio))
    slots = [5, 0, 7, 3, 1, 6, 2, 4]
    data = make_data(slots)
    gradient, losses = compute(restorer, data)
    noise = [noise_loss(restorer, data, i) for i in range(8) if slots[i] < generative]
    content = [content_loss(restorer, data, i) for i in range(8) if slots[i] >= generative]
    logged = losses['noise'].tolist() if noise else []
    assert logged == pytest.approx([loss.item() for loss in noise], rel=1e-12)
    assert losses['content'].tolist() == pytest.approx([loss.item() for loss in content], rel=1e-12)
    loss = (8 - generative) / 8 * torch.stack(content).mean()
    if noise:
        loss = loss + generative / 8 * torch.stack(noise).mean()
    torch.testing.assert_close(gradient, gradient_of(loss, restorer))


@BOTH
def test_gradients_of_two_processes_sum_to_that_of_one(toy_backbone, stage, monkeypatch):
    more = dict(ratio=0.3) if stage == 'finetuning' else {}
    restorer = build(toy_backbone, step_of(stage, **more))
    whole, losses = compute(restorer, make_data(range(8)))
    monkeypatch.setattr(update, 'get_world_size', lambda: 2)
    first, losses_first = compute(restorer, make_data(range(4)))
    second, losses_second = compute(restorer, make_data(range(4, 8)))
    torch.testing.assert_close(first + second, whole)
    if stage == 'finetuning':
        assert (len(losses_first['noise']), len(losses_second['noise'])) == (2, 0)
        del losses['gradient_cosine']  # of the processes' sum, which this test takes apart
    for name, values in losses.items():
        together = torch.cat([losses_first[name], losses_second[name]])
        torch.testing.assert_close(together, values)


@pytest.mark.parametrize(
    ('name', 'objective', 'recipe'),
    [('noise', 'NoisePrediction', {}), ('denoising', 'Denoising', RELEASED)],
)
def test_generative_losses_are_logged_by_time_step(toy_backbone, name, objective, recipe):
    restorer = build(toy_backbone, dict(objective=dict(type=objective)), **recipe)
    data = make_data(range(60), side=2)
    losses = compute(restorer, data)[1]
    bins = {f'{name}_t{low:02d}-{low + 9:02d}': low for low in (1, 11, 21, 31, 41)}
    assert set(losses) == {name, *bins}
    steps = [draw(key, (3, 2, 2))[0] for key in data['key'].tolist()]
    for bin_name, low in bins.items():
        inside = [low <= t <= low + 9 for t in steps]
        assert any(inside) and torch.equal(losses[bin_name], losses[name][inside])


def test_one_update_descends_and_returns_means(toy_backbone):
    restorer = build(toy_backbone, step_of('finetuning', ratio=0.5))
    data = make_data(range(4))
    noise = torch.stack([noise_loss(restorer, data, i) for i in (0, 1)])
    content = torch.stack([content_loss(restorer, data, i) for i in (2, 3)])
    gradient = gradient_of((noise.sum() + content.sum()) / 4, restorer)
    before = nn.utils.parameters_to_vector(restorer.parameters()).detach()
    wrapper = OptimWrapper(torch.optim.SGD(restorer.parameters(), lr=0.1))
    means = restorer.train_step(data, wrapper)
    after = nn.utils.parameters_to_vector(restorer.parameters()).detach()
    torch.testing.assert_close(after, before - 0.1 * gradient)
    assert set(means) == {'noise', 'content', 'content_of_input', 'gradient_cosine'}
    torch.testing.assert_close(means['noise'], noise.detach().mean())
    torch.testing.assert_close(means['content'], content.detach().mean())
    assert all(parameter.grad is None for parameter in restorer.parameters())


def test_losses_without_a_sample_are_not_logged(toy_backbone):
    """For example bins of time steps that contain none of the two samples."""
    restorer = build(toy_backbone, step_of('pretraining'))
    data = make_data(range(2))
    wrapper = OptimWrapper(torch.optim.SGD(restorer.parameters(), lr=0.1))
    steps = [draw(key, (3, 8, 8))[0] for key in data['key'].tolist()]
    seen = {f'noise_t{low + 1:02d}-{low + 10:02d}' for low in ((t - 1) // 10 * 10 for t in steps)}
    assert set(restorer.train_step(data, wrapper)) == {'noise', *seen}


@MODELS.register_module()
class NotFinite:
    """A loss of which one sample is NaN, or (``steep``) one that has no finite gradient."""

    name = 'broken'

    def __init__(self, steep: bool) -> None:
        self.steep = steep

    def prepare(self, restorer: nn.Module) -> None: ...

    def parts(self, restorer: nn.Module) -> tuple[str, ...]:
        return ()

    def losses(self, restorer: nn.Module, samples: dict) -> Losses:
        clean = samples['clean']
        means = restorer.predict_residual(clean, torch.ones(len(clean))).mean(dim=(1, 2, 3))
        factors = torch.tensor([1.0] * (len(means) - 1) + [0.0 if self.steep else math.nan])
        return Losses((means * factors).abs().sqrt(), {})


@pytest.mark.parametrize(('steep', 'what'), [(False, 'losses broken'), (True, 'the gradient')])
def test_non_finite_updates_are_rejected(toy_backbone, steep, what):
    step = dict(objective=dict(type='NotFinite', steep=steep))
    restorer = build(toy_backbone, step, 'fp32')
    before = {name: value.clone() for name, value in restorer.state_dict().items()}
    optimiser = torch.optim.Adam(restorer.parameters())
    with pytest.raises(FloatingPointError, match=f'^{what}.* at iteration 7;') as error:
        restorer.train_step(make_data([0, 2, 2], iteration=7), OptimWrapper(optimiser))
    assert str(error.value).endswith('photo_0.png, photo_2.png')
    torch.testing.assert_close(dict(restorer.state_dict()), before, rtol=0, atol=0)
    assert not optimiser.state


@MODELS.register_module()
class Diagnosed:
    """A regularizer that adds nothing and logs numbers that are not finite, and one that is."""

    num_groups = 0
    second_order = False

    def is_due(self, update: update.Update) -> bool:
        return True

    def gradient(self, update: update.Update) -> torch.Tensor:
        for name, value in (('none', math.nan), ('endless', math.inf), ('seven', 7.0)):
            update.log(name, torch.tensor(value))
        return torch.zeros_like(update.main)


def test_non_finite_diagnostics_do_not_stop_an_update(toy_backbone):
    """They are not logged; a loss that is only monitored is one of them."""
    mixing = dict(
        type='UpdateMixing', probability=1.0, added=False,
        objective=dict(type='NotFinite', steep=False),
    )  # fmt: skip
    step = dict(objective=dict(type='Reconstruction'), mixing=mixing)
    logs, weights = [], []
    for regularizers in (None, dict(diagnosed=dict(type='Diagnosed'))):
        torch.manual_seed(0)
        restorer = build(toy_backbone, step | dict(regularizers=regularizers), 'fp32')
        optimiser = OptimWrapper(torch.optim.Adam(restorer.parameters()))
        logs.append(restorer.train_step(make_data(range(3)), optimiser))
        weights.append(dict(restorer.state_dict()))
    assert logs[0].keys() == {'content', 'content_of_input'}
    assert logs[1].keys() - logs[0].keys() == {'seven'} and logs[1]['seven'].item() == 7
    torch.testing.assert_close(weights[1], weights[0], rtol=0, atol=0)


@MODELS.register_module()
class Blind(Reconstruction):
    """It has its own losses and parts, and sees only degraded images."""

    name = 'blind'

    def losses(self, restorer: nn.Module, samples: dict) -> Losses:
        total = (
            restorer.predict_residual(samples['degraded'], samples['t']).square().mean((1, 2, 3))
        )
        return Losses(total, {self.of_input: total.detach()[:1]})


def test_custom_objectives_are_trained_and_logged(toy_backbone):
    """Its loss is averaged over samples, its parts over those that it gives."""
    restorer = build(toy_backbone, dict(objective=dict(type='Blind')))
    data = make_data(range(3)) | {'t': torch.tensor([4, 20, 41])}
    degraded = data['degraded'].double() / 127.5 - 1
    each = restorer.backbone(degraded, data['t']).square().flatten(1).mean(1)
    expected = gradient_of(each.mean(), restorer)
    gradient, logged = compute(restorer, data)
    torch.testing.assert_close(gradient, expected)
    assert logged['blind'].tolist() == pytest.approx(each.tolist(), rel=1e-12)
    assert logged['content_of_input'].tolist() == pytest.approx(each[:1].tolist(), rel=1e-12)


def test_observers_see_the_gradients_before_regularization(toy_backbone):
    """``ImportanceAccumulationHook`` takes omega from them: of the losses, without a penalty."""
    restorer = build(toy_backbone, step_of('finetuning', ratio=0.5))
    data = make_data(range(4))
    seen = []
    restorer.step.observers.append(
        lambda update: seen.append((update.mixed.clone(), update.main.clone()))
    )
    compute(restorer, data)
    ((mixed, main),) = seen
    noise = torch.stack([noise_loss(restorer, data, i) for i in (0, 1)])
    content = torch.stack([content_loss(restorer, data, i) for i in (2, 3)])
    torch.testing.assert_close(mixed, gradient_of(noise.sum() / 4, restorer))
    torch.testing.assert_close(main, gradient_of(content.sum() / 4, restorer))


def test_gradient_of_averages_an_objective_over_the_batch(toy_backbone):
    """As omega of the released code takes it; the micro-batches do not matter."""
    restorer = build(toy_backbone, step_of('finetuning', ratio=0.25))
    data = make_data(range(4))
    expected = gradient_of(
        torch.stack([noise_loss(restorer, data, i) for i in range(4)]).mean(), restorer
    )
    for micro in (None, 3):
        restorer.step.micro_batch_size = micro
        batch = restorer.data_preprocessor(data)
        gradient = restorer.step.gradient_of(restorer, batch, restorer.step.mixing.objective)
        torch.testing.assert_close(gradient, expected)


def test_samples_without_a_slot_are_rejected(toy_backbone):
    for stage in ('pretraining', 'finetuning'):
        with pytest.raises(AssertionError, match='a sample without a slot would be lost'):
            compute(build(toy_backbone, step_of(stage)), make_data([0, 1, 3]))
