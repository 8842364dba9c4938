"""One update of pre-training and fine-tuning, against losses written out sample by sample."""

import math

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from restorer_cases import (
    BOTH,
    SEED,
    build,
    compute,
    content_loss,
    draw,
    gradient_of,
    make_data,
    noise_loss,
)
from torch import Tensor, nn

from dtir_mm.models.restorers import base_restorer
from dtir_mm.models.restorers.gradients import flat_gradient, write_gradient


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
