"""Checks the data sets of a config: counts, pairs, files, sizes, duplicates of training images.

    dtir-mm check-data configs/setting_a/dtir-unet_finetune_rainy_b16-300k.py
    dtir-mm check-data --generate-fixture Rain100L data      # a tiny data set for trials

Decodes every image, and reports each fault with its files; the exit status is then 1. Skipped files
and dropped information (profiles, transparency) are reported, but are not faults. If the config has
a model, image sizes, batches and tasks are checked against it.
"""

import argparse
from collections import Counter

from mmengine.config import Config

from dtir_mm.apis.command_line import (
    ToolParser,
    add_config_with_options,
    add_workers,
    map_in_processes,
    one_line_errors,
)
from dtir_mm.apis.model_check import model_faults
from dtir_mm.config import read_config
from dtir_mm.datasets.checking import (
    Fault,
    expected_count,
    find_faults,
    images_of,
    inspect_image,
    left_out_lines,
    parts_of,
)
from dtir_mm.datasets.layouts import LAYOUTS, generate_fixture
from dtir_mm.image_io import note_lines
from dtir_mm.names import shown


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_with_options(parser, nargs='?')
    add_workers(parser)
    parser.add_argument(
        '--generate-fixture',
        nargs=2,
        metavar=('NAME', 'FOLDER'),
        help=f'create a tiny data set in FOLDER instead; NAME is one of {", ".join(LAYOUTS)}',
    )
    args = parser.parse_args()
    if (args.config is None) == (args.generate_fixture is None):
        parser.error('give a config to check, or --generate-fixture NAME FOLDER')
    return args


def check(config: Config, workers: int) -> int:
    """Prints every fault and a table; returns the number of faults."""
    parts, unknown = parts_of(config)
    if not parts and not unknown:
        raise ValueError('the config names no data set, so there is nothing to check')
    images = images_of(parts)
    files = list(dict.fromkeys(file for listed in images.values() for file in listed))
    inspected = map_in_processes(inspect_image, files, workers, 'decoding')
    faults = find_faults(parts, images, dict(zip(files, inspected, strict=True)))
    if config.get('model'):
        faults += [Fault('model', message) for message in model_faults(config)]
    for fault in faults:
        print(f'{fault.kind + ":":17}{fault.message}')
    print(f'{"images":>8} {"expected":>9}  {"use":9} folder')
    for folder, listed in images.items():
        uses = {part.use for part in parts if folder in (part.degraded, part.clean)}
        expected = expected_count(folder)
        print(
            f'{len(listed):8} {expected[0] if expected else "unknown":>9}  '
            f'{"+".join(sorted(uses, reverse=True)):9} {shown(folder)}'
        )
    for line in left_out_lines(parts):
        print(f'left out: {line}')
    notes = zip(files, inspected, strict=True)
    for line in note_lines((file, note) for file, found in notes for note in found.notes):
        print(f'note: {line}')
    for name in unknown:
        print(f'not checked: data set of type {name}')
    kinds = Counter(fault.kind for fault in faults)
    print(
        f'{len(files)} images decoded; counts, pairs, sizes and duplicates between training and '
        f'test compared: ' + (', '.join(f'{n} x {kind}' for kind, n in kinds.items()) or 'no fault')
    )
    return len(faults)


def main() -> int:
    args = parse_args()
    with one_line_errors():
        if args.generate_fixture:
            for folder in generate_fixture(*args.generate_fixture):
                print(folder)
            return 0
        return 1 if check(read_config(args.config, args.cfg_options), args.workers) else 0
