"""The generator as a restorer, with a network that knows the noise."""

import pytest
import torch

from dtir_mm.models.restorers.zero_shot_restorer import ZeroShotRestorer


def build(toy_backbone, inference):
    return ZeroShotRestorer(inference, backbone=toy_backbone, timesteps='fixed:8').eval()


def test_score_takes_a_perfectly_predicted_noise_away(toy_backbone):
    restorer = build(toy_backbone, 'score')
    clean, noise = torch.rand(2, 3, 8, 8) - 0.5, torch.randn(2, 3, 8, 8)
    restorer.nuisance = lambda u, t: noise
    t = torch.tensor([4, 12])
    sigma = restorer.schedule.sigma(t).float().view(-1, 1, 1, 1)
    torch.testing.assert_close(restorer(clean + sigma * noise, t), clean)


def test_sdedit_of_a_network_that_knows_the_image_gives_the_image(toy_backbone):
    restorer = build(toy_backbone, 'sdedit')
    clean = torch.rand(2, 3, 8, 8) - 0.5
    calls = []

    def perfect(u, t):
        calls.append(int(t))
        alpha_bar = restorer.schedule.alpha_bar(t).float().view(-1, 1, 1, 1)
        return (u - alpha_bar.sqrt() * clean[int(len(calls) > 8)][None]) / (1 - alpha_bar).sqrt()

    restorer.nuisance = perfect
    restored = restorer(clean, torch.tensor([8, 30]))
    torch.testing.assert_close(restored, clean, rtol=1e-4, atol=1e-4)
    assert calls[:8] == list(range(8, 0, -1)) and len(calls) == 18  # at most ten passes each


def test_sdedit_is_the_same_every_time_and_starts_from_the_degraded_image(toy_backbone):
    restorer = build(toy_backbone, 'sdedit')
    degraded, t = torch.rand(1, 3, 8, 8) - 0.5, torch.tensor([8])
    with torch.no_grad():
        first, again, other = restorer(degraded, t), restorer(degraded, t), restorer(-degraded, t)
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.05


def test_another_inference_is_refused(toy_backbone):
    with pytest.raises(ValueError, match="inference='ddpm'.*score.*sdedit"):
        build(toy_backbone, 'ddpm')
