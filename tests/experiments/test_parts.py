"""Data sets and objectives that only the experiments use."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from evidence.parts import (
    CompositePhotosDataset,
    MaskedReconstruction,
    OneSigmaNoisePrediction,
    WidenedPhotosDataset,
)

from dtir_mm.datasets.degradations.jpeg import compress
from dtir_mm.datasets.photos import DegradedPhotosDataset
from dtir_mm.diffusion.noise_schedule import VariancePreserving
from dtir_mm.image_io import save_image


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in ('a', 'b', 'c', 'd'):
        pixels = rng.integers(60, 190, (24, 32, 3)).astype(np.uint8)
        save_image(tmp_path / f'{name}.png', pixels)
    return str(tmp_path)


def test_composite_is_the_source_severity_as_jpeg(photos):
    source = DegradedPhotosDataset(photos, 'rainy', []).load(2)
    composite = CompositePhotosDataset(photos, 'rainy', []).load(2)
    np.testing.assert_array_equal(composite['degraded'], compress(source['degraded'], 60))
    np.testing.assert_array_equal(composite['clean'], source['clean'])
    assert (source['domain'], composite['domain']) == ('source', 'composite')


def test_widened_pairs_scale_the_degradation_by_a_factor_of_their_own(photos):
    source = DegradedPhotosDataset(photos, 'hazy', [], draws=3)
    widened = WidenedPhotosDataset(photos, 'hazy', [], draws=3)
    factors = []
    for index in range(len(source)):
        before, after = source.load(index), widened.load(index)
        np.testing.assert_array_equal(after['degraded'], widened.load(index)['degraded'])
        was, now = (part['degraded'].astype(float) - part['clean'] for part in (before, after))
        inside = (after['degraded'] > 0) & (after['degraded'] < 255) & (abs(was) > 20)
        ratio = (now / np.where(was == 0, 1, was))[inside]
        assert ratio.std() < 0.03
        factors.append(ratio.mean())
    assert min(factors) >= 0.48
    assert max(factors) <= 1.52
    assert max(factors) - min(factors) > 0.5


def samples(size: int = 16) -> dict:
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(4, 3, size, size, generator=rng) * 2 - 1
    keys = torch.tensor([[0, 7, slot, slot] for slot in range(4)])
    return {'clean': clean, 'degraded': clean + 0.1, 'key': keys}


def test_one_sigma_has_one_noise_level_and_random_steps():
    schedule = VariancePreserving()
    seen = {}

    def predict_noise(noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.update(noisy=noisy, t=t)
        return torch.zeros_like(noisy)

    batch = samples(64)
    restorer = SimpleNamespace(schedule=schedule, predict_noise=predict_noise)
    losses = OneSigmaNoisePrediction(step=8).losses(restorer, batch)
    at = torch.tensor([8])
    added = seen['noisy'] - schedule.signal(at).float() * batch['clean']
    noise = added / schedule.sigma(at).float()
    assert noise.std(dim=(1, 2, 3)) == pytest.approx([1] * 4, abs=0.03)
    assert losses.total == pytest.approx(noise.square().mean(dim=(1, 2, 3)), rel=1e-4)
    assert len(set(seen['t'].tolist())) > 1


class Restorer:
    """Returns its input plus a change, and keeps what it got."""

    image_range = (-1.0, 1.0)
    schedule = VariancePreserving()

    def __init__(self, change: torch.Tensor | float = 0.0) -> None:
        self.change = change

    def __call__(self, images: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        self.images, self.t = images, t
        return images + self.change


def test_masking_hides_half_of_the_pixels_in_all_channels():
    batch, restorer = samples(64), Restorer()
    MaskedReconstruction(0.5).losses(restorer, batch)
    hidden = restorer.images == 0
    assert torch.equal(hidden.all(1), hidden.any(1))
    assert hidden.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(restorer.images[~hidden], batch['degraded'][~hidden])
    again = Restorer()
    MaskedReconstruction(0.5).losses(again, batch)
    assert torch.equal(again.images, restorer.images)


def test_masked_loss_is_that_of_the_hidden_pixels_alone():
    batch, restorer = samples(), Restorer()
    objective = MaskedReconstruction(0.5)
    total = objective.losses(restorer, batch).total
    hidden = restorer.images == 0
    expected = [
        (0 - clean[mask]).abs().mean() for clean, mask in zip(batch['clean'], hidden, strict=True)
    ]
    assert total == pytest.approx(torch.stack(expected))
    elsewhere = torch.where(hidden, 0.0, 5.0)
    assert objective.losses(Restorer(elsewhere), batch).total == pytest.approx(total)
