"""Errors of noise prediction by hand, the weights of min-SNR against diffusers, and gradients."""

import pytest
import torch
from diffusers import DDPMScheduler

from dtir_mm.diffusion.noise_schedule import VariancePreserving
from dtir_mm.models.objectives.noise_prediction import NoisePrediction
from dtir_mm.registry import MODELS

SCHEDULE = VariancePreserving()
T = torch.tensor([1, 12, 50])


def images(*values):
    """One constant image a value, but for a red channel that is 0."""
    batch = torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1, 1).repeat(1, 3, 4, 5)
    batch[:, 0] = 0
    return batch


def test_it_is_registered_with_its_arguments():
    loss = MODELS.build({'type': 'NoisePrediction', 'gamma': 'min_snr', 'snr_cap': 2.0})
    assert isinstance(loss, NoisePrediction)
    assert (loss.norm, loss.gamma, loss.snr_cap) == ('mse', 'min_snr', 2.0)


@pytest.mark.parametrize(
    ('norm', 'expected'), [('mse', (0.06, 0.24, 0.0)), ('l1', (0.2, 0.4, 0.0))]
)
def test_the_error_of_each_image(norm, expected):
    losses = NoisePrediction(norm).error(images(0.5, -0.5, 3.0), images(0.2, 0.1, 3.0), T, SCHEDULE)
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))


def test_the_default_is_unweighted_mse():
    loss = NoisePrediction()
    assert (loss.norm, loss.gamma, loss.snr_cap) == ('mse', 'constant', 5.0)


@pytest.mark.parametrize('norm', ['mse', 'l1'])
@pytest.mark.parametrize('cap', [5.0, 0.5])
def test_min_snr_weighs_by_the_ratios_of_diffusers(norm, cap):
    """min(SNR, cap) / SNR; SNR is (sqrt(alpha_bar) / sqrt(1 - alpha_bar))^2, as in compute_snr."""
    reference = DDPMScheduler(num_train_timesteps=50, beta_start=0.002, beta_end=0.4)
    t = torch.arange(1, 51)
    alpha_bar = reference.alphas_cumprod[t - 1]
    snr = (alpha_bar**0.5 / (1 - alpha_bar) ** 0.5) ** 2
    weights = torch.minimum(snr, torch.tensor(cap)) / snr
    assert weights.min() < 0.1 and (weights == 1).any()

    predicted, noise = torch.randn(2, 50, 3, 4, 4)
    power = 2 if norm == 'mse' else 1
    expected = weights * ((predicted - noise).abs() ** power).mean((1, 2, 3))
    losses = NoisePrediction(norm, 'min_snr', cap).error(predicted, noise, t, SCHEDULE)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=0)


def test_min_snr_by_hand():
    """alpha_bar_1 = 0.998, so SNR_1 = 499; at the last step the noise outweighs the cap."""
    predicted, noise = images(1.0, 1.0), images(0.0, 0.0)
    loss = NoisePrediction(gamma='min_snr', snr_cap=4.99)
    losses = loss.error(predicted, noise, torch.tensor([1, 50]), SCHEDULE)
    torch.testing.assert_close(losses, torch.tensor([0.01, 1.0], dtype=torch.float64) * 2 / 3)


@pytest.mark.parametrize('norm', ['mse', 'l1'])
@pytest.mark.parametrize('gamma', ['constant', 'min_snr'])
def test_gradients(norm, gamma):
    predicted, noise = torch.randn(2, 3, 3, 2, 2, dtype=torch.float64)
    loss = NoisePrediction(norm, gamma)
    predicted.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: loss.error(p, noise, T, SCHEDULE), predicted)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="norm='L2' of NoisePrediction .*mse.*l1"):
        NoisePrediction('L2')
    with pytest.raises(ValueError, match="gamma='snr' of NoisePrediction .*constant.*min_snr"):
        NoisePrediction(gamma='snr')
