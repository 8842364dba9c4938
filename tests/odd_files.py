"""Random image files of every kind that users have, with their expected content."""

import io
import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from odd_images import ODD_ENTRIES, ORIENTED, exif_block, icc_profile, in_srgb, with_chunk
from PIL import Image

LOSSY = 9.0  # mean of the absolute differences, of 255
PROFILED = 2.5  # any difference, of 255


@dataclass
class OddFile:
    """A file and the expected result of reading it.

    Args:
        path: where it is stored.
        kind: a description for messages of failed tests.
        image: the expected RGB uint8 image; None if the file contains none.
        tolerance: the largest difference: per value, or of the mean for lossy formats.
        lossy: whether the tolerance is for the mean.
        cut: the file is truncated: it may be rejected, but not be read wrongly.
    """

    path: Path
    kind: str
    image: np.ndarray | None
    tolerance: float = 0.0
    lossy: bool = False
    cut: bool = False

    @property
    def has_frames(self) -> bool:
        """Whether it has several frames or pages."""
        return 'animated' in self.kind or 'pages' in self.kind

    def shows(self, image: np.ndarray) -> bool:
        """Whether an image is the expected one."""
        if self.image is None or image.shape != self.image.shape:
            return False
        difference = np.abs(image.astype(float) - self.image)
        return (difference.mean() if self.lossy else difference.max()) <= self.tolerance


Content = tuple[bytes, np.ndarray]


def make_files(folder: Path, count: int, seed: int) -> list[OddFile]:
    """Writes that many files with different stems into a folder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    return [_make(folder, rng, number) for number in range(count)]


def _make(folder: Path, rng: np.random.Generator, number: int) -> OddFile:
    kind = _drawn(rng, list(_MAKERS))
    suffix, make = _MAKERS[kind]
    content, image = make(rng, _random_image(rng))
    tolerance, lossy = (LOSSY, True) if kind.startswith('lossy') else (0.0, False)
    if 'profile' in kind and not lossy:
        tolerance = PROFILED
    name, what = _drawn(rng, _NAMES)
    path = folder / (name(number, suffix) + (suffix.upper() if rng.random() < 0.1 else suffix))
    file = OddFile(path, f'{kind}, {what}', image, tolerance, lossy)
    damage = rng.random()
    if damage < 0.12:
        content = content[: int(len(content) * rng.uniform(0.02, 0.98))]
        file.kind, file.cut = f'{file.kind}, cut off', True
    elif damage < 0.2:
        content = _drawn(rng, [b'', b'<html>404</html>', rng.bytes(500), b'\0' * 300])
        file.kind, file.image = f'{what}, rubbish', None
    path.write_bytes(content)
    return file


def _random_image(rng: np.random.Generator) -> np.ndarray:
    """Smooth, of odd sizes, in few colours, so that every format can store it."""
    height, width = (int(side) for side in rng.integers(9, 40, 2))
    coarse = rng.integers(30, 226, (3, 3, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return smooth.round().astype(np.uint8)


def _drawn(rng: np.random.Generator, choices: list) -> object:
    return choices[int(rng.integers(len(choices)))]


def _saved(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def _rgb(format_name: str, **options: object) -> Callable:
    return lambda rng, rgb: (_saved(Image.fromarray(rgb), format_name, **options), rgb)


def _grey(format_name: str) -> Callable:
    def make(rng: np.random.Generator, rgb: np.ndarray) -> Content:
        grey = rgb[..., 0]
        return _saved(Image.fromarray(grey), format_name), np.dstack([grey] * 3)

    return make


def _alpha(format_name: str, **options: object) -> Callable:
    def make(rng: np.random.Generator, rgb: np.ndarray) -> Content:
        alpha = rng.integers(1, 256, rgb.shape[:2], dtype=np.uint8)
        return _saved(Image.fromarray(np.dstack([rgb, alpha])), format_name, **options), rgb

    return make


def _grey_alpha(rng: np.random.Generator, rgb: np.ndarray) -> Content:
    pair = Image.fromarray(np.dstack([rgb[..., 0], rgb[..., 1]]), 'LA')
    return _saved(pair, 'PNG'), np.dstack([rgb[..., 0]] * 3)


def _palette(format_name: str, **options: object) -> Callable:
    def make(rng: np.random.Generator, rgb: np.ndarray) -> Content:
        image = Image.fromarray(rgb).quantize(16)
        colours = np.array(image.getpalette(), np.uint8).reshape(-1, 3)[np.asarray(image)]
        return _saved(image, format_name, **options), colours

    return make


def _bits(format_name: str) -> Callable:
    def make(rng: np.random.Generator, rgb: np.ndarray) -> Content:
        black = rgb[..., 0] > 127
        expected = np.dstack([np.where(black, 255, 0).astype(np.uint8)] * 3)
        return _saved(Image.fromarray(black), format_name), expected

    return make


def _deep(suffix: str, channels: int) -> Callable:
    def make(rng: np.random.Generator, rgb: np.ndarray) -> Content:
        low = rng.integers(0, 256, rgb.shape, dtype=np.uint16)
        deep = (rgb.astype(np.uint16) << 8) + low
        stored = deep[..., 0] if channels == 1 else deep[..., ::-1]
        content = cv2.imencode(suffix, np.ascontiguousarray(stored))[1].tobytes()
        return content, np.dstack([rgb[..., 0]] * 3) if channels == 1 else rgb

    return make


def _pgm_of_16_bits(rng: np.random.Generator, rgb: np.ndarray) -> Content:
    deep = rgb[..., 0].astype('>u2') * 256 + 77
    head = f'P5\n# a comment\n{rgb.shape[1]} {rgb.shape[0]}\n65535\n'.encode()
    return head + deep.astype('>u2').tobytes(), np.dstack([rgb[..., 0]] * 3)


def _frames(format_name: str, **options: object) -> Callable:
    def make(rng: np.random.Generator, rgb: np.ndarray) -> Content:
        more = [Image.fromarray(255 - rgb), Image.fromarray(rgb // 2)]
        options_all = {'save_all': True, 'append_images': more, **options}
        return _saved(Image.fromarray(rgb), format_name, **options_all), rgb

    return make


def _profiled(format_name: str, **options: object) -> Callable:
    def make(rng: np.random.Generator, rgb: np.ndarray) -> Content:
        space = _drawn(rng, ['P3', 'Adobe'])
        content = _saved(
            Image.fromarray(rgb), format_name, icc_profile=icc_profile(space, space), **options
        )
        return content, in_srgb(rgb, space).round().astype(np.uint8)

    return make


def _broken_profile(rng: np.random.Generator, rgb: np.ndarray) -> Content:
    return _saved(Image.fromarray(rgb), 'PNG', icc_profile=rng.bytes(200)), rgb


def _turned(format_name: str, **options: object) -> Callable:
    def make(rng: np.random.Generator, rgb: np.ndarray) -> Content:
        orientation = int(rng.integers(1, 9))
        odd = _drawn(rng, [(), *((entry,) for entry in ODD_ENTRIES.values())])
        block = exif_block(orientation, *odd)
        block = block[6:] if format_name == 'PNG' else block
        content = _saved(Image.fromarray(rgb), format_name, exif=block, **options)
        return content, ORIENTED[orientation](rgb)

    return make


def _rubbish_exif(format_name: str, **options: object) -> Callable:
    def make(rng: np.random.Generator, rgb: np.ndarray) -> Content:
        block = (b'' if format_name == 'PNG' else b'Exif\0\0') + b'\x12' + rng.bytes(60)
        return _saved(Image.fromarray(rgb), format_name, exif=block, **options), rgb

    return make


def _odd_chunk(rng: np.random.Generator, rgb: np.ndarray) -> Content:
    kind = _drawn(rng, [b'tEXt', b'iCCP', b'gAMA', b'cHRM', b'pHYs', b'eXIf', b'zTXt', b'tIME'])
    png = _saved(Image.fromarray(rgb), 'PNG')
    return with_chunk(png, kind, rng.bytes(int(rng.integers(0, 30))), rng.random() < 0.5), rgb


def _cmyk(rng: np.random.Generator, rgb: np.ndarray) -> Content:
    inks = np.dstack([255 - rgb, np.zeros_like(rgb[..., 0])])  # no black: RGB is its complement
    return _saved(Image.fromarray(inks, 'CMYK'), 'TIFF'), rgb


_LOSSLESS = {'lossless': True}
# Kind of a file: its suffix, and a function that makes (content, expected image).
_MAKERS: dict[str, tuple[str, Callable[[np.random.Generator, np.ndarray], Content]]] = {
    'PNG': ('.png', _rgb('PNG')),
    'grey PNG': ('.png', _grey('PNG')),
    'PNG with alpha': ('.png', _alpha('PNG')),
    'grey PNG with alpha': ('.png', _grey_alpha),
    'PNG with a palette': ('.png', _palette('PNG')),
    'PNG with a transparent palette': ('.png', _palette('PNG', transparency=0)),
    'PNG of 1 bit': ('.png', _bits('PNG')),
    'PNG of 16 bits': ('.png', _deep('.png', 3)),
    'grey PNG of 16 bits': ('.png', _deep('.png', 1)),
    'animated PNG': ('.apng', _frames('PNG')),
    'PNG with a profile': ('.png', _profiled('PNG')),
    'PNG with a broken ICC block': ('.png', _broken_profile),
    'PNG with EXIF': ('.png', _turned('PNG')),
    'PNG with rubbish as EXIF': ('.png', _rubbish_exif('PNG')),
    'PNG with an odd chunk': ('.png', _odd_chunk),
    'BMP': ('.bmp', _rgb('BMP')),
    'grey BMP': ('.bmp', _grey('BMP')),
    'BMP with a palette': ('.dib', _palette('DIB')),
    'TIFF': ('.tif', _rgb('TIFF')),
    'TIFF, LZW': ('.tiff', _rgb('TIFF', compression='tiff_lzw')),
    'TIFF, deflated': ('.tif', _rgb('TIFF', compression='tiff_adobe_deflate')),
    'grey TIFF': ('.tif', _grey('TIFF')),
    'TIFF with alpha': ('.tif', _alpha('TIFF')),
    'TIFF of 1 bit': ('.tif', _bits('TIFF')),
    'TIFF of 16 bits': ('.tif', _deep('.tif', 3)),
    'grey TIFF of 16 bits': ('.tif', _deep('.tif', 1)),
    'TIFF with pages': ('.tif', _frames('TIFF')),
    'TIFF with a profile': ('.tif', _profiled('TIFF')),
    'CMYK TIFF': ('.tif', _cmyk),
    'WebP': ('.webp', _rgb('WEBP', **_LOSSLESS)),
    'WebP with alpha': ('.webp', _alpha('WEBP', exact=True, **_LOSSLESS)),
    'animated WebP': ('.webp', _frames('WEBP', **_LOSSLESS)),
    'WebP with a profile': ('.webp', _profiled('WEBP', **_LOSSLESS)),
    'WebP with EXIF': ('.webp', _turned('WEBP', **_LOSSLESS)),
    'GIF': ('.gif', _palette('GIF')),
    'PPM': ('.ppm', _rgb('PPM')),
    'PGM': ('.pgm', _grey('PPM')),
    'PBM': ('.pbm', _bits('PPM')),
    'PGM of 16 bits': ('.pgm', _pgm_of_16_bits),
    'TGA': ('.tga', _rgb('TGA')),
    'JPEG 2000': ('.jp2', _rgb('JPEG2000')),
    'JPEG 2000 stream': ('.j2k', _rgb('JPEG2000')),
    'SGI': ('.rgb', _rgb('SGI')),
    'PCX': ('.pcx', _rgb('PCX')),
    'DDS': ('.dds', _rgb('DDS')),
    'lossy JPEG': ('.jpg', _rgb('JPEG', quality=92)),
    'lossy JFIF': ('.jfif', _rgb('JPEG', quality=92)),
    'lossy JPE, progressive': ('.jpe', _rgb('JPEG', quality=92, progressive=True)),
    'lossy grey JPEG': ('.jpeg', _grey('JPEG')),
    'lossy JPEG with a profile': ('.jpg', _profiled('JPEG', quality=95)),
    'lossy JPEG with EXIF': ('.jpg', _turned('JPEG', quality=95)),
    'lossy JPEG with rubbish as EXIF': ('.jpg', _rubbish_exif('JPEG', quality=95)),
    'lossy WebP': ('.webp', _rgb('WEBP', quality=90)),
    'lossy AVIF': ('.avif', _rgb('AVIF', quality=90)),
}


def _plain(number: int, suffix: str) -> str:
    return f'{number:03d}'


def _as_long_as_allowed(number: int, suffix: str) -> str:
    return f'{number:03d}'.ljust(249 - len(suffix), 'x')


_NAMES: list[tuple[Callable[[int, str], str], str]] = [
    (_plain, 'plain name'),
    (_plain, 'plain name'),
    (_as_long_as_allowed, 'long name'),
    (lambda number, _: unicodedata.normalize('NFC', f'é ü {number}'), 'NFC name'),
    (lambda number, _: unicodedata.normalize('NFD', f'à ö {number}'), 'NFD name'),
    (lambda number, _: os.fsdecode(b'caf\xe9 \xff ') + str(number), 'name in no encoding'),
    (lambda number, _: f'two\nlines {number}', 'name with a newline'),
    (lambda number, _: f'100%s %d {{0}} {number}', 'name with per cents'),
    (lambda number, _: f'-{number}', 'name with a dash'),
    (lambda number, _: f'"q" \'{number}\', a;b', 'name with quotes'),
    (lambda number, _: f'写真 🎞 {number}', 'name in other scripts'),
    (lambda number, _: f'a.b.{number}.tar', 'name with dots'),
]
