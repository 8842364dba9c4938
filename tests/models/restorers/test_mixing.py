"""Which samples or updates are generative, and how their loss contributes to the gradient."""

import math

import numpy as np
import pytest
import torch
from restorer_cases import (
    L1_AND_FFT,
    RELEASED,
    SEED,
    build,
    compute,
    content_loss,
    denoising_loss,
    gradient_of,
    l1_and_fft_loss,
    make_data,
    noise_loss,
    step_of,
)
from torch import Tensor, nn

from dtir_mm.models.restorers.mixing import SampleMixing, UpdateMixing
from dtir_mm.randomness import generator
from dtir_mm.registry import MODELS

NOISE = dict(type='NoisePrediction')


# --- which ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('batch', 'ratio', 'expected'), [(16, 0.1, 2), (8, 0.1, 1), (4, 0.1, 0), (32, 0.1, 3)]
)
def test_the_first_slots_of_every_batch_are_generative(batch, ratio, expected):
    """The rounded share of them; the others are restored."""
    mixing = SampleMixing(NOISE, ratio)
    for iteration in range(20):
        mixed, main = mixing.slots(batch, SEED, iteration)
        assert list(mixed) == list(range(expected)) and list(main) == list(range(expected, batch))


@pytest.mark.parametrize(('batch', 'accepted'), [(16, {1, 2}), (4, {0, 1}), (20, {2})])
def test_dithering_keeps_the_ratio_on_average(toy_backbone, batch, accepted):
    mixing = SampleMixing(NOISE, rounding='dither')
    numbers = [len(mixing.slots(batch, SEED, i)[0]) for i in range(2000)]
    assert set(numbers) == accepted
    assert np.mean(numbers) / batch == pytest.approx(0.1, abs=3 * 0.5 / batch / math.sqrt(2000))
    assert numbers == [len(mixing.slots(batch, SEED, i)[0]) for i in range(2000)]
    if batch == 4:
        restorer = build(toy_backbone, step_of('finetuning', rounding='dither'))
        drawn = [compute(restorer, make_data(range(4), i))[1] for i in range(8)]
        assert [len(logged.get('noise', [])) for logged in drawn] == numbers[:8]


@pytest.mark.parametrize('probability', [0.0, 0.1, 0.4, 1.0])
def test_update_mixing_mixes_whole_updates(probability):
    """The same updates every time; tests of ``happens`` check how often."""
    mixing = UpdateMixing(NOISE, probability)
    mixes = []
    for iteration in range(2000):
        mixed, main = mixing.slots(8, SEED, iteration)
        assert list(main) == list(range(8)) and list(mixed) in ([], list(range(8)))
        mixes.append(len(mixed) > 0)
    expected = [generator(SEED, i, 'mix').random() < probability for i in range(2000)]
    assert mixes == expected


def test_batches_without_pairs_are_rejected(toy_backbone):
    restorer = build(toy_backbone, step_of('finetuning', ratio=0.95))
    with pytest.raises(ValueError, match=r'mixing\.ratio=0\.95 makes all 8 samples .* generative'):
        compute(restorer, make_data(range(8)))


@pytest.mark.parametrize(
    ('kind', 'arguments', 'message'),
    [
        (SampleMixing, dict(ratio=1.0), r'ratio=1.0 of SampleMixing must lie in \[0, 1\)'),
        (SampleMixing, dict(ratio=-0.1), r'ratio=-0.1 of SampleMixing must lie in \[0, 1\)'),
        (SampleMixing, dict(ratio=math.nan), r'ratio=nan of SampleMixing must lie in \[0, 1\)'),
        (SampleMixing, dict(rounding='up'), 'rounding=\'up\' .* must be "round" or "dither"'),
        (SampleMixing, dict(cap=0.0), 'cap=0.0 of SampleMixing must be positive, or None'),
        (UpdateMixing, dict(probability=1.1), r'probability=1.1 of .* must lie in \[0, 1\]'),
        (UpdateMixing, dict(probability=-0.1), r'probability=-0.1 of .* must lie in \[0, 1\]'),
    ],
)
def test_invalid_arguments_are_rejected(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(NOISE, **arguments)


# --- what their loss does -------------------------------------------------------------------------


def released(backbone: dict, mixing: dict | None) -> nn.Module:
    """A restorer of the released code's objectives; the same weights every time."""
    torch.manual_seed(3)
    step = dict(objective=dict(type='Reconstruction', losses=L1_AND_FFT), mixing=mixing)
    return build(backbone, step, **RELEASED)


def test_a_loss_that_is_not_added_does_not_change_the_gradient(toy_backbone):
    """Not by a bit; it is logged with its cosine to the content's."""
    data = make_data(range(4))
    watched = dict(type='UpdateMixing', objective=dict(type='Denoising'), probability=1.0)
    restorer = released(toy_backbone, watched)
    plain, losses = compute(released(toy_backbone, None), data)
    gradient, logged = compute(restorer, data)
    assert torch.equal(gradient, plain)
    assert set(logged) - set(losses) == {'denoising', 'gradient_cosine'}
    content, generative = (
        torch.stack([loss(restorer, data, i) for i in range(4)])
        for loss in (l1_and_fft_loss, denoising_loss)
    )
    torch.testing.assert_close(logged['content'], content.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(logged['denoising'], generative.detach(), rtol=1e-12, atol=0)
    by_content = gradient_of(content.mean(), restorer)
    torch.testing.assert_close(gradient, by_content)
    by_generative = gradient_of(generative.mean(), restorer)
    cosine = by_content @ by_generative / (by_content.norm() * by_generative.norm())
    assert logged['gradient_cosine'].item() == pytest.approx(cosine.item(), rel=1e-9)


def test_an_added_loss_is_its_mean_over_the_whole_batch(toy_backbone):
    """It is added to the content loss in its updates; the others have only the content loss."""
    mixing = dict(
        type='UpdateMixing', objective=dict(type='Denoising'), probability=0.1, added=True
    )
    restorer = released(toy_backbone, mixing)
    for iteration, mixes in ((33, False), (34, True), (35, True), (37, False)):
        data = make_data([3, 0, 2, 1], iteration)
        loss = torch.stack([l1_and_fft_loss(restorer, data, i) for i in range(4)]).mean()
        if mixes:
            loss = loss + torch.stack([denoising_loss(restorer, data, i) for i in range(4)]).mean()
        gradient, logged = compute(restorer, data)
        assert ('denoising' in logged) == mixes
        torch.testing.assert_close(gradient, gradient_of(loss, restorer))


# --- and how far ----------------------------------------------------------------------------------


@MODELS.register_module()
class Lively(nn.Module):
    """Its branch is active only on values outside the image range: on noisy images."""

    global_skip = False

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 3, 1))
        self.branch = nn.Conv2d(3, 3, 1)

    def forward(self, u: Tensor) -> Tensor:
        return self.body(u) + (u.abs() > 1) * self.branch(u)


@pytest.mark.parametrize('share', [0.05, 0.5, 4.0])
def test_the_cap_limits_the_generative_gradient_per_tensor(share):
    """Except where the content gradient is zero, which would remove the generative one."""
    backbone = dict(type='ConditionedBackbone', backbone=dict(type='Lively'))
    restorer = build(backbone, step_of('finetuning', ratio=0.25, cap=share))
    data = make_data(range(8))
    noise = torch.stack([noise_loss(restorer, data, i) for i in range(2)])
    content = torch.stack([content_loss(restorer, data, i) for i in range(2, 8)])
    sizes = [parameter.numel() for parameter in restorer.parameters()]
    by_noise = gradient_of(noise.sum() / 8, restorer).split(sizes)
    by_content = gradient_of(content.sum() / 8, restorer).split(sizes)

    expected, cases = [], set()
    for g, c in zip(by_noise, by_content, strict=True):
        norm, limit = math.sqrt(sum(x * x for x in g.tolist())), share * float(c.norm())
        if limit == 0:
            cases.add('free' if norm > 0 else 'none')
            factor = 1.0
        else:
            cases.add('capped' if norm > limit else 'small')
            factor = min(1.0, limit / norm) if norm else 1.0
        expected.append(c + factor * g)
    gradient, logged = compute(restorer, data)
    torch.testing.assert_close(gradient, torch.cat(expected), rtol=1e-9, atol=1e-14)
    assert {'free', 'capped' if share < 1 else 'small'} <= cases
    both = [torch.cat(parts) for parts in (by_noise, by_content)]
    cosine = torch.cosine_similarity(*both, dim=0)  # before the cap
    assert logged['gradient_cosine'].item() == pytest.approx(cosine.item(), rel=1e-9)
