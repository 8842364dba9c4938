"""EXIF orientation of images.

Pillow's ``ImageOps.exif_transpose`` fails on broken EXIF and reports nothing.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

_ORIENTATION, _INTEROPERABILITY, _INDEX = 274, 40965, 1
_AS_STORED = 1
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}


def camera_orientation(image: Image.Image) -> tuple[int, list[str]]:
    """The EXIF orientation of a loaded image, and notes on ignored metadata.

    It is 1, as stored, if there is none or the metadata is broken.
    """
    try:
        exif = image.getexif()
        value = exif.get(_ORIENTATION, _AS_STORED)
        adobe = _names_adobe(exif)
        turned = value in _TURNS
    except Exception:  # Pillow's parser raises all kinds of exceptions
        return _AS_STORED, ['EXIF that cannot be read was ignored']
    notes = []
    if not turned and value != _AS_STORED:
        notes.append(f'the EXIF orientation {value!r} was ignored: there are 1 to 8')
    if adobe and not image.info.get('icc_profile'):
        notes.append('Adobe RGB, which EXIF names without a colour profile, was taken for sRGB')
    return (int(value) if turned else _AS_STORED), notes


def _names_adobe(exif: Image.Exif) -> bool:
    try:
        return exif.get_ifd(_INTEROPERABILITY).get(_INDEX) == 'R03'
    except KeyError:  # Pillow 12 raises it for images without this directory
        return False


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """Applies an orientation to an image (H, W, 3); the result is contiguous."""
    if orientation == _AS_STORED:
        return image
    return np.ascontiguousarray(_TURNS[orientation](image))
