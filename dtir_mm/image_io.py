"""Reads and writes image files as RGB uint8 arrays.

Files are read with Pillow, not OpenCV: a truncated file is an error in Pillow, while OpenCV
silently fills the missing part with grey.
"""

import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageFile

from dtir_mm.decoding.orientation import camera_orientation, turned
from dtir_mm.decoding.pixels import to_rgb
from dtir_mm.decoding.png_chunks import SIGNATURE, without_metadata
from dtir_mm.files import replacing
from dtir_mm.names import listed, shown

JPEG_QUALITY = 95
MAX_PIXELS = 178_956_970
"""Pillow's own limit, above which it suspects an attack. Decoding takes 7 bytes per pixel."""
READER = 3
"""Version of ``read_image``, incremented whenever its pixels change for the same file."""
Result = TypeVar('Result')
# No images, or read only by running Ghostscript or on Windows.
_NOT_READ = frozenset({'BUFR', 'GRIB', 'HDF5', 'EPS', 'WMF', 'MPEG'})


class RefusedImageError(ValueError):
    """An intact image is of a kind that is not read; the message names it."""


class ImageTooLargeError(RefusedImageError):
    """An image has too many pixels."""


def image_suffixes() -> dict[str, str]:
    """The supported suffixes, in lower case, with the names of their formats."""
    known = Image.registered_extensions()
    return {
        suffix: name
        for suffix, name in known.items()
        if name in Image.OPEN and name not in _NOT_READ
    }


def read_image(path: str | Path, max_pixels: int | None = None) -> np.ndarray:
    """Reads an image as a viewer would show it: RGB uint8 in sRGB, (H, W, 3).

    EXIF orientation and ICC profile are applied. Grey is repeated over the channels, the upper 8 of
    16 bits and the first of several frames or pages are kept, and an alpha channel is dropped
    without changing colours. Broken metadata is ignored.

    Args:
        path: the file.
        max_pixels: larger images are refused before decoding; None for the environment variable
            ``DTIR_MAX_PIXELS`` or, if it is not set, ``MAX_PIXELS``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not an image, is truncated or too large, or has 32-bit or
            floating-point pixels.
    """
    return _read(Path(path), max_pixels)[0]


def read_with_notes(
    path: str | Path, max_pixels: int | None = None
) -> tuple[np.ndarray, list[str]]:
    """``read_image``, with a note on everything that was dropped or converted.

    Notes are constant strings, so that files can be counted by them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # Pillow's warnings about metadata name no file
        image, notes = _read(Path(path), max_pixels)
        return image, notes + _frame_notes(Path(path))


def note_lines(notes: Iterable[tuple[Path, str]]) -> list[str]:
    """One line per note, with the number of files and the first names."""
    files: dict[str, list[Path]] = {}
    for file, note in notes:
        files.setdefault(note, []).append(file)
    return [f'{note}: {len(about)} image(s): {listed(about)}' for note, about in files.items()]


def pixel_count(path: str | Path) -> int:
    """The number of pixels of an image file; reads only the header.

    Raises:
        FileNotFoundError, ValueError: see ``read_image``.
    """
    with _naming(Path(path)), _opened(path) as image:
        return image.width * image.height


def save_image(path: str | Path, rgb: np.ndarray) -> None:
    """Writes an image atomically; missing folders are created.

    Args:
        path: the file; its suffix determines the format. JPEG is written at quality 95.
        rgb: uint8, (H, W, 3).

    Raises:
        ValueError: ``rgb`` is not such an array, or the suffix is not of an image format.
        OSError: the path cannot be written.
    """
    path = Path(path)
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(
            f'{shown(path)}: images are saved from uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}'
        )
    image_format = Image.registered_extensions().get(path.suffix.lower())
    if image_format not in Image.SAVE:
        raise ValueError(
            f'{shown(path)}: suffix {path.suffix!r} is not an image format; use .png or .jpg'
        )
    try:
        # In memory first: on a full disk some encoders give no reason, and JPEG 2000 hangs.
        encoded = io.BytesIO()
        Image.fromarray(rgb).save(encoded, format=image_format, quality=JPEG_QUALITY)
        with replacing(path, lambda: len(encoded.getbuffer())) as temporary:
            temporary.write_bytes(encoded.getbuffer())
    except OSError as error:
        raise OSError(f'cannot write the image {shown(path)}: {error}') from error


def decoded(
    path: Path, decode: Callable[[ImageFile.ImageFile], Result], max_pixels: int | None = None
) -> tuple[Result, list[str]]:
    """The result of decoding an image file, and notes on what was ignored.

    Args:
        path: the file.
        decode: called with the opened image. It is called again if it fails for a PNG, with the
            image without metadata, since Pillow cannot read a PNG with broken metadata.
        max_pixels: see ``read_image``.

    Raises:
        FileNotFoundError, ValueError: see ``read_image``.
    """
    limit = _max_pixels() if max_pixels is None else max_pixels
    with _naming(path):
        try:
            return _decoded(path, path, decode, limit), []
        except RefusedImageError:
            raise
        except Exception:
            content = _content_of_png(path)
            if content is None:
                raise
            result = _decoded(path, without_metadata(content), decode, limit)
            return result, ['metadata that cannot be read was ignored']


def _read(path: Path, max_pixels: int | None) -> tuple[np.ndarray, list[str]]:
    (image, notes), ignored = decoded(path, _upright_rgb, max_pixels)
    return image, notes + ignored


def _upright_rgb(image: Image.Image) -> tuple[np.ndarray, list[str]]:
    rgb, notes = to_rgb(image)
    orientation, ignored = camera_orientation(image)
    return turned(rgb, orientation), notes + ignored


def _max_pixels() -> int:
    given = os.environ.get('DTIR_MAX_PIXELS', str(MAX_PIXELS))
    if not given.isdigit():
        raise ValueError(f'DTIR_MAX_PIXELS={given!r} must be a number of pixels, e.g. {MAX_PIXELS}')
    return int(given)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turns every exception while reading a file into an error that names the file."""
    name = shown(path)
    if not path.is_file():
        where = f' (a link to {shown(os.readlink(path))})' if path.is_symlink() else ''
        if path.exists():
            where += ' (it is not a regular file)'
        raise FileNotFoundError(f'no such image file: {name}{where}')
    try:
        yield
    except RefusedImageError:
        raise
    except Image.UnidentifiedImageError as error:
        size = path.stat().st_size
        raise ValueError(f'{name} ({size} bytes) is not an image that Pillow can read') from error
    except Exception as error:  # decoders raise all kinds of exceptions
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise ValueError(f'{name} is a broken or unsupported image: {reason}') from error


@contextmanager
def _opened(source: str | Path | bytes) -> Iterator[ImageFile.ImageFile]:
    """Opens an image of any size, reading only its header; Pillow's own limit is disabled."""
    pillows, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        # Given a path, Pillow 13 maps uncompressed grey TIFFs into memory and then turns them
        # wrongly. Unsupported formats are refused under any suffix.
        with (
            io.BytesIO(source) if isinstance(source, bytes) else open(source, 'rb') as file,
            Image.open(file, formats=sorted(set(image_suffixes().values()))) as image,
        ):
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = pillows


def _decoded(
    path: Path, source: Path | bytes, decode: Callable[[ImageFile.ImageFile], Result], limit: int
) -> Result:
    with _opened(source) as image:
        width, height = image.size
        if width * height > limit:
            raise ImageTooLargeError(
                f'{shown(path)} has {width} x {height} = {width * height} pixels, more than the '
                f'{limit} that are read: raise the limit (dtir-mm restore --max-pixels, or '
                f'the environment variable DTIR_MAX_PIXELS)'
            )
        try:
            return decode(image)
        except MemoryError as error:
            raise ImageTooLargeError(
                f'{shown(path)} has {width} x {height} = {width * height} pixels, too many for the '
                f'memory that is available'
            ) from error


def _content_of_png(path: Path) -> bytes | None:
    """The content of a PNG file; None for another format."""
    with path.open('rb') as file:
        return SIGNATURE + file.read() if file.read(len(SIGNATURE)) == SIGNATURE else None


def _frame_notes(path: Path) -> list[str]:
    try:
        with _opened(path) as image:
            if image.format == 'PSD':  # layers of one image
                return []
            try:
                several = getattr(image, 'n_frames', 1) > 1
            except Exception:  # e.g. truncated after the first frame
                return ['frames or pages after the first one cannot be read']
    except Exception:  # broken PNG metadata, which has a note already
        return []
    return ['of several frames or pages the first was taken'] if several else []
