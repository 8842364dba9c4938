"""The generative objective of the released code, written out image by image."""

import pytest
import torch
from restorer_cases import (
    ALPHA_BAR,
    RELEASED,
    build,
    compute,
    denoising_loss,
    draw,
    gradient_of,
    make_data,
)
from torch import nn

STEP = dict(objective=dict(type='Denoising'))


def test_denoising_is_the_l1_error_of_the_denoised_image(toy_backbone):
    restorer = build(toy_backbone, STEP, **RELEASED)
    data = make_data([2, 0, 3, 1, 5, 4])
    gradient, losses = compute(restorer, data)
    expected = torch.stack([denoising_loss(restorer, data, i) for i in range(6)])
    torch.testing.assert_close(losses['denoising'], expected.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, gradient_of(expected.mean(), restorer))


def test_under_variance_preservation_the_target_is_the_scaled_clean_image(toy_backbone):
    """x_t less the noise is sqrt(alpha_bar) x_0, whichever head predicts it; terms add up."""
    losses = dict(a=dict(type='L1Loss'), b=dict(type='CharbonnierLoss', epsilon=0.2))
    step = dict(objective=dict(type='Denoising', losses=losses))
    data = make_data(range(4))
    for head in ('NoiseHead', 'ResidualHead'):
        restorer = build(toy_backbone, step, head=dict(type=head))
        logged = compute(restorer, data)[1]['denoising']
        for i, loss in enumerate(logged):
            clean = data['clean'][i].double() / 127.5 - 1
            t, noise = draw(data['key'][i].tolist(), clean.shape)
            signal, sigma = ALPHA_BAR[t - 1] ** 0.5, (1 - ALPHA_BAR[t - 1]) ** 0.5
            noisy = signal * clean + sigma * noise.double()
            output = restorer.backbone(noisy[None], torch.tensor([t]))[0].detach()
            error = noisy - (sigma if head == 'NoiseHead' else 1) * output - signal * clean
            expected = error.abs().mean() + (error.square() + 0.04).sqrt().mean()
            assert loss.item() == pytest.approx(expected.item(), rel=1e-10)


def test_a_perfect_network_has_no_loss(toy_backbone):
    restorer = build(toy_backbone, STEP, **RELEASED)
    batch = restorer.data_preprocessor(make_data(range(3)))
    restorer.predict_residual = lambda noisy, t, restoring: noisy - batch['clean']
    assert float(restorer.step.objective.losses(restorer, batch).total.abs().max()) < 1e-15


def test_validation_noise_is_the_same_every_time(toy_backbone):
    """Of images without a degraded one nothing else is known; of odd ones, a part is denoised."""
    restorer = build(toy_backbone, STEP, **RELEASED)
    data = make_data([0, 1, 2], iteration=0)
    del data['degraded']
    expected = [denoising_loss(restorer, data, i).item() for i in range(3)]
    for seed in range(2):
        torch.manual_seed(seed)
        results = restorer.val_step(data)
        assert [set(result) for result in results] == [{'val_denoising_loss', 'path'}] * 3
        losses = [result['val_denoising_loss'] for result in results]
        assert losses == pytest.approx(expected, rel=1e-10)
    odd = {**data, 'clean': nn.functional.pad(data['clean'], (0, 1, 0, 1))}
    losses = [result['val_denoising_loss'] for result in restorer.val_step(odd)]
    assert losses == pytest.approx(expected, rel=1e-10)
