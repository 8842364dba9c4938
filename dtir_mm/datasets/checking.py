"""What can be wrong with the data sets that a config names, each fault with its files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dtir_mm.datasets.image_folders import left_out_line, list_folder
from dtir_mm.datasets.layouts import find_split
from dtir_mm.datasets.named_folders import LOADERS, dataset_configs, folders_of
from dtir_mm.datasets.perceptual_hash import BITS, find_same, perceptual_hash
from dtir_mm.image_io import read_with_notes
from dtir_mm.names import pair_stem, shown

TRAINING, HELD_OUT = 'training', 'test'


class Part(NamedTuple):
    """A data set that a config names.

    Args:
        use: "training", or "test" for validation and test.
        degraded: folder of its degraded images; None where it has clean ones alone.
        clean: folder of its clean images.
    """

    use: str
    degraded: Path | None
    clean: Path


class Fault(NamedTuple):
    """What kind of fault, and a sentence that names the files."""

    kind: str
    message: str


@dataclass(frozen=True)
class Inspection:
    """What is known of an image file after all of it was decoded.

    Args:
        size: height and width; None for a file that cannot be read.
        hash: its ``perceptual_hash``; None for a file that cannot be read.
        error: why it cannot be read.
        notes: what it carries that is converted or dropped when it is read.
    """

    size: tuple[int, int] | None = None
    hash: np.ndarray | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()


def parts_of(config: Mapping[str, Any]) -> tuple[list[Part], list[str]]:
    """The data sets of a config's dataloaders, each once, and the types that cannot be checked."""
    parts, unknown = [], []
    for loader in LOADERS:
        use = TRAINING if loader == 'train_dataloader' else HELD_OUT
        for dataset in dataset_configs(config, loader):
            if folders := folders_of(dataset):
                parts.append(Part(use, *folders))
            else:
                unknown.append(f'{dataset.get("type")} in {loader}')
    return list(dict.fromkeys(parts)), list(dict.fromkeys(unknown))


def images_of(parts: Iterable[Part]) -> dict[Path, list[Path]]:
    """The images of every folder of the parts; none for a folder that is missing or empty."""
    return {
        folder: list_folder(folder).images if folder.is_dir() else [] for folder in _folders(parts)
    }


def left_out_lines(parts: Iterable[Part]) -> list[str]:
    """A line for each folder of the parts with something in it that is no image."""
    existing = [folder for folder in _folders(parts) if folder.is_dir()]
    content = {folder: list_folder(folder).left_out for folder in existing}
    return [left_out_line(folder, left_out) for folder, left_out in content.items() if left_out]


def inspect_image(file: Path) -> Inspection:
    """Decodes all of a file."""
    try:
        image, notes = read_with_notes(file)
    except (OSError, ValueError) as error:
        return Inspection(error=str(error))
    return Inspection(image.shape[:2], perceptual_hash(image), notes=tuple(notes))


def find_faults(
    parts: Iterable[Part],
    images: Mapping[Path, list[Path]],
    inspections: Mapping[Path, Inspection],
) -> list[Fault]:
    """Every fault of the parts, kind after kind.

    Args:
        parts: see ``parts_of``.
        images: see ``images_of``.
        inspections: of all of these images.
    """
    parts = list(parts)
    faults = [fault for folder, files in images.items() for fault in _count_faults(folder, files)]
    for degraded, clean in dict.fromkeys((part.degraded, part.clean) for part in parts):
        if degraded is not None:
            faults += _pair_faults(degraded, images[degraded], clean, images[clean], inspections)
    faults += [
        Fault('unreadable', inspection.error)
        for inspection in inspections.values()
        if inspection.error
    ]
    return faults + list(_duplicates(parts, images, inspections))


def _folders(parts: Iterable[Part]) -> list[Path]:
    folders = (folder for part in parts for folder in (part.degraded, part.clean))
    return list(dict.fromkeys(folder for folder in folders if folder is not None))


def expected_count(folder: Path) -> tuple[int, str] | None:
    """How many images a folder has by its layout, and whose it is; None where nobody says."""
    found = find_split(folder)
    if found is None:
        return None
    layout, split = found
    pairs = layout.split(split).pairs
    return None if pairs is None else (pairs, f'{layout.name} ({split})')


def _count_faults(folder: Path, files: list[Path]) -> Iterator[Fault]:
    if not files:
        yield Fault('no images', f'{shown(folder)} is missing, or holds no image')
        return
    expected = expected_count(folder)
    if expected is not None and expected[0] != len(files):
        yield Fault(
            'wrong count',
            f'{shown(folder)} holds {len(files)} images, {expected[1]} has {expected[0]}',
        )
    by_stem: dict[str, Path] = {}
    for file in files:
        if (first := by_stem.setdefault(pair_stem(file), file)) is not file:
            yield Fault(
                'same stem',
                f'{shown(first)} and {shown(file)} cannot be told apart when pairs are made',
            )


def _pair_faults(
    degraded: Path,
    degraded_files: list[Path],
    clean: Path,
    clean_files: list[Path],
    inspections: Mapping[Path, Inspection],
) -> Iterator[Fault]:
    sides = [{pair_stem(file): file for file in files} for files in (degraded_files, clean_files)]
    for (own, others), folder in zip((sides, sides[::-1]), (clean, degraded), strict=True):
        for stem in sorted(own.keys() - others.keys()):
            yield Fault(
                'missing partner',
                f'{shown(own[stem])} has no file of its stem in {shown(folder)}',
            )
    for stem in sorted(sides[0].keys() & sides[1].keys()):
        one, other = sides[0][stem], sides[1][stem]
        size, other_size = inspections[one].size, inspections[other].size
        if size and other_size and size != other_size:
            yield Fault(
                'sizes differ',
                f'{shown(one)} is {size[0]} x {size[1]}, {shown(other)} is '
                f'{other_size[0]} x {other_size[1]}',
            )


def _duplicates(
    parts: list[Part],
    images: Mapping[Path, list[Path]],
    inspections: Mapping[Path, Inspection],
) -> Iterator[Fault]:
    """Clean images of test sets that are clean images of training sets too."""
    training, held_out = (
        [
            file
            for folder in dict.fromkeys(part.clean for part in parts if part.use == use)
            for file in images[folder]
            if inspections[file].hash is not None
        ]
        for use in (TRAINING, HELD_OUT)
    )
    if not training or not held_out:
        return
    hashes = [
        np.stack([inspections[file].hash for file in files]) for files in (held_out, training)
    ]
    for i, j, bits in find_same(*hashes):
        yield Fault(
            'duplicate',
            f'{shown(held_out[i])} (test) shows what {shown(training[j])} (training) shows: '
            f'{bits} of {BITS} bits differ',
        )
