"""Where clean photographs come from without a data set: Debian packages, Python packages, a folder.

The lists of packages are curated by eye: they leave out drawings and screenshots. Licences differ
from image to image, so photographs are collected on each machine and never shipped.
"""

import hashlib
import importlib.util
import io
import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.logging import print_log
from PIL import Image

from dtir_mm.datasets.image_folders import left_out_line, list_tree, no_image_in
from dtir_mm.image_io import image_suffixes
from dtir_mm.names import shortened

_MIN_ARCHIVED_SIDE = 300
_IMAGE_HEADER = re.compile(rb'\xff\xd8\xff[\xe0\xe1\xdb]|RIFF....WEBP', re.DOTALL)


@dataclass(frozen=True)
class PhotoFile:
    """A photograph before it is prepared.

    Args:
        name: unique among the photographs; becomes the file name.
        file: where it lies now.
        source: the package or folder that it came with.
        licence: what is known of its terms.
    """

    name: str
    file: Path
    source: str
    licence: str


@dataclass(frozen=True)
class PhotoPackage:
    """A Debian package with photographs in it.

    Args:
        name: of the package.
        licence: a note from the package's copyright file.
        pattern: path of a photograph in the package, with {} for its title; wildcards allowed.
        titles: the curated photographs.
        archives: Qt resource archives -> which of their large images to take; None for all.
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

_PYTHON_PACKAGES = {
    'skimage': ('scikit-image', 'data/{}.*', ('astronaut', 'chelsea', 'coffee', 'rocket')),
    'sklearn': ('scikit-learn', 'datasets/images/{}.*', ('china', 'flower')),
}


def package_photos(package: PhotoPackage, root: Path, scratch: Path) -> list[PhotoFile]:
    """The photographs of a package that was unpacked into ``root``.

    Titles that this version of the package lacks are passed over.

    Args:
        package: what to look for.
        root: folder of the unpacked package.
        scratch: folder that images out of archives are written to.
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
    """The large JPEG and WebP images in a Qt resource archive (.rcc), as (suffix, file content).

    Such an archive stores compressed formats as they are, each after its length in four bytes, the
    highest first: images are found by their header, without reading the archive's directory.
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


def python_package_photos() -> list[PhotoFile]:
    """The six photographs that scikit-image and scikit-learn bring along, where installed."""
    photos = []
    for module, (package, pattern, titles) in _PYTHON_PACKAGES.items():
        spec = importlib.util.find_spec(module)
        for location in (spec.submodule_search_locations or []) if spec else []:
            for title in titles:
                for file in Path(location).glob(pattern.format(title)):
                    name = f'{package}__{title}'
                    photos.append(PhotoFile(name, file, package, 'see the package'))
    return photos


def folder_photos(folder: Path, outside: Path | None = None) -> list[PhotoFile]:
    """All images of a folder and the folders in it, hidden ones excepted; what is left is logged.

    Args:
        folder: the user's images.
        outside: leave out what lies in this folder.

    Raises:
        FileNotFoundError: the folder does not exist, or holds no image.
    """
    files, left_out = list_tree(folder, without=outside)
    if not files:
        raise FileNotFoundError(no_image_in(folder, left_out))
    if left_out:
        print_log(left_out_line(folder, left_out), 'current', logging.WARNING)
    relatives = [file.relative_to(folder) for file in files]
    stems = [
        unicodedata.normalize('NFC', '__'.join(relative.with_suffix('').parts))
        for relative in relatives
    ]
    count = Counter(stems)
    photos = []
    for stem, relative, file in zip(stems, relatives, files, strict=True):
        # a.jpg and a.png are two photographs, and so are a/b.jpg and a__b.jpg.
        mark = hashlib.sha256(os.fsencode(relative)).hexdigest()[:6]
        name = shortened(stem if count[stem] == 1 else f'{stem}__{mark}')
        photos.append(PhotoFile(name, file, str(folder), "the user's own"))
    return photos
