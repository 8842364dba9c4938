"""What a network's output means in each head convention and range of images."""

import numpy as np
import pytest
import torch
from restorer_cases import ALPHA_BAR, SIGMA
from torch import Tensor, nn

from dtir_mm.registry import MODELS

PRESERVING, EXPLODING = dict(type='VariancePreserving'), dict(type='VarianceExploding')
PRESERVED = np.sqrt(1 - ALPHA_BAR)  # noise levels in [-1, 1]
EXPLODED = SIGMA[1:]  # and in [0, 1]
RESIDUAL = dict(type='ResidualHead')
T = torch.arange(1, 51)
CASES = pytest.mark.parametrize(
    ('schedule', 'image_range', 'sigma'),
    [
        (PRESERVING, (-1, 1), PRESERVED),
        (PRESERVING, (0, 1), PRESERVED),
        (EXPLODING, (0, 1), EXPLODED),
        (EXPLODING, (-1, 1), 2 * EXPLODED),
    ],
    ids=['preserving', 'preserving unit', 'exploding unit', 'exploding'],
)


def build(backbone: dict, **arguments) -> nn.Module:
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, **arguments))
    restorer.set_precision('fp64')
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.2)
    return restorer.eval()


def column(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float64))[:, None, None, None]


@CASES
@pytest.mark.parametrize('scale', ['one', 'sigma', 'sigma_floor', None])
def test_the_scaled_output_is_subtracted_from_the_degraded_image(
    toy_backbone, schedule, image_range, sigma, scale
):
    head = dict(type='NoiseHead', residual_scale=scale) if scale else RESIDUAL
    restorer = build(toy_backbone, schedule=schedule, image_range=image_range, head=head)
    y = torch.randn(50, 3, 4, 6, dtype=torch.float64)
    with torch.no_grad():
        restored, output = restorer(y, T), restorer.backbone(y, T)
    c = {'sigma': sigma, 'sigma_floor': np.maximum(sigma, 0.25)}.get(scale, np.ones(50))
    torch.testing.assert_close(restored, y - column(c) * output)


@CASES
def test_both_heads_predict_noise_in_both_units(toy_backbone, schedule, image_range, sigma):
    """One predicts it at variance one, the other at its own strength; both know the other unit."""
    x = torch.randn(50, 3, 4, 6, dtype=torch.float64)
    for kind in ('NoiseHead', 'ResidualHead'):
        restorer = build(
            toy_backbone, schedule=schedule, image_range=image_range, head=dict(type=kind)
        )
        with torch.no_grad():
            output = restorer.backbone(x, T)
            unit, strong = restorer.predict_noise(x, T), restorer.noise_in(x, T)
        if kind == 'NoiseHead':
            assert torch.equal(unit, output)
            torch.testing.assert_close(strong, column(sigma) * output)
        else:
            assert torch.equal(strong, output)
            torch.testing.assert_close(unit, output / column(sigma))


def test_perfect_noise_predictions_recover_the_clean_image(toy_backbone):
    """Either head's noise takes the noisy image back to the clean one."""
    clean, noise = torch.rand(2, 50, 3, 4, 4, dtype=torch.float64)
    for kind in ('NoiseHead', 'ResidualHead'):
        restorer = build(toy_backbone, schedule=EXPLODING, image_range=(0, 1), head=dict(type=kind))
        strength = column(EXPLODED if kind == 'ResidualHead' else np.ones(50))
        restorer.predict_residual = lambda u, t, restoring, strength=strength: strength * noise
        noisy = restorer.schedule.add_noise(clean, noise, T)
        torch.testing.assert_close(noisy, clean + column(EXPLODED) * noise)
        torch.testing.assert_close(noisy - restorer.noise_in(noisy, T), clean)
        back = restorer.schedule.predict_clean(noisy, restorer.predict_noise(noisy, T), T)
        torch.testing.assert_close(back, clean)


def test_single_precision_is_kept(toy_backbone):
    """Scales come in float64, and must not lift float32 images."""
    for head in (dict(type='NoiseHead'), RESIDUAL):
        restorer = MODELS.build(dict(type='Restorer', backbone=toy_backbone, head=head))
        y = torch.rand(2, 3, 4, 4)
        for function in (restorer, restorer.predict_noise, restorer.noise_in):
            assert function(y, torch.tensor([1, 50])).dtype == torch.float32


@pytest.mark.parametrize('image_range', [(-1, 1), (0, 1)])
def test_both_ranges_restore_the_same_image(toy_backbone, image_range):
    """Under a network whose output is in proportion to the range: a shift by 20 levels of 255."""
    restorer = build(toy_backbone, image_range=image_range, head=RESIDUAL)
    low, high = image_range
    restorer.predict_residual = lambda u, t: torch.full_like(u, -20 / 255 * (high - low))
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    data = dict(degraded=values, clean=values.flip(-1), task=['rainy'], domain=['s'], path=['a'])
    (result,) = restorer.test_step(data)
    pixels = values[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(result['restored'], np.minimum(pixels.astype(int) + 20, 255))
    np.testing.assert_array_equal(result['degraded'], pixels)
    np.testing.assert_array_equal(result['clean'], pixels[:, ::-1])
    fifth = low + (high - low) / 5
    assert float(restorer.from_uint8(torch.tensor(51.0))) == pytest.approx(fifth, rel=1e-6)
