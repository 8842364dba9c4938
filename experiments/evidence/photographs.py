"""The photographs that results depend on, which must be the same for all of them."""

import hashlib
from pathlib import Path

from dtir_mm.datasets.image_folders import list_images
from dtir_mm.image_io import read_image

SPLITS = ('train', 'test')
EXPECTED = 'a3a75e34f99b9950'
"""Digest of the pixels of ``python tools/prepare_photos.py data/photos``: 116 for training and 14
for tests."""


def digest_of(photos: Path) -> str:
    """A digest of the names and pixels of the photographs in a folder's splits.

    Raises:
        FileNotFoundError: a split is missing.
    """
    digest = hashlib.sha256()
    for split in SPLITS:
        try:
            files = list_images(photos / split)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'{error}: run python tools/prepare_photos.py {photos}'
            ) from error
        for file in files:
            digest.update(f'{split}/{file.name}'.encode())
            digest.update(read_image(file).tobytes())
    return digest.hexdigest()[:16]


def require_expected(photos: Path) -> None:
    """Checks that a folder holds the photographs of the design.

    Raises:
        FileNotFoundError: a split is missing.
        ValueError: there are others.
    """
    found = digest_of(photos)
    if found != EXPECTED:
        raise ValueError(
            f'{photos} holds other photographs (digest {found}) than the design names '
            f'({EXPECTED}): collect them with python tools/prepare_photos.py data/photos'
        )
