"""A checkpoint of an earlier version restores to the same bytes.

``old_checkpoint/unified.pth`` is a toy network with adapters, trained incrementally on ten tasks
at commit b9ec569. ``restored.png`` is the result of its ``tools/restore.py`` for ``degraded.png``.
"""

from pathlib import Path

from dtir_mm.apis import load_restorer, restore_pixels
from dtir_mm.image_io import read_image

OLD = Path(__file__).parents[1] / 'fixtures' / 'old_checkpoint'
RAINY = 8  # t_mat of rain in that run


def test_an_old_checkpoint_restores_to_the_same_bytes():
    restorer = load_restorer(OLD / 'unified.pth')
    assert restorer.timesteps['rainy'] == RAINY
    degraded, expected = (read_image(OLD / f'{name}.png') for name in ('degraded', 'restored'))
    assert (degraded != expected).mean() > 0.5
    assert restore_pixels(restorer, degraded, RAINY).tobytes() == expected.tobytes()
