"""EXIF and XMP of an image whose orientation is applied to its pixels."""

import re
import struct
from contextlib import suppress

from PIL import ExifTags, Image

PREFIX = b'Exif\0\0'
_TIFF = {b'II*\0': '<', b'MM\0*': '>'}  # start of a block: byte order
_ENTRY = 12  # bytes: tag, type, number of values, value or its place
_ORIENTATION, _EXIF, _GPS, _WIDTH, _HEIGHT = 0x112, 0x8769, 0x8825, 0xA002, 0xA003
_INTEROPERABILITY = 0xA005  # a place in the file
_XMP_ORIENTATION = re.compile(rb'(tiff:Orientation\s*(?:=\s*["\']|>)\s*)[2-8]')
_TAGS = ExifTags.Base
# What a TIFF file's tags say of the image; the others say how it is stored.
DESCRIPTIVE = (
    _TAGS.DocumentName, _TAGS.ImageDescription, _TAGS.Make, _TAGS.Model, _TAGS.PageName,
    _TAGS.Software, _TAGS.DateTime, _TAGS.Artist, _TAGS.HostComputer, _TAGS.Rating,
    _TAGS.RatingPercent, _TAGS.Copyright, _TAGS.XPTitle, _TAGS.XPComment, _TAGS.XPAuthor,
    _TAGS.XPKeywords, _TAGS.XPSubject,
)  # fmt: skip
GROUPS = (_EXIF, _GPS)


def upright_exif(block: bytes, turned: bool) -> bytes:
    """An EXIF block for the image with its orientation applied.

    Everything else keeps its place, since notes of camera makers refer to places in the block. The
    thumbnail, which shows the image before restoration, is unlinked.

    Args:
        block: starts with ``PREFIX`` or with the byte order; returned with ``PREFIX``.
        turned: whether width and height are exchanged.

    Raises:
        ValueError: the block is malformed.
    """
    while block.startswith(PREFIX):
        block = block[len(PREFIX) :]
    changed = bytearray(block)
    try:
        order = _TIFF[block[:4]]
        (start,) = struct.unpack_from(f'{order}I', block, 4)
        entries, end = _directory(block, order, start)
        if _ORIENTATION in entries:
            struct.pack_into(f'{order}HIHH', changed, entries[_ORIENTATION] + 2, 3, 1, 1, 0)
        if len(block) >= end + 4:
            struct.pack_into(f'{order}I', changed, end, 0)
        if turned and _EXIF in entries:
            with suppress(struct.error):  # it may be cut off, and needs no change then
                (start,) = struct.unpack_from(f'{order}I', block, entries[_EXIF] + 8)
                _exchange_size(changed, _directory(block, order, start)[0])
    except (KeyError, struct.error) as error:
        raise ValueError(f'malformed EXIF: {error}') from error
    return PREFIX + bytes(changed)


def upright_xmp(packet: bytes) -> bytes:
    """An XMP packet for the image with its orientation applied."""
    return _XMP_ORIENTATION.sub(rb'\g<1>1', packet)


def exif_of_tiff(image: Image.Image) -> bytes | None:
    """An EXIF block of the tags of a loaded TIFF image; None if there are none."""
    exif, kept = image.getexif(), Image.Exif()
    for tag in DESCRIPTIVE:
        if tag in exif:
            kept[tag] = exif[tag]
    for group in GROUPS:
        values = {
            tag: value for tag, value in exif.get_ifd(group).items() if tag != _INTEROPERABILITY
        }
        if values:
            kept[group] = values
    return kept.tobytes() if len(kept) else None


def _directory(block: bytes, order: str, start: int) -> tuple[dict[int, int], int]:
    """The places of the entries of a directory by their tags, and where the next one is named."""
    (count,) = struct.unpack_from(f'{order}H', block, start)
    places = [start + 2 + number * _ENTRY for number in range(count)]
    tags = [struct.unpack_from(f'{order}H8xI', block, place)[0] for place in places]
    return dict(zip(tags, places, strict=True)), start + 2 + count * _ENTRY


def _exchange_size(block: bytearray, entries: dict[int, int]) -> None:
    if _WIDTH in entries and _HEIGHT in entries:
        width, height = (
            slice(entries[tag] + 2, entries[tag] + _ENTRY) for tag in (_WIDTH, _HEIGHT)
        )
        block[width], block[height] = block[height], block[width]
