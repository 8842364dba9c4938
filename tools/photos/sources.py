"""Photographs in folders and in installed Python packages."""

import hashlib
import importlib.util
import logging
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mmengine.logging import print_log

from dtir_mm.datasets.image_folders import left_out_line, list_tree, no_image_in
from dtir_mm.names import shortened


@dataclass(frozen=True)
class PhotoFile:
    """A photograph before preparation.

    Args:
        name: unique; becomes the file name.
        file: the original image file.
        source: the package or folder that it comes from.
        licence: what is known about its terms.
    """

    name: str
    file: Path
    source: str
    licence: str


_PYTHON_PACKAGES = {
    'skimage': ('scikit-image', 'data/{}.*', ('astronaut', 'chelsea', 'coffee', 'rocket')),
    'sklearn': ('scikit-learn', 'datasets/images/{}.*', ('china', 'flower')),
}


def python_package_photos() -> list[PhotoFile]:
    """The six photographs in scikit-image and scikit-learn, if these are installed."""
    photos = []
    for module, (package, pattern, titles) in _PYTHON_PACKAGES.items():
        spec = importlib.util.find_spec(module)
        for location in (spec.submodule_search_locations or []) if spec else []:
            for title in titles:
                for file in Path(location).glob(pattern.format(title)):
                    name = f'{package}__{title}'
                    photos.append(PhotoFile(name, file, package, 'see the package'))
    return photos


def folder_photos(folder: Path, outside: Path) -> list[PhotoFile]:
    """All images in a folder and its sub-folders; other files are counted in a warning.

    Args:
        folder: the user's images; hidden files and folders are skipped.
        outside: a folder to skip, the one being written.

    Raises:
        FileNotFoundError: the folder does not exist or contains no image.
    """
    files, left_out = list_tree(folder, without=outside)
    if not files:
        raise FileNotFoundError(no_image_in(folder, left_out))
    if left_out:
        print_log(left_out_line(folder, left_out), 'current', logging.WARNING)
    relatives = [file.relative_to(folder) for file in files]
    stems = [
        unicodedata.normalize('NFC', '__'.join(relative.with_suffix('').parts))
        for relative in relatives
    ]
    count = Counter(stems)
    photos = []
    for stem, relative, file in zip(stems, relatives, files, strict=True):
        # a.jpg and a.png are different photographs; so are a/b.jpg and a__b.jpg.
        mark = hashlib.sha256(os.fsencode(relative)).hexdigest()[:6]
        name = shortened(stem if count[stem] == 1 else f'{stem}__{mark}')
        photos.append(PhotoFile(name, file, str(folder), "the user's own"))
    return photos
