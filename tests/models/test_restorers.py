"""One update of pre-training and fine-tuning, against losses written out sample by sample."""

import math

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from dtir_mm.models.restorers import base_restorer
from dtir_mm.models.restorers.gradients import flat_gradient, write_gradient
from dtir_mm.randomness import seed_of
from dtir_mm.registry import MODELS

ALPHA_BAR = np.cumprod(1 - np.linspace(0.002, 0.4, 50))
STEPS = {'rainy': 8, 'hazy': 47}
SEED = 11
BOTH = pytest.mark.parametrize('kind', ['GenerativePretrainer', 'FinetuneRestorer'])


def build(kind: str, backbone: dict, precision: str = 'fp64', **arguments) -> nn.Module:
    """A restorer whose weights are all random, those of FiLM too."""
    restorer = MODELS.build(dict(type=kind, backbone=backbone, **arguments))
    restorer.set_precision(precision)
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.2)
    return restorer


def make_data(slots, iteration: int = 3, side: int = 8) -> dict:
    """A collated batch; what a sample holds depends on its slot alone."""
    slots = list(slots)
    pixels = [np.random.default_rng(slot).integers(0, 256, (2, 3, side, side)) for slot in slots]
    clean, degraded = torch.from_numpy(np.stack(pixels, axis=1).astype(np.uint8))
    return {
        'clean': clean,
        'degraded': degraded,
        'task': [('rainy', 'hazy')[slot % 2] for slot in slots],
        'domain': ['source'] * len(slots),
        'path': [f'photo_{slot}.png' for slot in slots],
        'key': torch.tensor([[SEED, iteration, slot] for slot in slots]),
    }


def draw(key: list[int], shape: tuple) -> tuple[int, Tensor]:
    """The time step and noise of a key; other draws would change the course of every run."""
    rng = torch.Generator().manual_seed(seed_of(*key, 'noise'))
    return int(torch.randint(1, 51, (), generator=rng)), torch.randn(shape, generator=rng)


def noise_loss(restorer: nn.Module, data: dict, i: int) -> Tensor:
    clean = data['clean'][i].double() / 127.5 - 1
    t, noise = draw(data['key'][i].tolist(), clean.shape)
    a = ALPHA_BAR[t - 1]
    noisy = math.sqrt(a) * clean + math.sqrt(1 - a) * noise.double()
    return (noise - restorer.backbone(noisy[None], torch.tensor([t]))[0]).square().mean()


def content_loss(restorer: nn.Module, data: dict, i: int) -> Tensor:
    clean, degraded = (data[name][i].double() / 127.5 - 1 for name in ('clean', 'degraded'))
    t = STEPS[data['task'][i]]
    c = max(math.sqrt(1 - ALPHA_BAR[t - 1]), 0.25)
    nuisance = restorer.backbone(degraded[None], torch.tensor([t]))[0]
    return (degraded - c * nuisance - clean).abs().mean()


def gradient_of(loss: Tensor, restorer: nn.Module) -> Tensor:
    restorer.zero_grad()
    loss.backward()
    gradient = torch.cat([parameter.grad.flatten() for parameter in restorer.parameters()])
    restorer.zero_grad()
    return gradient


def compute(restorer: nn.Module, data: dict) -> tuple[Tensor, dict[str, Tensor]]:
    return restorer.compute_gradient(restorer.data_preprocessor(data))


def test_gradient_of_pretraining(toy_backbone):
    restorer = build('GenerativePretrainer', toy_backbone)
    data = make_data([2, 0, 3, 1, 5, 4])
    gradient, losses = compute(restorer, data)
    expected = torch.stack([noise_loss(restorer, data, i) for i in range(6)])
    torch.testing.assert_close(losses['noise'], expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, gradient_of(expected.mean(), restorer))


def test_pretraining_logs_losses_by_time_step(toy_backbone):
    restorer = build('GenerativePretrainer', toy_backbone)
    data = make_data(range(400), side=2)
    losses = compute(restorer, data)[1]
    bins = {f'noise_t{low:02d}-{low + 9:02d}': low for low in (1, 11, 21, 31, 41)}
    assert set(losses) == {'noise', *bins}
    steps = [draw(key, (3, 2, 2))[0] for key in data['key'].tolist()]
    assert set(steps) == set(range(1, 51))
    for name, low in bins.items():
        inside = [low <= t <= low + 9 for t in steps]
        assert torch.equal(losses[name], losses['noise'][inside])


@pytest.mark.parametrize(('mix_ratio', 'generative'), [(0.3, 2), (0.5, 4), (0.0, 0)])
def test_gradient_of_finetuning(toy_backbone, mix_ratio, generative):
    """The first slots of the global batch are generative, in whatever order they come."""
    restorer = build('FinetuneRestorer', toy_backbone, mix_ratio=mix_ratio)
    slots = [5, 0, 7, 3, 1, 6, 2, 4]
    data = make_data(slots)
    gradient, losses = compute(restorer, data)
    noise = [noise_loss(restorer, data, i) for i in range(8) if slots[i] < generative]
    content = [content_loss(restorer, data, i) for i in range(8) if slots[i] >= generative]
    assert losses['noise'].tolist() == pytest.approx([loss.item() for loss in noise], rel=1e-12)
    assert losses['content'].tolist() == pytest.approx([loss.item() for loss in content], rel=1e-12)
    loss = (8 - generative) / 8 * torch.stack(content).mean()
    if noise:
        loss = loss + generative / 8 * torch.stack(noise).mean()
    torch.testing.assert_close(gradient, gradient_of(loss, restorer))


@BOTH
@pytest.mark.parametrize('micro_batch_size', [1, 3])
def test_micro_batches_change_nothing(toy_backbone, kind, micro_batch_size):
    restorer = build(kind, toy_backbone)
    data = make_data(range(8))
    gradient, losses = compute(restorer, data)
    sizes = []
    restorer.backbone.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    restorer.micro_batch_size = micro_batch_size
    again, losses_again = compute(restorer, data)
    assert max(sizes) == micro_batch_size and sum(sizes) == 8
    assert (again - gradient).norm() <= 1e-12 * gradient.norm()
    torch.testing.assert_close(losses_again, losses, rtol=1e-12, atol=0)


@BOTH
def test_gradients_of_two_processes_sum_to_that_of_one(toy_backbone, kind, monkeypatch):
    restorer = build(kind, toy_backbone, **(dict(mix_ratio=0.3) if kind[0] == 'F' else {}))
    whole, losses = compute(restorer, make_data(range(8)))
    monkeypatch.setattr(base_restorer, 'get_world_size', lambda: 2)
    first, losses_first = compute(restorer, make_data(range(4)))
    second, losses_second = compute(restorer, make_data(range(4, 8)))
    torch.testing.assert_close(first + second, whole)
    if kind == 'FinetuneRestorer':
        assert (len(losses_first['noise']), len(losses_second['noise'])) == (2, 0)
        del losses['gradient_cosine']  # of the processes' sum, which this test takes apart
    for name, values in losses.items():
        together = torch.cat([losses_first[name], losses_second[name]])
        torch.testing.assert_close(together, values)


def test_a_parameter_without_a_part_in_the_loss_has_a_gradient_of_zero():
    used, unused = nn.Parameter(torch.tensor([2.0, 3.0])), nn.Parameter(torch.ones(2, 2))
    gradient = flat_gradient((used**3).sum(), [unused, used])
    assert gradient.tolist() == [0, 0, 0, 0, 12, 27]
    write_gradient(gradient, [unused, used])
    assert torch.equal(used.grad, torch.tensor([12.0, 27.0]))
    assert torch.equal(unused.grad, torch.zeros(2, 2))


@pytest.mark.parametrize(
    ('batch', 'ratio', 'expected'), [(16, 0.1, 2), (8, 0.1, 1), (4, 0.1, 0), (32, 0.1, 3)]
)
def test_rounded_number_of_generative_samples(toy_backbone, batch, ratio, expected):
    restorer = build('FinetuneRestorer', toy_backbone, mix_ratio=ratio)
    assert {restorer.num_generative(batch, SEED, i) for i in range(20)} == {expected}


@pytest.mark.parametrize(('batch', 'accepted'), [(16, {1, 2}), (4, {0, 1}), (20, {2})])
def test_dithered_number_of_generative_samples(toy_backbone, batch, accepted):
    restorer = build('FinetuneRestorer', toy_backbone, mix_rounding='dither')
    numbers = [restorer.num_generative(batch, SEED, i) for i in range(2000)]
    assert set(numbers) == accepted
    assert np.mean(numbers) / batch == pytest.approx(0.1, abs=3 * 0.5 / batch / math.sqrt(2000))
    assert numbers == [restorer.num_generative(batch, SEED, i) for i in range(2000)]
    if batch == 4:
        drawn = [len(compute(restorer, make_data(range(4), i))[1]['noise']) for i in range(8)]
        assert drawn == numbers[:8]


def test_one_update_descends_and_returns_means(toy_backbone):
    restorer = build('FinetuneRestorer', toy_backbone, mix_ratio=0.5)
    data = make_data(range(4))
    noise = torch.stack([noise_loss(restorer, data, i) for i in (0, 1)])
    content = torch.stack([content_loss(restorer, data, i) for i in (2, 3)])
    gradient = gradient_of((noise.sum() + content.sum()) / 4, restorer)
    before = nn.utils.parameters_to_vector(restorer.parameters()).detach()
    wrapper = OptimWrapper(torch.optim.SGD(restorer.parameters(), lr=0.1))
    means = restorer.train_step(data, wrapper)
    after = nn.utils.parameters_to_vector(restorer.parameters()).detach()
    torch.testing.assert_close(after, before - 0.1 * gradient)
    assert set(means) == {'noise', 'content', 'gradient_cosine'}
    torch.testing.assert_close(means['noise'], noise.detach().mean())
    torch.testing.assert_close(means['content'], content.detach().mean())
    assert all(parameter.grad is None for parameter in restorer.parameters())


def test_losses_without_a_sample_are_not_logged(toy_backbone):
    restorer = build('FinetuneRestorer', toy_backbone, mix_ratio=0)
    wrapper = OptimWrapper(torch.optim.SGD(restorer.parameters(), lr=0.1))
    assert set(restorer.train_step(make_data(range(2)), wrapper)) == {'content'}


class NotFinite(nn.Module):
    """A loss of which one sample is NaN, or (``steep``) one that has no finite gradient."""

    def __init__(self, steep: bool) -> None:
        super().__init__()
        self.steep = steep

    def forward(self, predicted: Tensor, *_) -> Tensor:
        losses = predicted.mean(dim=(1, 2, 3))
        factors = torch.tensor([1.0] * (len(losses) - 1) + [0.0 if self.steep else math.nan])
        return (losses * factors).abs().sqrt()


@pytest.mark.parametrize(('steep', 'what'), [(False, 'losses noise'), (True, 'the gradient')])
def test_an_update_that_is_not_finite_is_refused(toy_backbone, steep, what):
    noise_loss = dict(type=NotFinite, steep=steep)
    restorer = build('GenerativePretrainer', toy_backbone, 'fp32', noise_loss=noise_loss)
    before = {name: value.clone() for name, value in restorer.state_dict().items()}
    optimiser = torch.optim.Adam(restorer.parameters())
    with pytest.raises(FloatingPointError, match=f'^{what}.* at iteration 7;') as error:
        restorer.train_step(make_data([4, 6, 6], iteration=7), OptimWrapper(optimiser))
    assert str(error.value).endswith('photo_4.png, photo_6.png')
    torch.testing.assert_close(dict(restorer.state_dict()), before, rtol=0, atol=0)
    assert not optimiser.state


def test_noise_depends_on_the_keys_alone(toy_backbone):
    restorer = build('GenerativePretrainer', toy_backbone, 'fp32')
    noise, t = restorer.draw_noise(restorer.data_preprocessor(make_data(range(6))))
    torch.manual_seed(1)
    order = [4, 1, 5]
    noise_again, t_again = restorer.draw_noise(restorer.data_preprocessor(make_data(order)))
    assert torch.equal(noise_again, noise[order]) and torch.equal(t_again, t[order])
    later = restorer.draw_noise(restorer.data_preprocessor(make_data(range(6), iteration=4)))
    assert not torch.isclose(later[0], noise).any() and not torch.equal(later[1], t)


def test_time_steps_are_uniform_and_noise_is_normal(toy_backbone):
    restorer = build('GenerativePretrainer', toy_backbone, 'fp32')
    keys = [[SEED, iteration, slot] for iteration in range(300) for slot in range(16)]
    batch = {'key': torch.tensor(keys), 'clean': torch.zeros(len(keys), 3, 2, 2)}
    noise, t = restorer.draw_noise(batch)
    counts = torch.bincount(t, minlength=51)
    assert counts[0] == 0 and len(counts) == 51
    expected = len(keys) / 50
    chi_square = float(((counts[1:] - expected) ** 2 / expected).sum())
    assert 24 < chi_square < 85  # all but 0.2 % of chi-square with 49 degrees of freedom
    assert abs(float(noise.mean())) < 4 / math.sqrt(noise.numel())
    assert abs(float(noise.var()) - 1) < 4 * math.sqrt(2 / noise.numel())
    columns = torch.cat([noise.flatten(1), t[:, None].float()], dim=1)
    correlation = torch.corrcoef(columns.T) - torch.eye(13)
    assert correlation.abs().max() < 5 / math.sqrt(len(keys))


def test_validation_noise_stays_the_same(toy_backbone):
    restorer = build('GenerativePretrainer', toy_backbone)
    data = make_data([0, 1, 2], iteration=0)
    expected = [noise_loss(restorer, data, i).item() for i in range(3)]
    for slots in ([0, 1, 2], [2, 0], [1]):
        torch.manual_seed(len(slots))
        results = restorer.val_step(make_data(slots, iteration=0))
        assert [set(result) for result in results] == [{'held_out_noise'}] * len(slots)
        losses = [result['held_out_noise'] for result in results]
        assert losses == pytest.approx([expected[slot] for slot in slots], rel=1e-10)


def test_fine_tuning_watches_what_is_left_of_the_generative_skill(toy_backbone):
    restorer = build('FinetuneRestorer', toy_backbone)
    data = make_data([0, 1], iteration=0)
    whole = restorer.val_step(data)
    assert [row['held_out_noise'] for row in whole] == pytest.approx(
        [noise_loss(restorer, data, i).item() for i in range(2)], rel=1e-10
    )
    odd = {
        **data,
        'clean': data['clean'][..., :-1, :-1],
        'degraded': data['degraded'][..., :-1, :-1],
    }
    even = {**data, 'clean': data['clean'][..., :-2, :-2]}
    for row, i in zip(restorer.val_step(odd), range(2), strict=True):
        assert row['restored'].shape == (*odd['clean'].shape[-2:], 3)
        assert row['held_out_noise'] == pytest.approx(
            noise_loss(restorer, even, i).item(), rel=1e-10
        )


@BOTH
def test_the_noise_of_validation_is_predicted_on_a_part_that_the_network_takes(toy_backbone, kind):
    """A size of the network's, and no more than a tile."""
    restorer = build(kind, toy_backbone)
    data = make_data([0, 1], iteration=0, side=11)
    for tile, side in ((None, 10), (7, 6)):  # it takes even sides
        restorer.tile, restorer.tile_overlap = tile, 2
        part = {**data, 'clean': data['clean'][..., :side, :side]}
        losses = [row['held_out_noise'] for row in restorer.val_step(data)]
        expected = [noise_loss(restorer, part, i).item() for i in range(2)]
        assert losses == pytest.approx(expected, rel=1e-10)
    restorer.tile = 1  # which would be padded
    assert restorer.part_for_noise(torch.zeros(1, 3, 11, 9)).shape == (1, 3, 2, 2)


@MODELS.register_module()
class Forgetful(nn.Sequential):
    """Drops half of its features; its norm takes statistics of the batch."""

    global_skip = False

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Conv2d(8, 3, 1)
        )


@BOTH
def test_dropout_draws_by_the_keys_of_the_samples(kind):
    backbone = dict(type='ConditionedBackbone', backbone=dict(type='Forgetful'))
    restorer = build(kind, backbone, mix_ratio=0.5) if 'Fine' in kind else build(kind, backbone)
    restorer.train()
    first, _ = compute(restorer, make_data(range(4)))
    state = torch.get_rng_state()
    again, _ = compute(restorer, make_data(range(4)))
    assert torch.equal(again, first)
    assert torch.equal(torch.get_rng_state(), state)  # of others, who draw from it too
    keys = make_data(range(4))['key'] + torch.tensor([1, 0, 0])
    other, _ = compute(restorer, {**make_data(range(4)), 'key': keys})
    assert not torch.isclose(other, first).all()


@BOTH
def test_batch_norms_keep_their_statistics(kind):
    """So that no sample's gradient depends on the others, nor on how they are divided."""
    backbone = dict(type='ConditionedBackbone', backbone=dict(type='Forgetful'))
    restorer = build(kind, backbone, mix_ratio=0.5) if 'Fine' in kind else build(kind, backbone)
    norm = restorer.train().backbone.net[1]
    restorer.backbone.net[2].p = 0.0
    norm.running_var.fill_(4.0)
    whole, _ = compute(restorer, make_data(range(4)))
    restorer.micro_batch_size = 1
    parts, _ = compute(restorer, make_data(range(4)))
    assert (parts - whole).norm() <= 1e-9 * whole.norm()
    assert norm.running_mean.eq(0).all() and norm.running_var.eq(4).all()
