"""Image files to and from RGB uint8 arrays.

Pillow rather than OpenCV reads them: a file that was cut off is an error there, where OpenCV fills
the missing part with grey and says nothing.
"""

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from dtir_mm.decoding.orientation import camera_orientation, turned
from dtir_mm.decoding.pixels import to_rgb
from dtir_mm.decoding.png_chunks import SIGNATURE, without_metadata
from dtir_mm.files import replacing
from dtir_mm.names import listed, shown

JPEG_QUALITY = 95
MAX_PIXELS = 178_956_970
"""Beyond that many Pillow takes an image for an attack. Decoding takes 7 bytes a pixel."""
READER = 2
"""Raised whenever ``read_image`` gives other pixels of the same file than before."""
# By their names alone; by running Ghostscript or Windows; no images.
_NOT_READ = frozenset({'BUFR', 'GRIB', 'HDF5', 'EPS', 'WMF', 'MPEG'})


class ImageTooLargeError(ValueError):
    """An image has more pixels than are read."""


def image_suffixes() -> dict[str, str]:
    """The suffixes, in lower case, of the files that are read, each with its format's name."""
    known = Image.registered_extensions()
    return {
        suffix: name
        for suffix, name in known.items()
        if name in Image.OPEN and name not in _NOT_READ
    }


def read_image(path: str | Path, max_pixels: int | None = None) -> np.ndarray:
    """The image of a file, as a viewer would show it: RGB uint8 in sRGB, (H, W, 3).

    The orientation that a camera noted (EXIF) is applied, and so is a colour profile (ICC). Grey is
    repeated over the channels, of 16 bits the upper 8 are kept, of several frames or pages the
    first, and an alpha channel is dropped (the stored colours are kept). Metadata that is broken is
    ignored.

    Args:
        path: of the file.
        max_pixels: larger images are refused before they are decoded; None for the environment's
            ``DTIR_MAX_PIXELS``, or else ``MAX_PIXELS``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no image, is truncated, is too large, or has 32-bit or
            floating-point pixels.
    """
    return _read(Path(path), max_pixels)[0]


def read_with_notes(
    path: str | Path, max_pixels: int | None = None
) -> tuple[np.ndarray, list[str]]:
    """``read_image``, and notes on what of the file was dropped or converted.

    The same thing gets the same words, so that files can be counted by them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of Pillow, on metadata; they name no file
        image, notes = _read(Path(path), max_pixels)
        return image, notes + _frame_notes(Path(path))


def note_lines(notes: Iterable[tuple[Path, str]]) -> list[str]:
    """Each note once, with the number of the files that it is about and the first names of them."""
    files: dict[str, list[Path]] = {}
    for file, note in notes:
        files.setdefault(note, []).append(file)
    return [f'{note}: {len(about)} image(s): {listed(about)}' for note, about in files.items()]


def pixel_count(path: str | Path) -> int:
    """How many pixels an image file has; reads its header alone.

    Raises:
        FileNotFoundError, ValueError: see ``read_image``.
    """
    with _naming(Path(path)), _opened(path) as image:
        return image.width * image.height


def save_image(path: str | Path, rgb: np.ndarray) -> None:
    """Writes an image; whoever reads ``path`` sees the old file or the whole new one.

    Missing folders are made. The suffix names the format; JPEG is written at quality 95.

    Args:
        path: of the file.
        rgb: uint8, (H, W, 3).

    Raises:
        ValueError: ``rgb`` is not such an array, or the suffix is no known image format.
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
            f'{shown(path)}: suffix {path.suffix!r} is no image format; use .png or .jpg'
        )
    try:
        # In memory first: on a full disk some encoders name no reason, and that of JPEG 2000 hangs.
        encoded = io.BytesIO()
        Image.fromarray(rgb).save(encoded, format=image_format, quality=JPEG_QUALITY)
        with replacing(path, lambda: len(encoded.getbuffer())) as temporary:
            temporary.write_bytes(encoded.getbuffer())
    except OSError as error:
        raise OSError(f'cannot write the image {shown(path)}: {error}') from error


def _read(path: Path, max_pixels: int | None) -> tuple[np.ndarray, list[str]]:
    limit = _max_pixels() if max_pixels is None else max_pixels
    with _naming(path):
        try:
            image, orientation, notes = _decoded(path, path, limit)
        except ImageTooLargeError:
            raise
        except Exception:
            content = _content_of_png(path)
            if content is None:
                raise
            image, orientation, notes = _decoded(path, without_metadata(content), limit)
            notes.append('metadata that cannot be read was ignored')
    return turned(image, orientation), notes


def _max_pixels() -> int:
    given = os.environ.get('DTIR_MAX_PIXELS', str(MAX_PIXELS))
    if not given.isdigit():
        raise ValueError(f'DTIR_MAX_PIXELS={given!r} must be a number of pixels, e.g. {MAX_PIXELS}')
    return int(given)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Makes whatever goes wrong in reading a file an error that names it."""
    name = shown(path)
    if not path.is_file():
        where = f' (a link to {shown(os.readlink(path))})' if path.is_symlink() else ''
        if path.exists():
            where += ' (there is a folder, pipe or device of that name)'
        raise FileNotFoundError(f'no such image file: {name}{where}')
    try:
        yield
    except ImageTooLargeError:
        raise
    except Image.UnidentifiedImageError as error:
        size = path.stat().st_size
        raise ValueError(f'{name} ({size} bytes) is no image that Pillow can read') from error
    except Exception as error:  # Pillow's decoders let through whatever they stumble over
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise ValueError(f'{name} is a broken or unsupported image: {reason}') from error


@contextmanager
def _opened(source: str | Path | io.BytesIO) -> Iterator[Image.Image]:
    """An image whose header alone was read, of any size: Pillow's own limit is off meanwhile."""
    pillows, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        # A format that is not listed may not come in under another one's suffix either.
        with Image.open(source, formats=sorted(set(image_suffixes().values()))) as image:
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = pillows


def _decoded(path: Path, source: Path | bytes, limit: int) -> tuple[np.ndarray, int, list[str]]:
    """The image as it is stored, its orientation, and notes."""
    with _opened(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        width, height = image.size
        if width * height > limit:
            raise ImageTooLargeError(
                f'{shown(path)} has {width} x {height} = {width * height} pixels, more than the '
                f'{limit} that are read: raise the limit (restore.py --max-pixels, or the '
                f'environment variable DTIR_MAX_PIXELS)'
            )
        rgb, notes = to_rgb(image)
        orientation, ignored = camera_orientation(image)
    return rgb, orientation, notes + ignored


def _content_of_png(path: Path) -> bytes | None:
    """None for a file of another format."""
    with path.open('rb') as file:
        return SIGNATURE + file.read() if file.read(len(SIGNATURE)) == SIGNATURE else None


def _frame_notes(path: Path) -> list[str]:
    try:
        with _opened(path) as image:
            if image.format == 'PSD':  # layers, of which the image is composed
                return []
            try:
                several = getattr(image, 'n_frames', 1) > 1
            except Exception:  # as of a file that is cut off behind its first frame
                return ['frames or pages after the first one cannot be read']
    except Exception:  # of a PNG whose metadata is broken, as was said
        return []
    return ['of several frames or pages the first was taken'] if several else []
