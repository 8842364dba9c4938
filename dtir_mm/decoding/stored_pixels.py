"""The pixels of an opened image as they are stored: grey or RGB, 8 or 16 bits, and alpha."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from dtir_mm.decoding.deep_pixels import deep_pixels
from dtir_mm.decoding.pixels import (
    GREY,
    STRIP,
    colours,
    has_16_bits,
    refuse_32_bits,
    refuse_raw_planes,
)

CONVERTED = ('CMYK', 'LAB')
"""Pillow's modes that become sRGB, so that a file's ICC profile does not apply to the result."""


class StoredPixels(NamedTuple):
    """Pixels as stored.

    Attributes:
        pixels: uint8 or uint16, (H, W, 3) or, grey, (H, W, 1).
        alpha: (H, W) of the same type; None if the image has no transparency.
        notes: what was converted.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    notes: list[str]


def stored_pixels(image: Image.Image) -> StoredPixels:
    """Decodes an opened image; its ICC profile is not applied, unless it is of ``CONVERTED``.

    Raises:
        ValueError: pixels have 32 bits or are floating point.
        Exception: any exception of Pillow if the image cannot be decoded.
    """
    refuse_raw_planes(image)
    deep = has_16_bits(image)
    if deep and (found := deep_pixels(image)) is not None:
        return StoredPixels(*found, [])
    image.load()
    convert, notes = _conversion(image)
    if deep:
        notes.append('reduced from 16 to 8 bits per channel')
    return StoredPixels(*_in_strips(image, convert), notes)


def _conversion(image: Image.Image) -> tuple[Callable[[Image.Image], Image.Image], list[str]]:
    """The conversion to L, LA, RGB or RGBA, and notes on it."""
    mode = image.mode
    refuse_32_bits(image)
    if mode == 'CMYK':
        convert, notes = colours(image, 'CMYK')
        return convert, ['CMYK became RGB, in sRGB', *notes]
    if mode == 'LAB':
        return _lab_to_srgb, ['Lab became RGB, in sRGB']
    target = ('L' if mode in GREY else 'RGB') + ('A' if _is_transparent(image) else '')
    return lambda strip: strip if strip.mode == target else strip.convert(target), []


def _is_transparent(image: Image.Image) -> bool:
    return (
        image.mode in ('LA', 'La', 'PA', 'RGBA', 'RGBa')
        or 'transparency' in image.info
        or (image.palette is not None and image.palette.mode.endswith('A'))
    )


def _in_strips(
    image: Image.Image, convert: Callable[[Image.Image], Image.Image]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha, converted some rows at a time to limit memory."""
    width, height = image.size
    bands = convert(image.crop((0, 0, 1, 1))).getbands()
    pixels = np.empty((height, width, 1 if bands[0] == 'L' else 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if bands[-1] == 'A' else None
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        converted = np.asarray(convert(strip)).reshape(strip.height, width, len(bands))
        pixels[top : top + rows] = converted[..., : pixels.shape[2]]
        if alpha is not None:
            alpha[top : top + rows] = converted[..., -1]
    return pixels, alpha


@lru_cache(1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile('LAB'), ImageCms.createProfile('sRGB')
    return ImageCms.buildTransform(lab, srgb, 'LAB', 'RGB')


def _lab_to_srgb(image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, _lab_transform())
    assert converted is not None, 'only in-place transforms return None'
    return converted
