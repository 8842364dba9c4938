"""The pre-trained generator as a restorer, with a network that knows the noise."""

import pytest
import torch
from restorer_cases import RELEASED, SIGMA

from dtir_mm.registry import MODELS


def build(toy_backbone, passes, **arguments):
    config = dict(type='Restorer', backbone=toy_backbone, passes=passes, timesteps='fixed:8')
    return MODELS.build(config | arguments).eval()


def test_one_pass_removes_perfectly_predicted_noise(toy_backbone):
    """The degraded image is taken for a noisy one, which is s_t of the network's output away."""
    restorer = build(toy_backbone, 'one', head=dict(type='NoiseHead', residual_scale='sigma'))
    clean, noise = torch.rand(2, 3, 8, 8) - 0.5, torch.randn(2, 3, 8, 8)
    restorer.predict_residual = lambda u, t: noise
    t = torch.tensor([4, 12])
    sigma = restorer.schedule.sigma(t).float().view(-1, 1, 1, 1)
    torch.testing.assert_close(restorer(clean + sigma * noise, t), clean)


@pytest.mark.parametrize('recipe', ['paper', 'released'])
def test_sdedit_with_a_perfect_network_returns_the_clean_image(toy_backbone, recipe):
    restorer = build(toy_backbone, 'sdedit', **(RELEASED if recipe == 'released' else {}))
    clean = torch.rand(2, 3, 8, 8) * 0.8 + 0.1
    calls = []

    def perfect(u, t, restoring):
        calls.append(int(t))
        assert not restoring
        image = clean[int(len(calls) > 8)][None]
        if recipe == 'released':
            return u - image
        alpha_bar = (1 - torch.linspace(0.002, 0.4, 50)).cumprod(0)[t - 1].view(-1, 1, 1, 1)
        return (u - alpha_bar.sqrt() * image) / (1 - alpha_bar).sqrt()

    restorer.predict_residual = perfect
    restored = restorer(clean, torch.tensor([8, 30]))
    torch.testing.assert_close(restored, clean, rtol=1e-4, atol=1e-4)
    assert calls[:8] == list(range(8, 0, -1)) and len(calls) == 18  # at most ten passes each


def test_sdedit_diffuses_to_the_given_step(toy_backbone):
    """What the network first sees is the degraded image with noise of that step's strength."""
    restorer = build(toy_backbone, 'sdedit', **RELEASED)
    degraded, seen = torch.rand(2, 3, 64, 64), []

    def watch(u, t, restoring):
        seen.append((int(t), u))
        return torch.zeros_like(u)

    restorer.predict_residual = watch
    restorer(degraded, torch.tensor([1, 30]))
    for image, (t, noisy) in zip(degraded, (seen[0], seen[1]), strict=True):
        added = noisy[0] - image
        assert float(added.std()) == pytest.approx(SIGMA[t], rel=0.03)
        assert abs(float(added.mean())) < 4 * SIGMA[t] / (3 * 64 * 64) ** 0.5
    assert [t for t, _ in seen] == [1, 30, 27, 24, 21, 18, 15, 12, 9, 6, 3]


def test_sdedit_is_deterministic_and_depends_on_the_degraded_image(toy_backbone):
    restorer = build(toy_backbone, 'sdedit')
    degraded, t = torch.rand(1, 3, 8, 8) - 0.5, torch.tensor([8])
    with torch.no_grad():
        first, again, other = restorer(degraded, t), restorer(degraded, t), restorer(-degraded, t)
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.05
