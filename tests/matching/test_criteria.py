"""Requirements for every criterion, and the two that restore: score and sdedit."""

import numpy as np
import pytest
import torch
from toy_networks import (
    EXPLODING,
    PRESERVING,
    Network,
    constant_pairs,
    gaussian_network,
    knows_image,
    levels,
    noisy_pairs,
)

from dtir_mm.diffusion.noise_schedule import VarianceExploding, VariancePreserving
from dtir_mm.matching.conclusion import conclude
from dtir_mm.matching.criteria import Score, SDEdit
from dtir_mm.matching.search import search
from dtir_mm.registry import CRITERIA


@pytest.mark.parametrize('name', ['linear_probe', 'score', 'sdedit', 'trajectory'])
def test_errors_depend_only_on_the_seed(name):
    pairs = noisy_pairs(0.3, count=4, size=36)
    errors = []
    for seed in (0, 0, 1):
        torch.randn(3)
        errors_at = CRITERIA.build({'type': name}).errors_at(gaussian_network(), *pairs, seed)
        errors.append([errors_at(t) for t in (3, 30, 3)])
    assert torch.equal(torch.stack(errors[0]), torch.stack(errors[1]))
    assert torch.equal(errors[0][0], errors[0][2]), 'they depend on earlier calls'
    assert torch.equal(errors[0][0], errors[2][0]) == (name == 'score')


@pytest.mark.parametrize('name', ['linear_probe', 'score'])
@pytest.mark.parametrize('sigma', [0.05, 1.5])
def test_a_search_costs_at_most_18_evaluations_per_image(name, sigma):
    network = gaussian_network()
    criterion = CRITERIA.build({'type': name})
    errors_at = criterion.errors_at(network, *noisy_pairs(sigma, count=10), 0)
    evaluated = search(errors_at, 50, criterion.grid(50))
    assert network.evaluations == 10 * len(evaluated) <= 10 * 18


def match_by_score(network, degraded, clean):
    evaluated = search(Score().errors_at(network, degraded, clean, 0), 50)
    match = conclude(evaluated, 'score', 50, seed=0)
    assert match.status == 'identified'
    return match.t_mat, dict(match.curve)[match.t_mat]


@pytest.mark.parametrize('name', ['linear_scaled', 'cosine'])
@pytest.mark.parametrize('sigma', [25 / 127.5, 50 / 127.5, 0.8, 1.5, 4.0])
def test_score_finds_the_step_of_additive_noise(name, sigma):
    """The step where s_t / sqrt(alpha_bar_t) = sigma: the same signal-to-noise ratio.

    y = x + sigma n keeps x at full strength, while x_t has sqrt(alpha_bar_t) x. Subtracting
    s_t E[noise | y] shrinks y by tau^2 / (tau^2 + s_t^2 / alpha_bar_t), and the shrinkage closest
    to x is tau^2 / (tau^2 + sigma^2). For small sigma, s_t = sigma gives the same step; at 0.8 it
    is 5 steps off, and above 1 it never holds.
    """
    schedule = VariancePreserving(name)
    ratios = [s / signal for signal, s in (levels(schedule, t) for t in range(1, 51))]
    t, error = match_by_score(gaussian_network(schedule), *noisy_pairs(sigma))
    assert abs(t - (1 + int(np.abs(np.array(ratios) - sigma).argmin()))) <= 2
    # The best shrinkage leaves tau^2 / (tau^2 + sigma^2) of the noise's energy.
    assert error == pytest.approx(0.25 / (0.25 + sigma**2), rel=0.05)


@pytest.mark.parametrize('level', [3.0, 9.0])
def test_score_finds_the_step_of_additive_noise_in_a_variance_exploding_schedule(level):
    """y = x + sigma n is x_t itself if sigma_t = sigma; ``level`` is sigma x 255."""
    clean = 0.05 * torch.randn(32, 3, 32, 32, dtype=torch.float64)
    degraded = clean + level / 255 * torch.randn_like(clean)
    t, error = match_by_score(gaussian_network(EXPLODING, tau=0.05), degraded, clean)
    nearest = int((255 * EXPLODING.sigma(torch.arange(51)) - level).abs().argmin())
    assert abs(t - nearest) <= 1
    noise, signal = (level / 255) ** 2, 0.05**2
    assert error == pytest.approx(signal / (signal + noise), rel=0.02), 'the best shrinkage'


def test_score_by_hand():
    """y = 0.5, eps = 0.2, x = 0.2; betas linspace(.002, .4, 50), in decimals."""
    network = Network(lambda u, t: torch.full_like(u, 0.2))
    errors_at = Score().errors_at(network, *constant_pairs(0.5, 0.2), 0)
    for t, error in {1: 0.94126041, 12: 0.31145245, 50: 0.11111283}.items():
        result = errors_at(t)
        assert result.dtype == torch.float64
        assert result.tolist() == pytest.approx([error] * 5, rel=1e-7)
    assert [t for _, t in network.calls] == [1, 12, 50]
    assert (network.calls[0][0] == 0.5).all(), 'the network is not given the degraded image itself'


@pytest.mark.parametrize(
    ('known', 'error'), [(0.2, 0.0), (0.5, 1.0), (0.8, 4.0), (-0.1, 1.0), (1.7, 64 / 9)]
)
@pytest.mark.parametrize('schedule', [PRESERVING, VarianceExploding(image_range=(-1, 1))])
def test_sdedit_returns_the_image_that_the_network_knows(known, error, schedule):
    """y = 0.5 and x = 0.2; above 1 the restored image is clipped."""
    network = knows_image(known, schedule)
    errors_at = SDEdit().errors_at(network, *constant_pairs(0.5, 0.2), seed=0)
    for t in (1, 7, 50):
        assert errors_at(t).tolist() == pytest.approx([error] * 5, abs=1e-9)


@pytest.mark.parametrize(
    ('t', 'visited'),
    [(1, [1]), (4, [4, 3, 2, 1]), (10, list(range(10, 0, -1))), (40, list(range(40, 0, -4)))],
)
def test_sdedit_diffuses_y_and_denoises_in_at_most_ten_steps(t, visited):
    degraded, clean = noisy_pairs(0.3, count=6)
    network = knows_image(clean)
    starts = {}
    errors_at = SDEdit().errors_at(network, degraded, clean, seed=4)
    for step in (t, 23):
        network.calls.clear()
        errors_at(step)
        u, _ = network.calls[0]
        signal, sigma = levels(PRESERVING, step)
        starts[step] = (u - signal * degraded) / sigma
        if step == t:
            assert [seen for _, seen in network.calls] == visited
            assert network.evaluations == 6 * min(t, 10)
    torch.testing.assert_close(starts[t], starts[23])
    assert starts[t].std().item() == pytest.approx(1, abs=0.05)
