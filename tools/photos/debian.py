"""Photographs in Debian packages: which packages, downloading them, and what is taken from them.

The lists were chosen by eye and leave out drawings and screenshots. Licences differ from image to
image, so photographs are collected on each machine and never distributed.
"""

import io
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from dtir_mm.image_io import image_suffixes
from photos.sources import PhotoFile

_DOWNLOAD_SECONDS = 900
_MIN_ARCHIVED_SIDE = 300
_IMAGE_HEADER = re.compile(rb'\xff\xd8\xff[\xe0\xe1\xdb]|RIFF....WEBP', re.DOTALL)


@dataclass(frozen=True)
class PhotoPackage:
    """A Debian package that contains photographs.

    Args:
        name: name of the package.
        licence: summary of the package's copyright file.
        pattern: glob pattern of a photograph in the package, with {} for its title.
        titles: the photographs to take.
        archives: maps Qt resource archives to the numbers of the large images to take; None: all.
    """

    name: str
    licence: str
    pattern: str = ''
    titles: tuple[str, ...] = ()
    archives: dict[str, tuple[int, ...] | None] = field(default_factory=dict)


_RCC = 'usr/share/gcompris-qt/rcc/'
PACKAGES = {
    package.name: package
    for package in (
        PhotoPackage(
            'gcompris-qt-data',
            'mixed: CC-BY, CC-BY-SA, GFDL-1.2, public domain, GPL-3+ (see the package)',
            archives={
                f'{_RCC}erase.rcc': None,
                f'{_RCC}explore_farm_animals.rcc': None,
                f'{_RCC}explore_monuments.rcc': None,
                f'{_RCC}explore_world_animals.rcc': None,
                f'{_RCC}explore_world_music.rcc': None,
                f'{_RCC}clickgame.rcc': (0, 1, 2, 3),
            },
        ),
        PhotoPackage(
            'lomiri-wallpapers-16.04',
            'CC-BY-4.0, CC-BY-SA-4.0 or CC0 (named a file in the package)',
            'usr/share/backgrounds/{}_by_*',
            tuple(
                'Bridge Dragonfly Picture_0B Picture_1A Wine aitzgorri free friends greentock life '
                'picosdeeuropa seeding sunset'.split()
            ),
        ),
        PhotoPackage(
            'palapeli-data',
            'see the .desktop file beside the image in the package',
            'usr/share/palapeli/collection/{}.*',
            tuple(
                'castle-maintenon cincinnati-bridge citrus-fruits european-honey-bee '
                'panther-chameleon-female'.split()
            ),
        ),
        PhotoPackage(
            'lomiri-wallpapers-20.04',
            'Creative Commons (named a file in the package)',
            'usr/share/backgrounds/{}_by_*',
            ('Kleiber',),
        ),
        PhotoPackage(
            'mate-backgrounds',
            'GPL-2+',
            'usr/share/backgrounds/mate/nature/{}.*',
            tuple(
                'Aqua Blinds Dune FreshFlower Garden GreenMeadow LadyBird RainDrops Storm TwoWings '
                'Wood YellowFlower'.split()
            ),
        ),
        PhotoPackage(
            'plasma-workspace-wallpapers',
            'GPL-2+',
            'usr/share/wallpapers/{}/contents/images/*',
            tuple(
                'BytheWater ColdRipple ColorfulCups DarkestHour EveningGlow FallenLeaf Grey Kite '
                'OneStandsOut Path summer_1am'.split()
            ),
        ),
        PhotoPackage(
            'lxqt-themes',
            'LGPL-2.1+ (images not named singly)',
            'usr/share/lxqt/wallpapers/{}.*',
            tuple(
                'Butterfly-Kenneth-Wimer Valendas after-the-rain appleflower beam butterfly cloud '
                'drop flowers fog this-is-not-windows'.split()
            ),
        ),
    )
}
PACKAGE_SETS = {
    'small': ('gcompris-qt-data', 'lomiri-wallpapers-16.04', 'palapeli-data'),
    'all': tuple(PACKAGES),
}


def run_apt(arguments: list[str], folder: Path) -> None:
    """Runs apt-get in ``folder``; a RuntimeError if it is missing, fails or takes too long."""
    command = ['apt-get', '-q', '-o', 'Acquire::Retries=2', '-o', 'Acquire::http::Timeout=30']
    command += arguments
    try:
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(str(error)) from error
    if result.returncode != 0:
        output = (
            result.stderr.strip() or result.stdout.strip() or 'apt-get failed without a message'
        )
        raise RuntimeError(output.splitlines()[-1])


def fetch_package(name: str, scratch: Path) -> Path:
    """Downloads and unpacks a Debian package; nothing is installed.

    If apt does not know the package, package lists are fetched into ``scratch``: this needs no root
    and does not change the system.

    Raises:
        RuntimeError: the package is not available.
    """
    folder = scratch / name
    folder.mkdir()
    lists, cache = scratch / 'apt_lists', scratch / 'apt_cache'
    own = ['-o', f'Dir::State::Lists={lists}', '-o', f'Dir::Cache={cache}']
    try:
        run_apt(['download', name], folder)
    except RuntimeError as error:
        try:
            if not lists.exists():
                (lists / 'partial').mkdir(parents=True)
                (cache / 'archives' / 'partial').mkdir(parents=True)
                run_apt([*own, 'update'], folder)
            run_apt([*own, 'download', name], folder)
        except RuntimeError as again:
            raise RuntimeError(f'{error}; with fresh package lists: {again}') from again
    (archive,) = folder.glob('*.deb')
    unpack = ['dpkg-deb', '-x', str(archive), str(folder / 'root')]
    try:
        subprocess.run(unpack, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f'cannot unpack {archive.name}: {error}') from error
    return folder / 'root'


def package_photos(package: PhotoPackage, root: Path, scratch: Path) -> list[PhotoFile]:
    """The photographs in a package that was unpacked into ``root``.

    Titles that are missing from this version of the package are skipped. Images from archives are
    written to ``scratch``.
    """
    files: list[tuple[str, Path]] = []
    for title in package.titles:
        found = [
            path
            for path in root.glob(package.pattern.format(title))
            if path.suffix.lower() in image_suffixes() and not path.is_symlink()
        ]
        if found:
            # A wallpaper comes in several sizes.
            files.append((title, max(found, key=lambda path: (path.stat().st_size, path.name))))
    for archive, wanted in package.archives.items():
        if not (root / archive).is_file():
            continue
        stem = Path(archive).stem
        for number, (suffix, data) in enumerate(carve_images((root / archive).read_bytes())):
            if wanted is None or number in wanted:
                file = scratch / f'{stem}_{number:02d}{suffix}'
                file.write_bytes(data)
                files.append((file.stem, file))
    return [
        PhotoFile(f'{package.name}__{title}', file, package.name, package.licence)
        for title, file in files
    ]


def carve_images(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """The large JPEG and WebP images in a Qt resource archive (.rcc), as (suffix, content).

    Such an archive stores compressed formats unchanged, each after its big-endian 4-byte length, so
    images are found by their headers without parsing the archive's directory.
    """
    position = 0
    while header := _IMAGE_HEADER.search(archive, position):
        start = header.start()
        position = start + 1
        size = int.from_bytes(archive[max(0, start - 4) : start], 'big')
        if not 0 < size <= len(archive) - start:
            continue
        data = archive[start : start + size]
        try:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
        except (OSError, SyntaxError, ValueError):
            continue
        position = start + size
        if min(image.size) >= _MIN_ARCHIVED_SIDE:
            yield ('.webp' if data.startswith(b'RIFF') else '.jpg'), data


def collect_packages(names: Sequence[str], scratch: Path) -> list[PhotoFile]:
    """The photographs of those packages that are available; the others are named on the screen."""
    photos: list[PhotoFile] = []
    with tqdm(names, desc='packages', unit='package') as bar:
        for name in bar:
            try:
                root = fetch_package(name, scratch)
            except RuntimeError as error:
                bar.write(f'Debian package {name} is not available: {error}')
                continue
            found = package_photos(PACKAGES[name], root, scratch)
            bar.write(f'{name}: {len(found)} photographs')
            photos += found
    return photos
