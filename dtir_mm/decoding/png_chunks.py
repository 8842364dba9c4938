"""Removes metadata from PNG files. Pillow cannot open a PNG with a broken ancillary chunk."""

SIGNATURE = b'\x89PNG\r\n\x1a\n'


def without_metadata(png: bytes) -> bytes:
    """The file without its ancillary chunks: texts, profiles, times.

    Args:
        png: content of a file that starts with ``SIGNATURE``; it may be truncated.
    """
    kept = [SIGNATURE]
    start = len(SIGNATURE)
    while start < len(png):
        end = start + 12 + int.from_bytes(png[start : start + 4], 'big')
        ancillary = png[start + 4 : start + 5].islower()
        if not ancillary:
            kept.append(png[start:end])
        start = end
    return b''.join(kept)
