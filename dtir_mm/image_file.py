"""Reads and writes image files with all that they hold: bits, alpha, colour profile, EXIF.

Training and evaluation need RGB uint8 in sRGB, see ``dtir_mm.image_io``.
"""

import io
import warnings
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile as PillowFile

from dtir_mm.decoding.metadata import Metadata, read_metadata
from dtir_mm.decoding.orientation import camera_orientation, turned
from dtir_mm.decoding.png_chunks import colour_chunks
from dtir_mm.decoding.stored_pixels import CONVERTED, stored_pixels
from dtir_mm.decoding.webp_chunks import is_lossless
from dtir_mm.encoding.deep_png import encode_deep_png
from dtir_mm.encoding.fitting import Content, fitted
from dtir_mm.encoding.metadata import pillow_options, tiff_tags
from dtir_mm.encoding.tiff import encode_tiff
from dtir_mm.files import replacing
from dtir_mm.image_io import RefusedImageError, decoded
from dtir_mm.names import shown

QUALITY = 95
"""Of JPEG and AVIF (without chroma subsampling) and lossy WebP, whatever the input's was."""
# Formats in full colour; PNG and TIFF keep everything.
_WRITTEN = frozenset({'PNG', 'TIFF', 'JPEG', 'WEBP', 'AVIF', 'BMP', 'JPEG2000', 'PPM', 'TGA'})
_ONE_IMAGE = ('MPO', 'PSD')  # their further images are previews and layers
_OPTIONS: dict[str, dict[str, Any]] = {
    'PNG': {'compress_level': 4},  # Pillow's default of 6 takes 3 times as long for 1 % less
    'JPEG': {'quality': QUALITY, 'subsampling': 0},
    'WEBP': {'quality': QUALITY, 'exact': True},
    'AVIF': {'quality': QUALITY},
}
_LOSSLESS_WEBP = {'lossless': True, 'quality': 50}  # here the quality is the effort
_EXCHANGED = (5, 6, 7, 8)  # orientations that exchange width and height


@dataclass(frozen=True)
class ImageFile:
    """What an image file holds, so that a restored image can be written with all of it.

    Pixels are those stored, and a colour profile is kept instead of being applied: colours outside
    sRGB are not lost, and an unchanged image stays the same. Only CMYK and Lab become sRGB.

    Attributes:
        pixels: uint8 or uint16, (H, W, 3) or, grey, (H, W, 1), with the orientation applied.
        alpha: (H, W) of the same type; None if the image has no transparency.
        format: Pillow's name of the format, e.g. "PNG".
        metadata: the colour profile, EXIF, and others.
        lossless: whether it is a lossless WebP, and is written as such.
        notes: what was converted or is not kept, as constant strings.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    format: str = 'PNG'
    metadata: Metadata = Metadata()
    lossless: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def icc_profile(self) -> bytes | None:
        """The colour profile of the pixels."""
        return self.metadata.icc_profile

    @property
    def exif(self) -> bytes | None:
        """EXIF with orientation 1."""
        return self.metadata.exif


def read_image_file(path: str | Path, max_pixels: int | None = None) -> ImageFile:
    """Reads an image file with all that it holds.

    PNG and TIFF are read with all their 16 bits, other formats with the upper 8. Palettes become
    RGB. The orientation is applied, and reset in EXIF and XMP.

    Args:
        path: the file.
        max_pixels: see ``image_io.read_image``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not an image, is truncated or too large, has several frames or
            pages, or has 12-bit, 32-bit or floating-point pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # Pillow's warnings about metadata name no file
        path = Path(path)
        (image, orientation), notes = decoded(path, partial(_read, path), max_pixels)
    return _upright(replace(image, notes=image.notes + notes), orientation)


def of_pillow(image: Image.Image) -> ImageFile:
    """What a PIL image holds, as ``read_image_file`` gives it for a file, with 8 bits of colours.

    Raises:
        ValueError: it has no pixels, or pixels of 32 bits or floating point.
        Exception: any exception of Pillow if the image cannot be decoded.
    """
    if 0 in image.size:
        raise ValueError(f'an image of {image.width} x {image.height} pixels cannot be restored')
    if image.mode in ('I', 'F'):
        raise ValueError(
            f'a PIL image of mode {image.mode!r} has no defined white: pass a numpy array of '
            f'uint8, uint16, or floating-point values in [0, 1]'
        )
    image.load()
    return _upright(*_stored(image))


def write_image_file(path: str | Path, image: ImageFile, new: bool = False) -> list[str]:
    """Writes an image file atomically; missing folders are created.

    Args:
        path: the file; its suffix determines the format, see ``is_written``. TIFF, PNG, BMP, PPM,
            TGA and JPEG 2000 are lossless, for others see ``QUALITY``.
        image: the image.
        new: whether the file must not exist, see ``replacing``.

    Returns:
        notes on what the format cannot hold, as constant strings.

    Raises:
        ValueError: the suffix is of no such format, pixels are not as in ``ImageFile``, or the file
            exists although ``new`` is set.
        OSError: the path cannot be written.
    """
    path = Path(path)
    image_format = format_of(path.suffix)
    if image_format not in _WRITTEN:
        raise ValueError(
            f'{shown(path)}: images are not written as {path.suffix!r}; use .png, .tif or .jpg'
        )
    _check(path, image)
    content, notes = fitted(Content(image.pixels, image.alpha, image.metadata), image_format)
    try:
        encoded = _encoded(content, image_format, image.lossless)
        with replacing(path, lambda: len(encoded), new) as temporary:
            temporary.write_bytes(encoded)
    except OSError as error:
        raise OSError(f'cannot write the image {shown(path)}: {error}') from error
    return notes


def is_written(suffix: str) -> bool:
    """Whether images are written in the format of a suffix, such as ".png".

    Others, such as GIF, do not hold full colour, so that PNG is the choice for their results.
    """
    return format_of(suffix) in _WRITTEN


def format_of(suffix: str) -> str | None:
    """Pillow's name of the format of a suffix: ".jpg" and ".jpeg" are "JPEG"; None if unknown."""
    return Image.registered_extensions().get(suffix.lower())


def _read(path: Path, image: PillowFile) -> tuple[ImageFile, int]:
    """An opened image as stored, and its orientation."""
    _require_one_frame(path, image)
    assert image.fp is not None, 'the image is not loaded yet'
    chunks = tuple(colour_chunks(image.fp)) if image.format == 'PNG' else ()
    lossless = image.format == 'WEBP' and is_lossless(image.fp)
    stored, orientation = _stored(image)
    if image.format == 'MPO':
        note = 'further images in the file (a preview, gain map or second view) were dropped'
        stored.notes.append(note)
    return replace(
        stored,
        format='JPEG' if image.format == 'MPO' else stored.format,
        metadata=replace(stored.metadata, colour_chunks=chunks),
        lossless=lossless,
    ), orientation


def _stored(image: Image.Image) -> tuple[ImageFile, int]:
    pixels, alpha, notes = stored_pixels(image)
    orientation, ignored = camera_orientation(image)
    metadata, more = read_metadata(image, orientation in _EXCHANGED)
    if image.mode in CONVERTED:
        metadata = replace(metadata, icc_profile=None)
    return ImageFile(
        pixels=pixels,
        alpha=alpha,
        format=image.format or '',
        metadata=metadata,
        notes=list(dict.fromkeys([*notes, *ignored, *more])),
    ), orientation


def _upright(image: ImageFile, orientation: int) -> ImageFile:
    return replace(
        image,
        pixels=turned(image.pixels, orientation),
        alpha=None if image.alpha is None else turned(image.alpha, orientation),
    )


def _require_one_frame(path: Path, image: Image.Image) -> None:
    frames = 1 if image.format in _ONE_IMAGE else getattr(image, 'n_frames', 1)
    if frames > 1:
        kind = 'pages; multi-page files' if image.format == 'TIFF' else 'frames; animations'
        raise RefusedImageError(
            f'{shown(path)} has {frames} {kind} are not supported: split it into images first'
        )


def _check(path: Path, image: ImageFile) -> None:
    pixels, alpha = image.pixels, image.alpha
    if (
        pixels.dtype not in (np.uint8, np.uint16)
        or pixels.ndim != 3
        or pixels.shape[2] not in (1, 3)
    ):
        raise ValueError(
            f'{shown(path)}: pixels must be uint8 or uint16, (H, W, 3) or (H, W, 1), got '
            f'{pixels.dtype} {pixels.shape}'
        )
    if alpha is not None and (alpha.dtype, alpha.shape) != (pixels.dtype, pixels.shape[:2]):
        raise ValueError(
            f'{shown(path)}: alpha must be {pixels.dtype} {pixels.shape[:2]}, got {alpha.dtype} '
            f'{alpha.shape}'
        )


def _encoded(content: Content, image_format: str, lossless: bool) -> bytes | memoryview:
    pixels, alpha, metadata = content
    if image_format == 'TIFF':
        return encode_tiff(pixels, alpha, tiff_tags(metadata))
    options = pillow_options(metadata, image_format) | _OPTIONS.get(image_format, {})
    if image_format == 'WEBP' and lossless:
        options |= _LOSSLESS_WEBP
    if image_format == 'AVIF' and pixels.shape[2] == 3:
        options['subsampling'] = '4:4:4'  # of grey it would make RGB
    file = io.BytesIO()
    if pixels.dtype == np.uint16:
        Image.new('L', (1, 1)).save(file, 'PNG', **options)
        return encode_deep_png(pixels, alpha, file.getvalue())
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    image.save(file, image_format, **options)
    return file.getbuffer()
