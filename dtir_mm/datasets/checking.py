"""Faults in the data sets of a config, each with its files."""

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
    """A data set of a config.

    Args:
        use: "training", or "test" for validation and test.
        degraded: folder of its degraded images; None if it has only clean ones.
        clean: folder of its clean images.
    """

    use: str
    degraded: Path | None
    clean: Path


class Fault(NamedTuple):
    """The kind of a fault, and a message that names the files."""

    kind: str
    message: str


@dataclass(frozen=True)
class Inspection:
    """What is known about an image file after decoding it.

    Args:
        size: height and width; None if it cannot be read.
        hash: its ``perceptual_hash``; None if it cannot be read.
        error: why it cannot be read.
        notes: what reading it converts or drops.
    """

    size: tuple[int, int] | None = None
    hash: np.ndarray | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()


def parts_of(config: Mapping[str, Any]) -> tuple[list[Part], list[str]]:
    """The distinct data sets of a config, and the types that cannot be checked."""
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
    """The images in each folder of the parts; an empty list for a missing folder."""
    return {
        folder: list_folder(folder).images if folder.is_dir() else [] for folder in _folders(parts)
    }


def left_out_lines(parts: Iterable[Part]) -> list[str]:
    """A line for each folder of the parts that contains other files than images."""
    existing = [folder for folder in _folders(parts) if folder.is_dir()]
    content = {folder: list_folder(folder).left_out for folder in existing}
    return [left_out_line(folder, left_out) for folder, left_out in content.items() if left_out]


def inspect_image(file: Path) -> Inspection:
    """Decodes a file completely."""
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
    """All faults of the parts, by kind.

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
    """How many images a folder should contain, and by which layout; None if unknown."""
    if (found := find_split(folder)) is None:
        return None
    layout, name = found
    split = layout.split(name)
    return (split.pairs, f'{layout.name} ({name})') if split and split.pairs else None


def _count_faults(folder: Path, files: list[Path]) -> Iterator[Fault]:
    if not files:
        yield Fault('no images', f'{shown(folder)} is missing or contains no image')
        return
    expected = expected_count(folder)
    if expected is not None and expected[0] != len(files):
        yield Fault(
            'wrong count',
            f'{shown(folder)} contains {len(files)} images, {expected[1]} has {expected[0]}',
        )
    by_stem: dict[str, Path] = {}
    for file in files:
        if (first := by_stem.setdefault(pair_stem(file), file)) is not file:
            yield Fault(
                'same stem',
                f'{shown(first)} and {shown(file)} have the same stem, so pairs are ambiguous',
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
                f'{shown(own[stem])} has no file with the same stem in {shown(folder)}',
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
    """Clean images of test sets that are also in training sets."""
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
    some, others = (
        np.stack([hash for file in files if (hash := inspections[file].hash) is not None])
        for files in (held_out, training)
    )
    for i, j, bits in find_same(some, others):
        yield Fault(
            'duplicate',
            f'{shown(held_out[i])} (test) is a near-duplicate of {shown(training[j])} '
            f'(training): {bits} of {BITS} bits differ',
        )
