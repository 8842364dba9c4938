"""All 16 bits of PNG and TIFF images.

Pillow decodes grey ones, but of colours only the upper 8 bits; OpenCV decodes all. OpenCV fills
what a truncated file lacks, and its versions differ in whether they apply the orientation of a
TIFF, so its pixels are used only if their upper 8 bits are Pillow's.
"""

import cv2
import numpy as np
from PIL import Image, ImageFile

from dtir_mm.decoding.pixels import is_grey_of_16_bits

_STRIP = 1 << 20  # pixels compared at once, to limit memory
_WHITE_IS_ZERO, _PHOTOMETRIC = 0, 262


def deep_pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Loads an opened image of 16 bits per channel.

    Returns:
        Pixels, uint16, (H, W, 3) or, grey, (H, W, 1), and alpha, (H, W), if there is any. None for
        images whose 16 bits cannot be decoded.

    Raises:
        ValueError: pixels have 12 bits.
        Exception: any exception of Pillow if the image cannot be decoded.
    """
    decoder = str(getattr(image, 'tile', ''))
    if 'I;12' in decoder:
        raise ValueError('its pixels have 12 bits; 8 or 16 bits per channel are read')
    coloured = image.format in ('PNG', 'TIFF') and image.mode in ('RGB', 'RGBA', 'LA')
    content = _content(image) if coloured else None
    image.load()
    key = image.info.get('transparency')
    if is_grey_of_16_bits(image):
        grey = np.array(image, np.uint16)[..., None]
        if image.format == 'TIFF' and image.getexif().get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            np.invert(grey, out=grey)
        return grey, _keyed_alpha(grey, key)
    found = None if content is None else cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16 or found.ndim != 3 or found.shape[2] < 3:
        return None
    if not _swapped_as_in(found, image):
        return None
    pixels = np.ascontiguousarray(found[..., :1]) if 'LA;16' in decoder else found[..., :3]
    return pixels, found[..., 3] if image.mode.endswith('A') else _keyed_alpha(pixels, key)


def _content(image: Image.Image) -> np.ndarray:
    assert isinstance(image, ImageFile.ImageFile) and image.fp is not None, 'it is loaded'
    place = image.fp.tell()
    image.fp.seek(0)
    content = np.frombuffer(image.fp.read(), np.uint8)
    image.fp.seek(place)
    return content


def _swapped_as_in(bgr: np.ndarray, image: Image.Image) -> bool:
    """Changes BGR to RGB in place; whether the upper 8 bits are those of a loaded image."""
    height, width = bgr.shape[:2]
    if image.size != (width, height):
        return False
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = bgr[top : top + rows]
        strip[..., :3] = strip[..., 2::-1].copy()
        upper = np.asarray(image.crop((0, top, width, top + len(strip))).convert('RGBA'))
        channels = 4 if image.mode.endswith('A') else 3
        if not np.array_equal(strip[..., :channels] >> 8, upper[..., :channels]):
            return False
    return True


def _keyed_alpha(pixels: np.ndarray, key: object) -> np.ndarray | None:
    """Alpha of an image in which one colour is transparent, as PNG allows."""
    if key is None:
        return None
    return np.where((pixels == key).all(axis=2), 0, 65535).astype(np.uint16)
