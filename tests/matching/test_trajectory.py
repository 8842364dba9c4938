"""Alg. 2 as printed, against the sampling chain of diffusers."""

import pytest
import torch
from diffusers import DDPMScheduler
from torch.nn import functional as F
from toy_networks import EXPLODING, gaussian_network, noisy_pairs

from dtir_mm.matching.conclusion import conclude
from dtir_mm.matching.criteria import Trajectory
from dtir_mm.matching.search import search


def test_trajectory_equals_the_sampling_chain_of_diffusers():
    degraded, clean = noisy_pairs(0.3, count=5, size=4)
    network = gaussian_network()
    errors_at = Trajectory().errors_at(network, degraded, clean, seed=6)
    assert network.evaluations == 5 * 50
    reference = DDPMScheduler(num_train_timesteps=50, beta_start=0.002, beta_end=0.4)
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(degraded.shape, generator=generator, dtype=torch.float64)
    for t in range(50, 0, -1):
        noise = network.predict(x, t)
        before = reference.step(noise, t - 1, x, generator).prev_sample
        error = ((x - before) - (degraded - clean)).square().sum((1, 2, 3))
        expected = error / (degraded - clean).square().sum((1, 2, 3))
        torch.testing.assert_close(errors_at(t), expected, rtol=1e-4, atol=1e-5)
        x = before
    assert network.evaluations == 5 * 50


def test_a_schedule_that_does_not_end_in_noise_is_rejected():
    network = gaussian_network(EXPLODING)
    message = 'trajectory starts from pure noise, but VarianceExploding .* VariancePreserving'
    with pytest.raises(ValueError, match=message):
        Trajectory().errors_at(network, *noisy_pairs(0.1), seed=0)
    assert network.calls == []


@pytest.mark.parametrize(
    'degrade',
    [
        lambda x: x + 0.2 * torch.randn_like(x),
        lambda x: x + 2 * torch.randn_like(x),
        lambda x: 0.3 * x - 0.5,
        lambda x: F.avg_pool2d(x, 5, 1, 2),
    ],
    ids=['noise', 'strong noise', 'haze', 'blur'],
)
def test_the_first_steps_are_best_for_every_degradation(degrade):
    _, clean = noisy_pairs(0.1)
    criterion = Trajectory()
    errors_at = criterion.errors_at(gaussian_network(), degrade(clean), clean, seed=0)
    evaluated = search(errors_at, 50, criterion.grid(50))
    match = conclude(evaluated, 'trajectory', 50, 0, criterion.min_gain)
    assert match.t_mat <= 2
