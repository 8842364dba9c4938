"""Draws the example at the top of README.md: a test photograph, degraded and restored.

    python experiments/released_model/example.py [--photos data/photos] [--checkpoint FILE]

The upper row has the photograph under four degradations of source severity, the lower row what the
released model makes of them; the degradation is named. The photograph is "picosdeeuropa" by Aitzol
Berasategi (CC-BY-4.0), of the Debian package lomiri-wallpapers-16.04.
"""

import argparse
from pathlib import Path

import numpy as np
from cases import single

import dtir_mm
from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.image_io import save_image

PHOTO = 'lomiri-wallpapers-16.04__picosdeeuropa'
TASKS = ('noisy', 'low_light', 'snowy', 'inpainting')
_HEIGHT, _WIDTH, _GAP = 270, 360, 6


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    parser.add_argument('--photos', type=Path, default=Path('data/photos'))
    parser.add_argument('--out', type=Path, default=Path('docs/images/restored.jpg'))
    parser.add_argument('--checkpoint', help='default: the released model')
    return parser.parse_args()


@one_line_errors('example')
def main() -> None:
    args = parse_args()
    columns = []
    for task in TASKS:
        pairs = single(args.photos / 'test', task, 'source').pairs()
        degraded = next(pair.degraded for pair in pairs if pair.photo == PHOTO)
        restored = dtir_mm.restore(degraded, args.checkpoint, task=task)
        columns.append(np.vstack([_cut(degraded), _white(_GAP, _WIDTH), _cut(restored)]))
    gap = _white(len(columns[0]), _GAP)
    parts = [part for column in columns for part in (gap, column)]
    save_image(args.out, np.hstack(parts[1:]))
    print(f'written: {args.out}')


def _cut(image: np.ndarray) -> np.ndarray:
    return image[-_HEIGHT:, -_WIDTH:]


def _white(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


if __name__ == '__main__':
    main()
