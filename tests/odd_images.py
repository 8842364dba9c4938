"""Parts of image files built byte by byte: colour profiles, EXIF blocks, PNG chunks."""

import struct
import zlib

import numpy as np
import PIL

# Red, green and blue in XYZ at D50, from the definitions of the spaces (adapted by Bradford).
COLORANTS = {
    'sRGB': ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
    'Adobe': (
        (0.60974, 0.31111, 0.01947),
        (0.20528, 0.62567, 0.06087),
        (0.14919, 0.06322, 0.74457),
    ),
    'P3': ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
}
ADOBE_GAMMA = 563 / 256
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def icc_profile(space: str, name: str = 'of a test') -> bytes:
    """An ICC profile of version 4 for one of ``COLORANTS``: a matrix and curves."""
    if space == 'Adobe':
        curve = b'curv\0\0\0\0' + struct.pack('>IH', 1, round(ADOBE_GAMMA * 256))
    else:
        curve = b'para\0\0\0\0' + struct.pack('>HH', 3, 0) + _fixed(*_SRGB_CURVE)
    text = name.encode('utf-16-be')
    words = b'mluc\0\0\0\0' + struct.pack('>II2s2sII', 1, 12, b'en', b'US', len(text), 28) + text
    tags = {b'desc': words, b'cprt': words, b'wtpt': _xyz(0.9642, 1.0, 0.8249)}
    for letter, colorant in zip('rgb', COLORANTS[space], strict=True):
        tags[f'{letter}XYZ'.encode()] = _xyz(*colorant)
        tags[f'{letter}TRC'.encode()] = curve
    return _profile(b'RGB ', tags)


def grey_profile(gamma: float) -> bytes:
    """An ICC profile for grey images of that gamma."""
    curve = b'curv\0\0\0\0' + struct.pack('>IH', 1, round(gamma * 256))
    text = 'grey'.encode('utf-16-be')
    words = b'mluc\0\0\0\0' + struct.pack('>II2s2sII', 1, 12, b'en', b'US', len(text), 28) + text
    tags = {b'desc': words, b'cprt': words, b'wtpt': _xyz(0.9642, 1.0, 0.8249), b'kTRC': curve}
    return _profile(b'GRAY', tags)


def in_srgb(image: np.ndarray, space: str) -> np.ndarray:
    """RGB (H, W, 3) of one of the spaces, as floating point numbers 0..255 of sRGB."""
    values = image / 255.0
    linear = values**ADOBE_GAMMA if space == 'Adobe' else _linear(values)
    xyz = linear @ np.array(COLORANTS[space])
    return encoded(xyz @ np.linalg.inv(COLORANTS['sRGB']))


def encoded(linear: np.ndarray) -> np.ndarray:
    """Linear light by the curve of sRGB, 0..255."""
    linear = linear.clip(0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return 255 * curve


def exif_block(orientation: object = None, *entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block with an orientation and further entries (tag, type, count, value)."""
    if isinstance(orientation, int):
        entries = ((274, 3, 1, struct.pack('<H', orientation)), *entries)
    table, values = b'', b''
    start = 8 + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in sorted(entries):
        if len(value) > 4:
            values, value = values + value, struct.pack('<I', start + len(values))
        table += struct.pack('<HHI', tag, kind, count) + value.ljust(4, b'\0')
    head = b'II*\0' + struct.pack('<IH', 8, len(entries))
    return b'Exif\0\0' + head + table + bytes(4) + values


ODD_ENTRIES = {
    'a rational of -1/0': (282, 10, 1, struct.pack('<ii', -1, 0)),
    'a text for a number': (256, 2, 4, b'abc\0'),
    'a negative short': (296, 8, 1, struct.pack('<h', -3)),
    'a pointer to nowhere': (34665, 4, 1, struct.pack('<I', 99999)),
}
PILLOW = int(PIL.__version__.partition('.')[0])
if PILLOW >= 13:  # before, Pillow reads no entry after it
    ODD_ENTRIES['a text of 2 GB'] = (270, 2, 0x7FFFFFFF, struct.pack('<I', 8))

# What a viewer does for each orientation, by TIFF 6.0: where row 0 and column 0 are to be seen.
ORIENTED = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.fliplr(np.flipud(image)),
    4: np.flipud,
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.fliplr(image.transpose(1, 0, 2)),
    7: lambda image: np.fliplr(np.flipud(image.transpose(1, 0, 2))),
    8: lambda image: np.flipud(image.transpose(1, 0, 2)),
}


def with_chunk(png: bytes, kind: bytes, data: bytes, broken: bool = False) -> bytes:
    """A PNG with an additional chunk after its header, whose checksum may be wrong."""
    checksum = zlib.crc32(kind + data) ^ broken
    chunk = struct.pack('>I', len(data)) + kind + data + struct.pack('>I', checksum)
    return png[:33] + chunk + png[33:]


def _fixed(*values: float) -> bytes:
    return b''.join(struct.pack('>i', round(value * 65536)) for value in values)


def _xyz(*values: float) -> bytes:
    return b'XYZ \0\0\0\0' + _fixed(*values)


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body = struct.pack('>I', len(tags)), b''
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += struct.pack('>4sII', tag, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack('>I4sI4s4s4s', start + len(body), b'', 0x04200000, b'mntr', space, b'XYZ ')
    head += struct.pack('>6H', 2024, 1, 1, 0, 0, 0) + b'acsp' + bytes(28)
    head += _fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b'\0') + table + body


def _linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
