"""Reduces an image to what a file format can hold, with a note on everything that is lost."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image

from dtir_mm.decoding.colour_profile import read_profile
from dtir_mm.decoding.metadata import Metadata
from dtir_mm.decoding.png_chunks import are_of_srgb

KEPT = {
    'PNG': ('icc_profile', 'exif', 'xmp', 'dpi', 'texts', 'comment', 'colour_chunks'),
    'TIFF': ('icc_profile', 'exif', 'xmp', 'dpi'),
    'JPEG': ('icc_profile', 'exif', 'xmp', 'dpi', 'comment'),
    'WEBP': ('icc_profile', 'exif', 'xmp'),
    'AVIF': ('icc_profile', 'exif', 'xmp'),
    'BMP': ('dpi',),
}
"""Formats and the metadata that is written to them."""
_LABELS = {
    'exif': 'EXIF',
    'xmp': 'XMP',
    'dpi': 'its dpi',
    'texts': 'the texts of PNG',
    'comment': 'its comment',
}
_NAMES = {'WEBP': 'WebP', 'JPEG2000': 'JPEG 2000'}  # in notes, where not Pillow's
_OF_16_BITS = ('PNG', 'TIFF')
_WITHOUT_ALPHA = ('JPEG', 'PPM', 'BMP')
_PARSED = ('TIFF', 'AVIF')  # other formats take EXIF as it is
_STRIP = 1 << 20  # pixels converted at once, to limit memory
_LONGEST_IN_JPEG = 65_504  # bytes


class Content(NamedTuple):
    """What is written to a file; the fields are those of ``ImageFile``."""

    pixels: np.ndarray
    alpha: np.ndarray | None
    metadata: Metadata


def fitted(content: Content, image_format: str) -> tuple[Content, list[str]]:
    """The part of the content that a format, such as "PNG", can hold, and notes on the rest."""
    pixels, alpha, metadata = content
    name = _NAMES.get(image_format, image_format)
    notes = []
    if pixels.dtype == np.uint16 and image_format not in _OF_16_BITS:
        pixels = (pixels >> 8).astype(np.uint8)
        alpha = None if alpha is None else (alpha >> 8).astype(np.uint8)
        notes.append(f'{name} holds 8 bits per channel: reduced from 16 bits')
    if alpha is not None and image_format in _WITHOUT_ALPHA:
        if alpha.min() < np.iinfo(alpha.dtype).max:
            notes.append(f'{name} is written without transparency: it was dropped')
        alpha = None
    grey_to_rgb = pixels.shape[2] == 1 and image_format == 'WEBP'
    if metadata.icc_profile and (grey_to_rgb or 'icc_profile' not in KEPT.get(image_format, ())):
        pixels, more = _in_srgb(pixels, metadata.icc_profile, name)
        notes += more
        metadata = replace(metadata, icc_profile=None)
    if grey_to_rgb:
        pixels = np.repeat(pixels, 3, axis=2)
        notes.append(f'{name} holds no grey: it was written as RGB')
    metadata, more = _fitted_metadata(metadata, image_format)
    return Content(pixels, alpha, metadata), notes + more


def _in_srgb(pixels: np.ndarray, icc_profile: bytes, name: str) -> tuple[np.ndarray, list[str]]:
    """Converts uint8 pixels by a profile, and returns notes; grey stays grey."""
    channels = pixels.shape[2]
    try:
        profile = read_profile(icc_profile)
        if profile.mode not in ('RGB', 'L' if channels == 1 else 'RGB'):
            raise ValueError(f'a profile of {profile.mode}')
    except ValueError:
        return pixels, ['a colour profile that cannot be used was not kept']
    if profile.transform is None:
        return pixels, []
    converted = np.empty_like(pixels)
    rows = max(1, _STRIP // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        strip = pixels[top : top + rows]
        image = Image.fromarray(strip[..., 0] if channels == 1 else strip).convert(profile.mode)
        converted[top : top + rows] = np.asarray(profile.to_srgb(image))[..., :channels]
    return converted, [f'{name} is written without a profile: colours became sRGB']


def _fitted_metadata(metadata: Metadata, image_format: str) -> tuple[Metadata, list[str]]:
    kept = KEPT.get(image_format, ())
    notes = [
        f'{_NAMES.get(image_format, image_format)} is written without {label}'
        for name, label in _LABELS.items()
        if getattr(metadata, name) and name not in kept
    ]
    if 'colour_chunks' not in kept and not are_of_srgb(metadata.colour_chunks):
        notes.append('gamma, primaries or HDR transfer of a PNG were not kept')
    for name in ('exif', 'xmp'):
        if image_format == 'JPEG' and len(getattr(metadata, name) or b'') > _LONGEST_IN_JPEG:
            metadata = (
                replace(metadata, exif=None) if name == 'exif' else replace(metadata, xmp=None)
            )
            notes.append(f'JPEG holds at most 64 KB of {_LABELS[name]}: it was dropped')
    if image_format in _PARSED and not _is_well_formed(metadata.exif):
        metadata = replace(metadata, exif=None)
        notes.append(f'malformed EXIF, which cannot be written to {image_format}, was dropped')
    return metadata, notes


def _is_well_formed(exif: bytes | None) -> bool:
    if exif is None:
        return True
    parsed = Image.Exif()
    try:
        parsed.load(exif)
        parsed.tobytes()
    except Exception:  # Pillow's parser raises all kinds of exceptions
        return False
    return True
