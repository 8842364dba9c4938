"""The mean over an image and its flips, against flips by numpy."""

import numpy as np
import pytest
import torch
from restorer_cases import RELEASED, apply_tiled
from torch import Tensor, nn

from dtir_mm.models.restorers.flips import average_over_flips
from dtir_mm.registry import MODELS

FLIPS = (
    lambda a: a,
    lambda a: a[..., ::-1],
    lambda a: a[..., ::-1, :],
    lambda a: a[..., ::-1, ::-1],
)


def test_flips_are_undone_before_averaging():
    """A function that sees left from right and top from bottom."""
    ramp = torch.arange(20, dtype=torch.float64).reshape(4, 5).expand(2, 3, 4, 5)
    image = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    result = average_over_flips(lambda u: u.cumsum(-1) * ramp, image)

    def by_hand(u: np.ndarray) -> np.ndarray:
        return np.cumsum(u, axis=-1) * ramp.numpy()

    expected = sum(flip(by_hand(flip(image.numpy()))) for flip in FLIPS) / 4
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)
    assert not np.allclose(result.numpy(), by_hand(image.numpy()))


@pytest.mark.parametrize('tile', [None, 8])
@pytest.mark.parametrize('arguments', [dict(), RELEASED], ids=['paper', 'released'])
def test_an_ensemble_restores_the_mean_over_four_flips(toy_backbone, arguments, tile):
    """Each flip is padded separately to a valid size; tiles are averaged one by one."""
    settings = dict(backbone=toy_backbone, tile=tile, tile_overlap=4, **arguments)
    restorer, single = (
        MODELS.build(dict(type='Restorer', ensemble=ensemble, **settings)).eval()
        for ensemble in (True, False)
    )
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.1)
    single.load_state_dict(restorer.state_dict())
    for either in (restorer, single):
        either.set_precision('fp64')
    low, high = restorer.image_range
    y = torch.rand(2, 3, 7, 13, dtype=torch.float64) * (high - low) + low
    t = torch.tensor([8, 47])

    @torch.no_grad()
    def restored(image: np.ndarray) -> np.ndarray:
        """Of the single restorer, by hand padded to even sides, in the model's range."""
        height, width = image.shape[-2:]
        padding = ((0, 0), (0, 0), (0, height % 2), (0, width % 2))
        padded = np.pad(image, padding, mode='reflect')
        return single(torch.from_numpy(padded.copy()), t).numpy()[..., :height, :width]

    def mean(image: Tensor) -> Tensor:
        flips = [flip(restored(flip(image.numpy()))) for flip in FLIPS]
        return torch.from_numpy(sum(flips) / 4)

    whole = apply_tiled(mean, y, tile, 4, multiple=2) if tile else mean(y)
    expected = (whole.numpy() - low) / (high - low)
    result = restorer.restore_images(y, t)
    np.testing.assert_allclose(result.numpy(), expected.clip(0, 1), atol=1e-12)
    assert 0.3 < np.mean((expected > 0) & (expected < 1))
    assert (result - single.restore_images(y, t)).abs().max() > 1e-3


def test_an_ensemble_returns_clean_images(toy_backbone):
    restorer = MODELS.build(dict(type='Restorer', backbone=toy_backbone, ensemble=True)).eval()
    calls = []

    def predict_residual(u: Tensor, t: Tensor) -> Tensor:
        calls.append(t.tolist())
        return torch.ones_like(u)

    restorer.predict_residual = predict_residual
    y = torch.rand(2, 3, 4, 4) * 2 - 1
    result = restorer.restore_images(y, torch.tensor([0, 8]))
    assert torch.equal(result[0], (y[0] + 1) / 2) and calls == [[8]] * 4
