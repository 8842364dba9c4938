"""Lists the images in a folder; other files are never skipped silently."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mmengine.logging import print_log

from dtir_mm.image_io import image_suffixes
from dtir_mm.names import listed, shown


class FolderContent(NamedTuple):
    """The content of a folder, sorted by name.

    Args:
        images: files with the suffix of an image format, including broken links.
        left_out: everything else: other files, hidden files, and folders that are not entered.
    """

    images: list[Path]
    left_out: list[Path]


def list_folder(folder: str | Path) -> FolderContent:
    """The content of a folder, without its sub-folders.

    Raises:
        FileNotFoundError: the folder does not exist.
    """
    return _sorted_out(_existing(folder).iterdir())


def list_tree(folder: str | Path, without: str | Path | None = None) -> FolderContent:
    """The content of a folder and its sub-folders, except hidden and linked ones.

    Args:
        folder: the top folder.
        without: a sub-folder to skip, such as that of the results.

    Raises:
        FileNotFoundError: the folder does not exist.
    """
    top = _existing(folder)
    passed = Path(without).resolve() if without is not None else None
    images: list[Path] = []
    left_out: list[Path] = []

    def unreadable(error: OSError) -> None:
        left_out.append(Path(error.filename))

    for root, folders, files in os.walk(top, onerror=unreadable):
        here = Path(root)
        entered: list[Path] = []
        for name in folders:
            path = here / name
            if path.resolve() == passed:
                continue
            closed = name.startswith('.') or path.is_symlink()
            (left_out if closed else entered).append(path)
        folders[:] = [path.name for path in entered]
        content = _sorted_out(here / name for name in files)
        images += content.images
        left_out += content.left_out
    return FolderContent(sorted(images), sorted(left_out))


def list_images(folder: str | Path) -> list[Path]:
    """The images in a folder, sorted by name; other files are counted in a warning.

    Raises:
        FileNotFoundError: the folder does not exist, contains no image, or has a broken link.
    """
    images, left_out = list_folder(folder)
    if not images:
        raise FileNotFoundError(no_image_in(folder, left_out))
    if lost := [file for file in images if not file.is_file()]:
        raise FileNotFoundError(
            f'{len(lost)} image(s) of {shown(folder)} are links that lead nowhere, or no files: '
            f'{listed([file.name for file in lost])}'
        )
    if left_out:
        print_log(left_out_line(folder, left_out), 'current', logging.WARNING)
    return images


def no_image_in(folder: str | Path, left_out: list[Path]) -> str:
    """Error message for a folder without images."""
    there = f'; there are {_names(folder, left_out)}' if left_out else ''
    return (
        f'no image in {shown(folder)}: files that end in .jpg, .png, .tif, .webp or in another '
        f'suffix that Pillow knows are read{there}'
    )


def left_out_line(folder: str | Path, left_out: list[Path], most: int = 5) -> str:
    """Log message about files that are not images."""
    what = 'skipped (not an image, hidden, or a folder)'
    return f'{shown(folder)}: {len(left_out)} {what}: {_names(folder, left_out, most)}'


def _names(folder: str | Path, paths: list[Path], most: int = 5) -> str:
    """Names relative to the folder, with a slash after those of sub-folders."""
    return listed(
        [f'{path.relative_to(folder)}{"/" if path.is_dir() else ""}' for path in paths], most
    )


def _existing(folder: str | Path) -> Path:
    if not Path(folder).is_dir():
        raise FileNotFoundError(f'no such folder of images: {shown(folder)}')
    return Path(folder)


def _sorted_out(paths: Iterable[Path]) -> FolderContent:
    suffixes = image_suffixes()
    images: list[Path] = []
    left_out: list[Path] = []
    for path in sorted(paths):
        is_image = path.suffix.lower() in suffixes and path.name[0] != '.' and not path.is_dir()
        (images if is_image else left_out).append(path)
    return FolderContent(images, left_out)
