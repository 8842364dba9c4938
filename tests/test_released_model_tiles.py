"""Tiles of the released model against the whole image, on a degraded photograph."""

import numpy as np
import pytest
from skimage.data import astronaut

from dtir_mm.apis.loading import load_restorer
from dtir_mm.apis.restoring import prepared, restore_pixels
from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.randomness import generator
from dtir_mm.released_model import released_model


@pytest.mark.parametrize('task', ['shadowed', 'hazy'])
def test_tiles_differ_from_the_whole_image_by_one_level(task):
    rng = generator('tiles', task)
    degraded = degradation_for(task, 'source').degrade(astronaut()[:, :448], rng)
    restorer = load_restorer(str(released_model()))
    t = restorer.timesteps[task]
    whole, tiled, narrow = (
        restore_pixels(_with(restorer, t, tile, overlap), degraded, t).astype(int)
        for tile, overlap in ((None, 64), (384, restorer.tile_overlap), (384, 64))
    )
    assert np.abs(tiled - whole).max() <= 1
    assert np.abs(narrow - whole).max() > 1  # so that the overlap is what matters here


def _with(restorer, t, tile, overlap):
    changed = prepared(restorer, t, tile, ensemble=False)
    changed.tile_overlap = overlap
    return changed
