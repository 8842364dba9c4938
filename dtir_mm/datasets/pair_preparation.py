"""Pairs of public data sets, found in their downloads or made from clean images."""

import re
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dtir_mm.datasets.degradations.inpainting import Inpainting
from dtir_mm.datasets.degradations.jpeg import compress
from dtir_mm.datasets.degradations.noise import NoiseStrength, add_noise
from dtir_mm.datasets.image_folders import list_images
from dtir_mm.datasets.layouts import CLEAN, DEGRADED, Layout
from dtir_mm.files import replacing
from dtir_mm.image_io import image_suffixes, read_image, save_image
from dtir_mm.names import pair_stem, shown
from dtir_mm.randomness import generator

JPEG_QUALITY = 10
NOISE = NoiseStrength(sigma=50, photons=None)
"""Of the paper (G.1)."""
_NAMED = 5


def published_pairs(layout: Layout, split: str, source: Path) -> dict[str, tuple[Path, Path]]:
    """The pairs in a download: name -> (degraded image, clean image).

    Args:
        layout: layout of the data set.
        split: "train" or "test".
        source: the unpacked download, or a folder with ``LQ`` and ``GT``, such as DA-CLIP's.

    Raises:
        FileNotFoundError: the folder, or all degraded or clean images, are missing.
        ValueError: an image has no partner or several, or the split is not published as pairs.
    """
    if not source.is_dir():
        raise FileNotFoundError(f'no such folder: {source}')
    known = layout.split(split)
    if (source / DEGRADED).is_dir() and (source / CLEAN).is_dir():
        patterns = f'{DEGRADED}/*', f'{CLEAN}/*'
    elif known is None or known.degraded is None or known.clean is None:
        raise ValueError(
            f'the {split} split of {layout.name} is not published as pairs: {source} must contain '
            f'{DEGRADED} and {CLEAN}; pairs of JPEG, noise and holes are made by `degrade`'
        )
    else:
        patterns = known.degraded, known.clean
    degraded, clean = (_by_key(layout, source, pattern) for pattern in patterns)
    if lonely := sorted(degraded.keys() ^ clean.keys()):
        files = [str({**degraded, **clean}[key]) for key in lonely[:_NAMED]]
        raise ValueError(
            f'{len(lonely)} image(s) of {source} have no partner: {", ".join(files)}'
            f'{" ..." if len(lonely) > _NAMED else ""}'
        )
    return {key: (degraded[key], clean[key]) for key in sorted(degraded)}


def _by_key(layout: Layout, source: Path, pattern: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    suffixes = image_suffixes()
    for file in sorted(source.glob(pattern)):
        if file.suffix.lower() not in suffixes or file.name.startswith('.'):
            continue
        if not file.is_file():
            raise FileNotFoundError(f'{shown(file)} is not a file, or a broken link')
        match = re.search(layout.key, file.relative_to(source).with_suffix('').as_posix())
        if match is None:
            raise ValueError(f'{file} does not match the names of {layout.name}: {layout.key}')
        key = '_'.join(part for part in match.groups() if part is not None)
        key = unicodedata.normalize('NFC', key)
        if key in files:
            raise ValueError(f'{files[key]} and {file} would both be named {key!r}')
        files[key] = file
    if not files:
        raise FileNotFoundError(
            f'no image in {source} matches {pattern}, the layout of {layout.name}'
        )
    return files


def place(file: Path, target: Path, copy: bool) -> None:
    """Makes ``target`` a link to a file, or a copy of it, unless it already is one.

    Raises:
        ValueError: ``target`` is another file.
    """
    file = file.resolve()
    if target.exists() or target.is_symlink():
        same = target.resolve() == file or (
            copy and not target.is_symlink() and target.stat().st_size == file.stat().st_size
        )
        if not same:
            raise ValueError(
                f'{target} exists and is not {file}: remove it, or choose another folder'
            )
    elif copy:
        with replacing(target) as temporary:
            shutil.copyfile(file, temporary)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(file)


def fill_holes(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fills the holes of a mask with white, as DA-CLIP does: mask * image + (1 - mask).

    Args:
        image: RGB uint8 (H, W, 3).
        mask: RGB uint8 of any size, white where the image is kept and black where it is missing, as
            in RePaint; it is resized, and grey pixels blend.
    """
    size = image.shape[1], image.shape[0]
    kept = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return (kept * image + (1 - kept) * 255).round().clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class PairMaker:
    """Degrades clean images as in the paper (G.1); randomness depends only on their names.

    Args:
        task: "jpeg" (quality 10), "noisy" (sigma 50, clipped: nothing wraps around) or
            "inpainting" (thin holes filled with white).
        out: folder for ``LQ`` (PNG) and ``GT``.
        copy: copy the clean images instead of linking them.
        masks: masks to draw from for each image; None for random strokes.
    """

    task: str
    out: Path
    copy: bool = False
    masks: tuple[Path, ...] | None = None

    def __post_init__(self) -> None:
        if self.task not in _MAKERS:
            raise ValueError(f'task={self.task!r} must be one of {", ".join(_MAKERS)}')
        if self.masks is not None and self.task != 'inpainting':
            raise ValueError(f'masks are for inpainting, not for {self.task}')

    def __call__(self, file: Path) -> None:
        """Makes one pair, unless it exists.

        Raises:
            ValueError: the image or a mask is broken, or another clean image has its place.
        """
        place(file, self.out / CLEAN / file.name, self.copy)
        target = self.out / DEGRADED / f'{file.stem}.png'
        if not target.exists():
            rng = generator(0, 'pairs', self.task, pair_stem(file))
            save_image(target, _MAKERS[self.task](self, read_image(file), rng))

    def with_holes(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The image with the holes of a mask."""
        if self.masks is None:
            return Inpainting('source').degrade(image, rng)
        return fill_holes(image, read_image(self.masks[rng.integers(len(self.masks))]))


_MAKERS: dict[str, Callable[[PairMaker, np.ndarray, np.random.Generator], np.ndarray]] = {
    'jpeg': lambda _, image, rng: compress(image, JPEG_QUALITY),
    'noisy': lambda _, image, rng: add_noise(image, NOISE, rng),
    'inpainting': PairMaker.with_holes,
}


def clean_images(folders: Sequence[Path]) -> list[Path]:
    """The images in several folders, such as DIV2K and Flickr2K.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        ValueError: two images have the same stem.
    """
    files: dict[str, Path] = {}
    for file in (file for folder in folders for file in list_images(folder)):
        stem = pair_stem(file)
        if stem in files:
            raise ValueError(f'{shown(files[stem])} and {shown(file)} have the same stem')
        files[stem] = file
    return list(files.values())
