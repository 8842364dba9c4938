"""A checkpoint of an earlier version restores to the same bytes.

``old_checkpoint/unified.pth`` is of commit b9ec569: ten tasks joined one after another in the toy
network of these tests, with adapters. ``restored.png`` is what that commit's ``tools/restore.py``
made of ``degraded.png``.
"""

from pathlib import Path

import pytest

from dtir_mm.apis import load_restorer, restore
from dtir_mm.image_io import read_image

OLD = Path(__file__).parents[1] / 'fixtures' / 'old_checkpoint'
RAINY = 8  # t_mat of rain in that run


def test_an_old_checkpoint_restores_to_the_same_bytes():
    restorer = load_restorer(OLD / 'unified.pth')
    assert restorer.timesteps['rainy'] == RAINY
    degraded, expected = (read_image(OLD / f'{name}.png') for name in ('degraded', 'restored'))
    assert (degraded != expected).mean() > 0.5
    assert restore(restorer, degraded, RAINY).tobytes() == expected.tobytes()


@pytest.mark.parametrize('t', [1, 27, 50])
def test_other_time_steps_restore_otherwise(t):
    degraded, of_rain = (read_image(OLD / f'{name}.png') for name in ('degraded', 'restored'))
    assert (restore(load_restorer(OLD / 'unified.pth'), degraded, t) != of_rain).any()
