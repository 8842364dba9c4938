"""Converts an opened image of any mode and depth to RGB uint8 in sRGB."""

import re
from collections.abc import Callable

import numpy as np
from PIL import Image

from dtir_mm.decoding.colour_profile import ColourProfile, read_profile

STRIP = 1 << 22  # pixels converted at once, to limit memory
GREY = ('1', 'L', 'LA', 'La')
"""Pillow's modes of grey images of up to 8 bits."""
_PLANAR, _SEPARATE, _BITS = 284, 2, 258  # tags of TIFF
_GAMMA = 0.45455
_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # white, red, green, blue of sRGB


def to_rgb(image: Image.Image) -> tuple[np.ndarray, list[str]]:
    """RGB uint8 (H, W, 3) of an opened image, and notes on what was converted or dropped.

    Raises:
        ValueError: pixels have 32 bits or are floating point.
        Exception: any exception of Pillow if the image cannot be decoded.
    """
    refuse_raw_planes(image)
    deep = has_16_bits(image)
    image.load()
    base = _base_mode(image)
    convert, notes = colours(image, base)
    if deep:
        notes.append('reduced from 16 to 8 bits per channel')
    if base == 'L':
        notes.append('grey was repeated over three channels')
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP // width)
    opaque = 'transparency' not in image.info
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        if 'A' in strip.getbands():
            opaque &= strip.getchannel('A').getextrema()[0] == 255
        pixels = np.asarray(convert(_in_8_bits(strip, base)))
        rgb[top : top + rows] = pixels if pixels.ndim == 3 else pixels[..., None]
    if not opaque:
        notes.append('transparency was dropped, the colours below it are kept')
    return rgb, notes


def has_16_bits(image: Image.Image) -> bool:
    """From the decoder's arguments; for colour JPEG 2000 and AVIF, Pillow does not know."""
    arguments = [part[3] for part in getattr(image, 'tile', [])]
    deep_ppm = image.format == 'PPM' and any(
        isinstance(args, tuple) and isinstance(args[-1], int) and args[-1] > 255
        for args in arguments
    )
    return image.mode.startswith('I') or deep_ppm or bool(re.search(r';16[BLNS]', str(arguments)))


def is_grey_of_16_bits(image: Image.Image) -> bool:
    """Whether Pillow has all 16 bits of an opened image."""
    # It opens PGM, and before version 11 PNG, as 32-bit integers.
    return image.mode.startswith('I;16') or (image.mode == 'I' and image.format in ('PNG', 'PPM'))


def refuse_32_bits(image: Image.Image) -> None:
    """Raises ValueError for pixels of 32 bits or floating point, unless they hold 16 bits."""
    if image.mode in ('I', 'F'):
        raise ValueError(
            f'its pixels are of mode {image.mode!r}; 8 or 16 bits per channel are read'
        )


def refuse_raw_planes(image: Image.Image) -> None:
    """Raises ValueError for the one kind of TIFF of 16 bits that Pillow decodes wrongly."""
    tags, tiles = getattr(image, 'tag_v2', {}), getattr(image, 'tile', [])
    in_planes = tags.get(_PLANAR) == _SEPARATE and max(tags.get(_BITS, (8,))) > 8
    if in_planes and tiles and tiles[0][0] == 'raw':
        raise ValueError('its 16 bits are stored in uncompressed planes: compress it, e.g. as LZW')


def _base_mode(image: Image.Image) -> str:
    """The 8-bit mode that an image is converted to before its colours are."""
    if is_grey_of_16_bits(image):
        return 'L'
    refuse_32_bits(image)
    if image.mode in GREY:
        return 'L'
    return 'CMYK' if image.mode == 'CMYK' else 'RGB'


def _in_8_bits(image: Image.Image, base: str) -> Image.Image:
    if image.mode.startswith('I'):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image if image.mode == base else image.convert(base)


def colours(
    image: Image.Image, base: str
) -> tuple[Callable[[Image.Image], Image.Image], list[str]]:
    """The conversion from the base mode to RGB (or grey) in sRGB, and notes on it."""
    plain = _plain_rgb if base == 'CMYK' else _unchanged
    inks = ['CMYK was converted without a colour profile'] if base == 'CMYK' else []
    content = image.info.get('icc_profile')
    if not content:
        return plain, inks + _png_colours(image)
    try:
        profile = read_profile(content)
        convert = _by_profile(profile, base)
    except ValueError:
        return plain, [*inks, 'a colour profile that cannot be used was ignored']
    if profile.transform is None:
        return plain, inks
    return convert, [f'colours were converted to sRGB from the profile {profile.name!r}']


def _by_profile(profile: ColourProfile, base: str) -> Callable[[Image.Image], Image.Image]:
    """The conversion by a profile; a ValueError if it is for other channels."""
    if profile.mode == base:
        return profile.to_srgb
    if (profile.mode, base) == ('RGB', 'L'):
        return lambda image: profile.to_srgb(image.convert('RGB'))
    raise ValueError(f'a profile of {profile.mode} beside pixels of {base}')


def _png_colours(image: Image.Image) -> list[str]:
    """Notes on colour metadata of a PNG without a profile."""
    if 'srgb' in image.info:
        return []
    gamma, primaries = image.info.get('gamma'), image.info.get('chromaticity')
    notes = []
    if isinstance(gamma, float) and abs(gamma - _GAMMA) > 0.01:
        notes.append(f'a gamma of {gamma:.3f} was ignored')
    if primaries and not np.allclose(primaries, _PRIMARIES, atol=0.01):
        notes.append('primaries other than those of sRGB were ignored')
    return notes


def _plain_rgb(image: Image.Image) -> Image.Image:
    return image.convert('RGB')


def _unchanged(image: Image.Image) -> Image.Image:
    return image
