"""The memory that restoring a large image takes."""

import subprocess
import sys

import pytest

SIDE, TILE = 3072, 256
SCRIPT = f"""
import numpy as np, torch
from pathlib import Path
import dtir_mm.models
from dtir_mm.apis.restoring import find, prepared, restore_pixels
from dtir_mm.registry import MODELS

def peak():
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM'))

class Local(torch.nn.Module):
    global_skip, size_multiple = False, 1
    def __init__(self):
        super().__init__()
        self.first, self.last = (torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
    def forward(self, u):
        return self.last(torch.relu(self.first(u)))

backbone = dict(type='ConditionedBackbone', backbone=dict(type=Local))
classifier = dict(type='DegradationClassifier', tasks=['rainy', 'noisy'], width=4)
restorer = MODELS.build(dict(type='Restorer', backbone=backbone, classifier=classifier)).eval()
restorer = prepared(restorer, None, {TILE}, False)
image = np.random.default_rng(0).integers(0, 256, ({SIDE}, {SIDE}, 3), dtype=np.uint8)
small = image[:{TILE}, :{TILE}]
find(restorer, small, None), restore_pixels(restorer, small, 8)  # loads libraries
Path('/proc/self/clear_refs').write_text('5')
before = peak()
COMMAND
print(peak() - before)
"""


def bytes_for(command: str) -> int:
    script = SCRIPT.replace('COMMAND', command)
    done = subprocess.run(
        [sys.executable, '-c', script], check=True, stdout=subprocess.PIPE, text=True, timeout=300
    )
    return int(done.stdout.splitlines()[-1])


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_an_image_in_tiles_takes_little_more_than_its_result():
    """A single copy of the image in floating point takes 113 MB: twelve rows of tiles."""
    taken = bytes_for('restore_pixels(restorer, image, 8)')
    result, rows = 3 * SIDE**2, 4 * 3 * SIDE * TILE
    # Freed memory is kept, with gaps.
    assert result <= taken < result + 8 * rows < 4 * 3 * SIDE**2 + result


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_the_degradation_is_found_from_parts_of_the_image():
    """For the whole image, the classifier takes four times as much as for a quarter."""
    quarter = bytes_for('find(restorer, image[:1024, :1024], None)')
    assert bytes_for('find(restorer, image, None)') < 1.2 * quarter
