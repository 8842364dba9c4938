"""The chunks of PNG files.

Pillow cannot open a PNG with a broken ancillary chunk, and ignores some that tell its colours.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import IO

SIGNATURE = b'\x89PNG\r\n\x1a\n'
_COLOURS = (b'cHRM', b'gAMA', b'sRGB', b'cICP')
_OF_SRGB = {
    b'gAMA': struct.pack('>I', 45455),
    b'cHRM': struct.pack('>8I', 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The types of the chunks, and the chunks with length, type and checksum.

    Args:
        png: content of a file that starts with ``SIGNATURE``; it may be truncated.
    """
    start = len(SIGNATURE)
    while start < len(png):
        end = start + 12 + int.from_bytes(png[start : start + 4], 'big')
        yield png[start + 4 : start + 8], png[start:end]
        start = end


def without_metadata(png: bytes) -> bytes:
    """The file without its ancillary chunks: texts, profiles, times.

    Args:
        png: see ``chunks``.
    """
    return SIGNATURE + b''.join(chunk for kind, chunk in chunks(png) if not kind[:1].islower())


def colour_chunks(file: IO[bytes]) -> list[tuple[bytes, bytes]]:
    """Type and data of the chunks that say how the numbers of a PNG file are to be shown.

    The ICC profile is not among them. The position in the file is kept.
    """
    place, found = file.tell(), []
    file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8 and head[4:] != b'IDAT':
        size = int.from_bytes(head[:4], 'big')
        if head[4:] in _COLOURS:
            found.append((head[4:], file.read(size)))
            size = 0
        file.seek(size + 4, 1)
    file.seek(place)
    return found


def are_of_srgb(found: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether ``colour_chunks`` say that an image is in sRGB, as one without them is."""
    chunks = dict(found)
    return b'sRGB' in chunks or all(_OF_SRGB.get(kind) == data for kind, data in chunks.items())
