"""Which restoration is most consistent with the generator, against loops over images and steps."""

import pytest
import torch
from blind_cases import build, images
from restorer_cases import RELEASED, SIGMA
from torch import Tensor, nn

from dtir_mm.models.restorers import generative_consistency
from dtir_mm.models.restorers.generative_consistency import generative_inconsistency


def inconsistency_by_loop(restorer: nn.Module, image: Tensor, multiple: int) -> float:
    """One image and step at a time, with the schedule written out."""
    alpha_bar = torch.cumprod(1 - torch.linspace(0.002, 0.4, 50, dtype=torch.float64), 0)
    height, width = (side // multiple * multiple for side in image.shape[1:])
    image = image[:, :height, :width]
    rng, errors = torch.Generator().manual_seed(0), []
    for t in (3, 6):
        noise = torch.randn(3, height, width, generator=rng).double()
        noisy = alpha_bar[t - 1].sqrt() * image + (1 - alpha_bar[t - 1]).sqrt() * noise
        predicted = restorer.backbone(noisy[None], torch.tensor([t]), False)[0]
        errors.append(float(((predicted - noise) ** 2).detach().mean()))
    return sum(errors) / 2


@pytest.mark.parametrize(('height', 'width'), [(8, 12), (7, 9)])
def test_inconsistency_is_the_noise_prediction_error_at_low_noise(height, width):
    restorer = build()
    x = images(3, height, width)
    scores = generative_inconsistency(restorer, x)
    assert restorer.backbone.size_rule.multiple == 2
    expected = [inconsistency_by_loop(restorer, image, 2) for image in x]
    assert scores.tolist() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(generative_inconsistency(restorer, x), scores)  # under the same noise


def test_inconsistency_of_the_released_recipe():
    """In units of noise of variance one, though the network gives it at its own strength."""
    restorer, x = build(**RELEASED), images(2) / 2 + 0.5
    scores = generative_inconsistency(restorer, x)
    for image, score in zip(x, scores, strict=True):
        rng, errors = torch.Generator().manual_seed(0), []
        for t in (3, 6):
            noise = torch.randn(3, 8, 8, generator=rng).double()
            noisy = image + SIGMA[t] * noise
            output = restorer.backbone(noisy[None], torch.tensor([t]), False)[0]
            errors.append(float((output / SIGMA[t] - noise).detach().square().mean()))
        assert score.item() == pytest.approx(sum(errors) / 2, rel=1e-9)


def test_try_all_selects_the_least_inconsistent_restoration(monkeypatch):
    restorer, degraded = build(inference='try_all'), images(6)
    found = restorer.find_steps(degraded).tolist()
    for i, step in enumerate(found):
        scores = {}
        for t in (4, 8, 47):
            restored = restorer.restore_images(degraded[i : i + 1], torch.tensor([t]))
            scores[t] = inconsistency_by_loop(restorer, restored[0] * 2 - 1, 2)
        assert step == min(scores, key=scores.get)
    # and with scores that are known: the second call is that of t = 8
    table = iter([[3.0, 1.0, 2.0], [2.0, 5.0, 1.0], [1.0, 4.0, 3.0]])
    monkeypatch.setattr(
        generative_consistency, 'generative_inconsistency', lambda *_: torch.tensor(next(table))
    )
    assert restorer.find_steps(degraded[:3]).tolist() == [47, 4, 8]


def test_try_all_tries_a_shared_step_once():
    restorer = build(inference='try_all', timesteps='fixed:8')
    assert restorer.find_steps(images(3)).tolist() == [8] * 3


def test_try_all_selects_the_correct_restoration_under_a_perfect_generator():
    """Clean images are constant here, so noise is the difference from the mean."""
    restorer = build(inference='try_all')
    shifts = {4: 0.0, 8: -0.5, 47: 0.5}  # each step leaves another ripple

    def predict_residual(u: Tensor, t: Tensor, restoring: bool = True) -> Tensor:
        if not restoring:
            return (u - u.mean((2, 3), keepdim=True)) / restorer.schedule.sigma(t)[0]
        ripple = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(4)
        part = torch.tensor([0.2 + shifts[int(step)] for step in t])[:, None, None, None]
        return part * ripple / restorer.head.scale(restorer.schedule, t)[:, None, None, None]

    restorer.predict_residual = predict_residual
    ripple = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(4).expand(3, 3, 8, 8)
    sizes = torch.tensor([0.2, -0.3, 0.7])[:, None, None, None]
    assert restorer.find_steps(0.1 + sizes * ripple).tolist() == [4, 8, 47]
