r"""Links public data sets into the folders that configs read, and makes synthetic pairs.

    python tools/prepare_pairs.py link GoPro train ~/GOPRO_Large
    python tools/prepare_pairs.py link Snow100K train ~/Snow100K-training --limit 1872
    python tools/prepare_pairs.py degrade jpeg ~/DIV2K_train_HR ~/Flickr2K_HR \
        --out data/universal/train/jpeg-compressed
    python tools/prepare_pairs.py degrade inpainting ~/faces --masks ~/thin_masks \
        --out data/universal/val/uncompleted

`link` creates links in all folders of Settings A and B that use the split, with one name for both
images of a pair; it also accepts a folder that contains LQ and GT, such as DA-CLIP's. `degrade`
applies JPEG of quality 10, noise of sigma 50, or white holes, the same on every machine. Nothing is
overwritten, and an interrupted call can be continued. docs/datasets.md describes the data sets.
"""

import argparse
from pathlib import Path

from tqdm import tqdm

from dtir_mm.apis.command_line import (
    ToolParser,
    add_workers,
    at_least,
    map_in_processes,
    one_line_errors,
)
from dtir_mm.datasets.base_dataset import spread
from dtir_mm.datasets.image_folders import list_images
from dtir_mm.datasets.layouts import CLEAN, DEGRADED, LAYOUTS, layout_named
from dtir_mm.datasets.pair_preparation import PairMaker, clean_images, place, published_pairs


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    link = commands.add_parser('link', help='link a public data set into our folders')
    link.add_argument('name', help=f'one of {", ".join(LAYOUTS)}')
    link.add_argument('split', choices=['train', 'test'])
    link.add_argument('source', type=Path, help='the unpacked download')
    link.add_argument('--data', type=Path, default=Path('data'), help='default: data')
    link.add_argument(
        '--limit', type=at_least(1), help='number of pairs, evenly spaced; default: all'
    )
    degrade = commands.add_parser('degrade', help='make pairs from clean images')
    degrade.add_argument('task', choices=['jpeg', 'noisy', 'inpainting'])
    degrade.add_argument('clean', type=Path, nargs='+', help='folders of clean images')
    degrade.add_argument('--out', type=Path, required=True, help='folder for LQ and GT')
    degrade.add_argument(
        '--masks', type=Path, help='folder of masks, black where the image is missing (inpainting)'
    )
    add_workers(degrade)
    for command in (link, degrade):
        command.add_argument('--copy', action='store_true', help='copy images instead of linking')
    return parser.parse_args()


def link(args: argparse.Namespace) -> None:
    """Links the pairs of a download into all folders that configs read."""
    layout = layout_named(args.name)
    folders = [args.data / known for known, split in layout.folders() if split == args.split]
    if not folders:
        raise ValueError(f'no config reads the {args.split} split of {layout.name}')
    pairs = published_pairs(layout, args.split, args.source)
    chosen = list(pairs) if args.limit is None else spread(list(pairs), args.limit)
    for folder in folders:
        with tqdm(chosen, desc=str(folder), unit='pair') as bar:
            for key in bar:
                for kind, file in zip((DEGRADED, CLEAN), pairs[key], strict=True):
                    place(file, folder / kind / f'{key}{file.suffix.lower()}', args.copy)
        print(f'{folder}: {len(chosen)} pairs')
    split = layout.split(args.split)
    if split and split.pairs and split.pairs != len(chosen):
        print(f'The paper has {split.pairs} pairs; --limit selects fewer, evenly spaced.')


def degrade(args: argparse.Namespace) -> None:
    """Makes pairs from clean images."""
    masks = tuple(list_images(args.masks)) if args.masks else None
    files = clean_images(args.clean)
    maker = PairMaker(args.task, args.out, args.copy, masks)
    map_in_processes(maker, files, args.workers, args.task)
    print(f'{args.out}: {len(files)} pairs')


@one_line_errors('prepare_pairs')
def main() -> None:
    args = parse_args()
    {'link': link, 'degrade': degrade}[args.command](args)


if __name__ == '__main__':
    main()
