"""What an image file holds besides pixels."""

import math
from dataclasses import dataclass

from PIL import Image

from dtir_mm.decoding.exif_block import DESCRIPTIVE, GROUPS, exif_of_tiff, upright_exif, upright_xmp

_RAW_EXIF = 'Raw profile type exif'  # ImageMagick's way to store EXIF in PNG
XMP = 'XML:com.adobe.xmp'
"""The keyword of XMP among the texts of a PNG."""
_WITH_COMMENT = ('JPEG', 'MPO', 'GIF')  # in JPEG 2000 it names the encoder
_IPTC, _PHOTOSHOP = 33723, 34377  # tags of TIFF
_X_RESOLUTION = 282
# Tags of TIFF that are kept, have a note of their own, or say only how the pixels are stored.
_KNOWN_TAGS = frozenset({
    *DESCRIPTIVE, *GROUPS, _IPTC, _PHOTOSHOP, 700, 34675,  # XMP, ICC profile
    *range(254, 260), 262, *range(263, 267), 273, 274, *range(277, 285), *range(288, 294), 296, 297,
    317, *range(320, 326), 332, 334, *range(336, 342), 347, *range(512, 516), *range(529, 532),
})  # fmt: skip


@dataclass(frozen=True)
class Metadata:
    """What an image file holds besides pixels, with orientation 1.

    Attributes:
        icc_profile: the colour profile of the pixels.
        exif: starts with "Exif", as in JPEG.
        xmp: the XMP packet.
        dpi: horizontal and vertical resolution.
        texts: keywords and texts of a PNG.
        comment: the comment of a JPEG or GIF.
        colour_chunks: type and data of PNG's other chunks on colour.
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    texts: tuple[tuple[str, str], ...] = ()
    comment: bytes | None = None
    colour_chunks: tuple[tuple[bytes, bytes], ...] = ()


def read_metadata(image: Image.Image, turned: bool) -> tuple[Metadata, list[str]]:
    """The metadata of a loaded image, and notes on what is not kept.

    Args:
        image: the image.
        turned: whether width and height are exchanged when the orientation is applied.
    """
    notes = []
    try:
        block = _exif(image)
        exif = block and upright_exif(block, turned)
    except Exception:  # Pillow's parser raises all kinds of exceptions
        exif = None
        notes.append('EXIF that cannot be read was ignored')
    tags = getattr(image, 'tag_v2', {})
    if 'photoshop' in image.info or _IPTC in tags or _PHOTOSHOP in tags:
        notes.append('IPTC and Photoshop data was not kept')
    if not _KNOWN_TAGS.issuperset(tags):
        notes.append('some TIFF tags, such as those of GeoTIFF, were not kept')
    xmp = image.info.get('xmp') or image.info.get(XMP)
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    found = Metadata(
        icc_profile=image.info.get('icc_profile') or None,
        exif=exif,
        xmp=upright_xmp(xmp) if isinstance(xmp, bytes) else None,
        dpi=_resolution(_dpi(image), turned),
        texts=_texts(image),
        comment=(image.format in _WITH_COMMENT and image.info.get('comment')) or None,
    )
    return found, notes


def _exif(image: Image.Image) -> bytes | None:
    if image.format == 'TIFF':
        return exif_of_tiff(image)
    if _RAW_EXIF in image.info:
        return image.getexif().tobytes()
    return image.info.get('exif') or None


def _dpi(image: Image.Image) -> object:
    # For a TIFF without a resolution, Pillow makes up 1 dpi.
    unknown = image.format == 'TIFF' and _X_RESOLUTION not in getattr(image, 'tag_v2', {})
    return None if unknown else image.info.get('dpi')


def _resolution(dpi: object, turned: bool) -> tuple[float, float] | None:
    try:
        across, down = map(float, dpi)  # type: ignore[call-overload]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not (0 < across < math.inf and 0 < down < math.inf):
        return None
    return (down, across) if turned else (across, down)


def _texts(image: Image.Image) -> tuple[tuple[str, str], ...]:
    texts = getattr(image, 'text', {}) if image.format == 'PNG' else {}
    return tuple((key, str(text)) for key, text in texts.items() if key not in (_RAW_EXIF, XMP))
