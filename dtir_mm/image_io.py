"""Image files to and from RGB uint8 arrays.

Pillow rather than OpenCV reads them: a file that was cut off is an error there, where OpenCV fills
the missing part with grey and says nothing.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dtir_mm.files import replacing

JPEG_QUALITY = 95


def read_image(path: str | Path) -> np.ndarray:
    """The image of a file, as a viewer would show it: RGB uint8, (H, W, 3).

    The orientation that a camera noted (EXIF) is applied, grey is repeated over the channels, of 16
    bits the upper 8 are kept, and an alpha channel is dropped (the stored colours are kept).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no image, is truncated, or has 32-bit or floating-point pixels.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no such image file: {path}')
    try:
        with Image.open(path) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except Image.UnidentifiedImageError as error:
        size = path.stat().st_size
        raise ValueError(f'{path} ({size} bytes) is no image that Pillow can read') from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f'{path} is a broken or unsupported image: {error}') from error


def save_image(path: str | Path, rgb: np.ndarray) -> None:
    """Writes an image; whoever reads ``path`` sees the old file or the whole new one.

    Missing folders are made. The suffix names the format; JPEG is written at quality 95.

    Args:
        rgb: uint8, (H, W, 3).

    Raises:
        ValueError: ``rgb`` is not such an array, or the suffix is no known image format.
        OSError: the path cannot be written.
    """
    path = Path(path)
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(
            f'{path}: images are saved from uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}'
        )
    image_format = Image.registered_extensions().get(path.suffix.lower())
    if image_format not in Image.SAVE:
        raise ValueError(f'{path}: suffix {path.suffix!r} is no image format; use .png or .jpg')
    try:
        # In memory first: on a full disk some encoders name no reason, and that of JPEG 2000 hangs.
        encoded = io.BytesIO()
        Image.fromarray(rgb).save(encoded, format=image_format, quality=JPEG_QUALITY)
        with replacing(path, lambda: len(encoded.getbuffer())) as temporary:
            temporary.write_bytes(encoded.getbuffer())
    except OSError as error:
        raise OSError(f'cannot write the image {path}: {error}') from error


def _to_rgb(image: Image.Image) -> np.ndarray:
    """RGB uint8 (H, W, 3) of an opened image; decodes all of it."""
    # Older Pillow opens a 16-bit grey PNG as 32-bit integers.
    if image.mode.startswith('I;16') or (image.mode == 'I' and image.format == 'PNG'):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ('I', 'F'):
        raise ValueError(f'its pixels are of mode {image.mode!r}; 8 or 16 bits a channel are read')
    return np.array(image.convert('RGB'))
