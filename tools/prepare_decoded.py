"""Decodes the images of data sets with decoded=FOLDER in advance.

    D=train_dataloader.dataset.decoded=data/decoded
    python tools/prepare_decoded.py CONFIG --cfg-options $D
    python tools/train.py CONFIG --cfg-options $D

Patches are then read without decoding. Training decodes missing images itself, but on fewer cores,
and without checking the disk space. An interrupted call can be continued.
"""

import argparse
import shutil
from pathlib import Path

from mmengine.config import Config

from dtir_mm.apis.command_line import (
    ToolParser,
    add_config_with_options,
    add_workers,
    map_in_processes,
    one_line_errors,
)
from dtir_mm.config import read_config
from dtir_mm.datasets.decoded_images import DecodedImages, decoded_bytes
from dtir_mm.datasets.image_folders import list_images
from dtir_mm.datasets.named_folders import LOADERS, dataset_configs, folders_of
from dtir_mm.files import require_writable


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_with_options(parser)
    add_workers(parser)
    return parser.parse_args()


def images_by_store(config: Config) -> dict[str, list[Path]]:
    """The images of the data sets, by the folder of their decoded arrays."""
    images: dict[str, list[Path]] = {}
    for loader in LOADERS:
        for dataset in dataset_configs(config, loader):
            if (store := dataset.get('decoded')) and (folders := folders_of(dataset)):
                for folder in filter(None, folders):
                    images.setdefault(store, []).extend(list_images(folder))
    if not images:
        raise ValueError(
            'no data set of the config stores decoded images: set `decoded` to a folder, e.g. '
            '--cfg-options train_dataloader.dataset.decoded=data/decoded'
        )
    return {store: list(dict.fromkeys(files)) for store, files in images.items()}


def decode(store: str, files: list[Path], workers: int) -> None:
    """Decodes missing images."""
    kept = DecodedImages(store)
    missing = [file for file in files if not kept.path_of(file).is_file()]
    needed = sum(map_in_processes(decoded_bytes, missing, workers, 'reading sizes'))
    require_writable(store)
    free = shutil.disk_usage(store).free
    print(
        f'{store}: {len(files) - len(missing)} of {len(files)} images are decoded; the others take '
        f'{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free'
    )
    if needed > free:
        raise OSError(f'{store} has no space for {needed / 1e9:.1f} GB; choose another folder')
    map_in_processes(kept.store, missing, workers, 'decoding')


@one_line_errors('prepare_decoded')
def main() -> None:
    args = parse_args()
    config = read_config(args.config, args.cfg_options)
    for store, files in images_by_store(config).items():
        decode(store, files, args.workers)


if __name__ == '__main__':
    main()
