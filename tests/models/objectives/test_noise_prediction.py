"""Errors of noise prediction by hand, the weights of min-SNR against diffusers, and gradients."""

import pytest
import torch
from diffusers import DDPMScheduler

from dtir_mm.diffusion.noise_schedule import VariancePreserving
from dtir_mm.models.objectives.noise_prediction import NoisePrediction

SCHEDULE = VariancePreserving()
T = torch.tensor([1, 12, 50])


def images(*values):
    """One constant image a value, but for a red channel that is 0."""
    batch = torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1, 1).repeat(1, 3, 4, 5)
    batch[:, 0] = 0
    return batch


@pytest.mark.parametrize(
    ('norm', 'expected'), [('mse', (0.06, 0.24, 0.0)), ('l1', (0.2, 0.4, 0.0))]
)
def test_the_error_of_each_image(norm, expected):
    losses = NoisePrediction(norm).error(images(0.5, -0.5, 3.0), images(0.2, 0.1, 3.0), T, SCHEDULE)
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize('norm', ['mse', 'l1'])
def test_min_snr_weighs_by_the_ratios_of_diffusers(norm):
    """min(SNR, 5) / SNR; SNR is (sqrt(alpha_bar) / sqrt(1 - alpha_bar))^2, as in compute_snr."""
    reference = DDPMScheduler(num_train_timesteps=50, beta_start=0.002, beta_end=0.4)
    t = torch.arange(1, 51)
    alpha_bar = reference.alphas_cumprod[t - 1]
    snr = (alpha_bar**0.5 / (1 - alpha_bar) ** 0.5) ** 2
    weights = torch.minimum(snr, torch.tensor(5.0)) / snr
    assert weights.min() < 0.1 and (weights == 1).any()

    predicted, noise = torch.randn(2, 50, 3, 4, 4)
    power = 2 if norm == 'mse' else 1
    expected = weights * ((predicted - noise).abs() ** power).mean((1, 2, 3))
    losses = NoisePrediction(norm, 'min_snr').error(predicted, noise, t, SCHEDULE)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=0)


def test_min_snr_by_hand():
    """alpha_bar_1 = 0.998, so SNR_1 = 499; at the last step the noise outweighs the cap."""
    predicted, noise = images(1.0, 1.0), images(0.0, 0.0)
    loss = NoisePrediction(gamma='min_snr')
    losses = loss.error(predicted, noise, torch.tensor([1, 50]), SCHEDULE)
    torch.testing.assert_close(losses, torch.tensor([5 / 499, 1.0], dtype=torch.float64) * 2 / 3)


@pytest.mark.parametrize('norm', ['mse', 'l1'])
@pytest.mark.parametrize('gamma', ['constant', 'min_snr'])
def test_gradients(norm, gamma):
    predicted, noise = torch.randn(2, 3, 3, 2, 2, dtype=torch.float64)
    loss = NoisePrediction(norm, gamma)
    predicted.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: loss.error(p, noise, T, SCHEDULE), predicted)


def test_unknown_names_are_rejected():
    with pytest.raises(ValueError, match="norm='L2' of NoisePrediction .*mse.*l1"):
        NoisePrediction('L2')
    with pytest.raises(ValueError, match="gamma='snr' of NoisePrediction .*constant.*min_snr"):
        NoisePrediction(gamma='snr')
