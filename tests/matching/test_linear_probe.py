"""The linear probe, against ridge regression by least squares."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from toy_networks import Network

from dtir_mm.matching.conclusion import conclude
from dtir_mm.matching.criteria import LinearProbe
from dtir_mm.matching.search import search


def random_convolutions(features: int = 5) -> Network:
    """A network whose features depend on t, and on neighbours, nonlinearly."""
    weights = torch.randn(features, 3, 3, 3, dtype=torch.float64)

    def read(u: Tensor, t: int) -> Tensor:
        return torch.tanh(F.conv2d(u, weights, padding=1) * (0.2 + t / 25))

    return Network(lambda u, t: read(u, t)[:, 1:4].square() * 0.7, read)


def ridge_errors(network: Network, degraded: Tensor, clean: Tensor, t: int) -> np.ndarray:
    """Held-out relative errors, image by image, from least squares with rows for the penalty."""
    inputs, targets = [], []
    for y, x in zip(degraded, clean, strict=True):
        h, f = network.read(y[None], t)[0], network.predict(y[None], t)[0]
        means = h.mean((1, 2), keepdim=True).expand_as(h)
        stacked = torch.cat([torch.ones_like(y[:1]), y, f, means, h])
        inputs.append(stacked.flatten(1).T.numpy())
        targets.append((y - x).flatten(1).T.numpy())
    errors = np.zeros(len(inputs))
    for half in (0, 1):
        z = np.concatenate(inputs[1 - half :: 2])
        r = np.concatenate(targets[1 - half :: 2])
        penalty = np.sqrt(0.01 * (z**2).sum(0).mean()) * np.eye(z.shape[1])
        augmented = np.concatenate([z, penalty]), np.concatenate([r, np.zeros((len(penalty), 3))])
        weights = np.linalg.lstsq(*augmented)[0]
        for i in range(half, len(inputs), 2):
            rest = targets[i] - inputs[i] @ weights
            errors[i] = (rest**2).sum() / (targets[i] ** 2).sum()
    return errors


def rough_pairs(count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """A degradation that is partly linear in the image, partly not, and partly noise."""
    clean, noise = torch.randn(2, count, 3, height, width, dtype=torch.float64)
    return 0.5 * clean + 0.2 * clean.roll(1, -1).square() + 0.1 * noise - 0.2, clean


@pytest.mark.parametrize('count', [4, 9])
def test_linear_probe_is_a_cross_validated_ridge(count):
    network = random_convolutions()
    degraded, clean = rough_pairs(count, 12, 10)
    errors_at = LinearProbe().errors_at(network, degraded, clean, seed=0)
    for t in (1, 20, 50):
        expected = ridge_errors(network, degraded, clean, t)
        np.testing.assert_allclose(errors_at(t), expected, rtol=1e-6)
    assert expected.max() < 0.95 and np.ptp(expected) > 1e-3


def test_linear_probe_of_large_images_samples_pixels():
    network = random_convolutions()
    degraded, clean = rough_pairs(6, 48, 64)
    downwards = torch.linspace(0, 1, 48, dtype=torch.float64)[:, None]
    degraded = clean + downwards * (degraded - clean)
    one, again, other = (
        LinearProbe().errors_at(network, degraded, clean, seed)(9) for seed in (1, 1, 2)
    )
    assert torch.equal(one, again) and (one != other).all()
    expected = ridge_errors(network, degraded, clean, 9)
    np.testing.assert_allclose(one, expected, rtol=0.25)
    np.testing.assert_allclose(one.mean(), expected.mean(), rtol=0.1)


@pytest.mark.parametrize('carrying', [1, 5, 19, 34, 50])
def test_linear_probe_finds_the_step_whose_features_carry_the_residual(carrying):
    """Clean values are multiples of 0.2, so that the residual is no linear function of y."""
    clean = torch.randint(-5, 6, (12, 3, 16, 16)).double() / 5
    degraded = clean + 0.1 * (torch.rand(clean.shape, dtype=torch.float64) - 0.5)

    def read(u: Tensor, t: int) -> Tensor:
        residual = u - (u * 5).round() / 5
        return 20 * residual + 0.2 * abs(t - carrying) * torch.randn(u.shape, dtype=u.dtype)

    network = Network(lambda u, t: torch.zeros_like(u), read)
    errors_at = LinearProbe().errors_at(network, degraded, clean, seed=0)
    match = conclude(search(errors_at, 50), 'linear_probe', 50, 0, LinearProbe.min_gain)
    assert match.status == 'identified'
    assert abs(match.t_mat - carrying) <= 1
    curve = dict(match.curve)
    assert curve[match.t_mat] < 0.1 and max(curve.values()) > 0.7
