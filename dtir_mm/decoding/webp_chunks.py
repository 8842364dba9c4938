"""The chunks of WebP files."""

from typing import IO

_HEADER = 12  # bytes: RIFF, size, WEBP


def is_lossless(file: IO[bytes]) -> bool:
    """Whether a WebP file is compressed losslessly, which Pillow does not tell.

    The position in the file is kept.
    """
    place = file.tell()
    file.seek(_HEADER)
    while len(head := file.read(8)) == 8 and head[:4] not in (b'VP8 ', b'VP8L'):
        size = int.from_bytes(head[4:], 'little')
        file.seek(size + size % 2, 1)
    file.seek(place)
    return head[:4] == b'VP8L'
