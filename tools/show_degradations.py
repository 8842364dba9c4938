"""Draws a contact sheet of the synthetic degradations: a row per task, clean - source - target.

python tools/show_degradations.py data/photos/test sheet.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dtir_mm.apis.command_line import ToolParser, at_least, one_line_errors
from dtir_mm.datasets.base_dataset import spread
from dtir_mm.datasets.degradations import DEGRADATIONS, SEVERITIES, degradation_for
from dtir_mm.datasets.image_folders import list_images
from dtir_mm.image_io import read_image, save_image
from dtir_mm.names import shown
from dtir_mm.randomness import generator

GAP = 4
CAPTION = 22


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', type=Path, help='folder of photographs')
    parser.add_argument('output', type=Path, help='the PNG to write')
    parser.add_argument('--tasks', nargs='+', default=list(DEGRADATIONS), help='default: all ten')
    parser.add_argument(
        '--count', type=at_least(1), default=2, help='number of photographs (default: 2)'
    )
    parser.add_argument(
        '--width', type=at_least(8), default=320, help='width of an image in px (default: 320)'
    )
    parser.add_argument('--crop', action='store_true', help='crop the centre instead of shrinking')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args(argv)


def panel(image: np.ndarray, caption: str, width: int, crop: bool) -> np.ndarray:
    """An image of 4:3 below its caption: (3/4 width + CAPTION, width, 3)."""
    height = width * 3 // 4
    scale = 1.0 if crop else max(width / image.shape[1], height / image.shape[0])
    if scale != 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (max(0, (a - b) // 2) for a, b in zip(image.shape, (height, width), strict=False))
    middle = image[top : top + height, left : left + width]
    shown = np.full((height + CAPTION, width, 3), 255, np.uint8)
    shown[CAPTION : CAPTION + middle.shape[0], : middle.shape[1]] = middle
    cv2.putText(shown, caption, (4, CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 0, 1, cv2.LINE_AA)
    return shown


def task_row(
    task: str, photos: dict[str, np.ndarray], seed: int, width: int, crop: bool
) -> np.ndarray:
    """All photographs under one degradation, side by side, with their PSNR."""
    panels = []
    for stem, clean in photos.items():
        panels.append(panel(clean, 'clean', width, crop))
        for severity in SEVERITIES:
            rng = generator(seed, task, stem)
            degraded = degradation_for(task, severity).degrade(clean, rng)
            psnr = cv2.PSNR(clean, degraded)
            panels.append(panel(degraded, f'{task} {severity} {psnr:.1f} dB', width, crop))
    return np.hstack([np.pad(p, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for p in panels])


@one_line_errors('show_degradations')
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    files = list_images(args.photos)
    chosen = spread(files, min(args.count, len(files)))
    photos = {file.stem: read_image(file) for file in chosen}
    rows = [task_row(task, photos, args.seed, args.width, args.crop) for task in args.tasks]
    save_image(args.output, np.vstack(rows))
    print(f'{args.output}: {len(args.tasks)} tasks, {", ".join(map(shown, photos))}')


if __name__ == '__main__':
    main()
