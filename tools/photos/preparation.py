"""Photographs shrunk, split into train, val and test, and written with a manifest."""

import hashlib
import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dtir_mm import trust
from dtir_mm.image_io import read_image, save_image
from dtir_mm.json_files import read_json
from photos.sources import PhotoFile

SPLITS = ('train', 'val', 'test')
MANIFEST = 'manifest.json'

_NAMED = 10

MIN_SHORT_SIDE = 320
MAX_SHORT_SIDE = 720
TINIEST = 96
# Shrinking at least this much hides the artefacts of JPEG and WebP.
MIN_SHRINK = 2.0
# Standard deviation, of 255; an image below it is nearly flat.
MIN_CONTRAST = 15.0


def shrink_photo(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Shrinks a photograph (H, W, 3) at least twofold, to a short side of 320 to 720 px.

    If the short side would fall below 320 px, the photograph is kept unchanged, with factor 1.

    Returns:
        The photograph and the factor.
    """
    short = min(image.shape[:2])
    if short < MIN_SHRINK * MIN_SHORT_SIDE:
        return image, 1.0
    factor = max(MIN_SHRINK, short / MAX_SHORT_SIDE)
    size = round(image.shape[1] / factor), round(image.shape[0] / factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), factor


def split_photos(
    shrinks: dict[str, float], seed: int, train_only: Collection[str] = ()
) -> dict[str, str]:
    """Assigns "train", "val" or "test" to photographs, depending only on their names and the seed.

    A tenth is for test and a twentieth for val, at least one each; with 60 photographs or more, at
    least 12 and 4. Photographs that were not shrunk are used for test only if the others are too
    few.

    Args:
        shrinks: maps names to the factors of ``shrink_photo``.
        seed: seed of the split.
        train_only: names of photographs that are for training in any case; the others are split as
            if there were only those.

    Raises:
        ValueError: there are fewer than three photographs to split.
    """
    extra = dict.fromkeys(sorted(shrinks.keys() & set(train_only)), 'train')
    shrinks = {name: shrink for name, shrink in shrinks.items() if name not in extra}
    total = len(shrinks)
    if total < 3:
        raise ValueError(
            f'{total} usable photograph(s): at least 3 are needed, one each for train, val and test'
        )
    least_test, least_val = (12, 4) if total >= 60 else (1, 1)
    tests, vals = max(least_test, round(0.1 * total)), max(least_val, round(0.05 * total))

    def lot(name: str) -> bytes:
        return hashlib.sha256(os.fsencode(f'{seed}:{name}')).digest()

    test = sorted(shrinks, key=lambda name: (shrinks[name] < MIN_SHRINK, lot(name)))[:tests]
    rest = sorted(shrinks.keys() - set(test), key=lot)
    splits = dict.fromkeys(test, 'test') | dict.fromkeys(rest[:vals], 'val')
    return splits | dict.fromkeys(rest[vals:], 'train') | extra


def write_photos(
    photos: Iterable[PhotoFile],
    folder: Path,
    arguments: dict[str, Any],
    seed: int,
    train_only: Collection[str] = (),
) -> list[str]:
    """Writes ``folder/{train,val,test}/<name>.png`` and ``folder/manifest.json``.

    Args:
        photos: the photographs to prepare.
        folder: an empty or missing folder.
        arguments: recorded in the manifest.
        seed: seed of the split.
        train_only: sources whose photographs are all for training.

    Returns:
        A line for each photograph left out because it is unreadable, too small or nearly flat.

    Raises:
        ValueError: fewer than three photographs are usable.
    """
    records: list[dict[str, Any]] = []
    left_out: list[str] = []
    unsplit = folder / 'unsplit'
    for photo in photos:
        try:
            image = read_image(photo.file)
            _require_usable(image, photo.file)
        except (OSError, ValueError) as error:
            left_out.append(str(error))
            continue
        small, factor = shrink_photo(image)
        file = unsplit / f'{photo.name}.png'
        save_image(file, small)
        records.append(
            {
                'name': photo.name,
                'source': photo.source,
                'licence': photo.licence,
                'original_size': [image.shape[1], image.shape[0]],
                'shrink': round(factor, 4),
                'sha256': _sha256(file),
            }
        )
    try:
        extra = [record['name'] for record in records if record['source'] in train_only]
        shrinks = {record['name']: record['shrink'] for record in records}
        splits = split_photos(shrinks, seed, extra)
    except ValueError as error:
        raise ValueError('; '.join([str(error), *left_out[:_NAMED]])) from error
    for split in SPLITS:
        (folder / split).mkdir()
    for record in records:
        record['split'] = splits[record['name']]
        (unsplit / f'{record["name"]}.png').rename(_file(folder, record))
    unsplit.rmdir()
    manifest = {'arguments': arguments, 'photos': records}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + '\n')
    return left_out


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest written by ``write_photos``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is broken, names code, or names a file outside ``folder``.
    """
    file = folder / MANIFEST
    manifest = read_json(file)
    trust.refuse_code(manifest, file)
    try:
        for record in manifest['photos']:
            if record['split'] not in SPLITS:
                raise ValueError(f'split={record["split"]!r} must be one of {SPLITS}')
            if not _is_file_name(record['name']):
                raise ValueError(f'name={record["name"]!r} must be a file name without a folder')
            record['sha256']
        manifest['arguments']
    except (KeyError, TypeError, ValueError) as error:
        reason = error if isinstance(error, ValueError) else repr(error)
        raise ValueError(f'{file} is no manifest of photographs: {reason}') from error
    return manifest


def differences(folder: Path, manifest: dict[str, Any]) -> tuple[list[Path], list[Path]]:
    """The manifest's files that are missing or changed, and the files that are not in it."""
    expected = {_file(folder, record): record['sha256'] for record in manifest['photos']}
    broken = [file for file, sha in expected.items() if not file.is_file() or _sha256(file) != sha]
    present = {file for file in folder.rglob('*') if not file.is_dir()}
    return sorted(broken), sorted(present - expected.keys() - {folder / MANIFEST})


def _require_usable(image: np.ndarray, file: Path) -> None:
    height, width = image.shape[:2]
    if min(height, width) < TINIEST:
        raise ValueError(
            f'{file} is too small: {width} x {height}, at least {TINIEST} px are needed'
        )
    contrast = image.std(axis=(0, 1)).max()
    if contrast < MIN_CONTRAST:
        raise ValueError(f'{file} is nearly flat: standard deviation {contrast:.1f} of 255')


def _is_file_name(name: Any) -> bool:
    """Whether a name stays inside its folder, on every operating system."""
    return isinstance(name, str) and not set(name) & set('/\\\0') and name.strip('.') != ''


def _file(folder: Path, record: dict[str, Any]) -> Path:
    return folder / record['split'] / f'{record["name"]}.png'


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
