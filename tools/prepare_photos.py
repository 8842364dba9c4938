"""Collects clean photographs to train on: out of Debian packages, or your own.

    python tools/prepare_photos.py data/photos                    # 62 MB of packages
    python tools/prepare_photos.py data/mine --photos ~/Pictures

Photographs are shrunk at least twofold where they are large enough, which hides compression
artefacts, and written to OUT/{train,val,test}/*.png with OUT/manifest.json. Called again with the
same arguments it reuses what is there. The packages' licences differ (see the manifest): use them,
but do not pass them on unread.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.datasets.photo_preparation import SPLITS, differences, read_manifest, write_photos
from dtir_mm.datasets.photo_sources import (
    PACKAGE_SETS,
    PACKAGES,
    PhotoFile,
    folder_photos,
    package_photos,
    python_package_photos,
)
from dtir_mm.names import listed

DOWNLOAD_SECONDS = 900
NAMED = 10


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, help='folder to make')
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--photos', type=Path, help='folder of your own images')
    source.add_argument(
        '--packages',
        choices=PACKAGE_SETS,
        default='small',
        help='small: about 137 photographs, 62 MB; all: about 171, 240 MB (default: small)',
    )
    parser.add_argument('--split-seed', type=int, default=0, help='of the split (default: 0)')
    parser.add_argument('--overwrite', action='store_true', help='make the photographs of OUT anew')
    return parser.parse_args(argv)


def run_apt(arguments: list[str], folder: Path) -> None:
    """Runs apt-get in ``folder``.

    Raises:
        RuntimeError: it is not installed, failed, or took too long.
    """
    command = ['apt-get', '-q', '-o', 'Acquire::Retries=2', '-o', 'Acquire::http::Timeout=30']
    command += arguments
    try:
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(str(error)) from error
    if result.returncode != 0:
        output = result.stderr.strip() or result.stdout.strip() or 'apt-get failed, saying nothing'
        raise RuntimeError(output.splitlines()[-1])


def fetch_package(name: str, scratch: Path) -> Path:
    """Downloads a Debian package and unpacks it; nothing is installed.

    If apt does not know the package, its lists are fetched into ``scratch``: that needs no root,
    and leaves the system as it is.

    Raises:
        RuntimeError: the package cannot be had.
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
            raise RuntimeError(f'{error}; with new lists: {again}') from again
    (archive,) = folder.glob('*.deb')
    try:
        subprocess.run(
            ['dpkg-deb', '-x', archive, folder / 'root'], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f'cannot unpack {archive.name}: {error}') from error
    return folder / 'root'


def collect_packages(names: Sequence[str], scratch: Path) -> list[PhotoFile]:
    """The photographs of the Debian packages, or what Python packages have where there are none.

    Raises:
        ValueError: neither can be had.
    """
    photos: list[PhotoFile] = []
    with tqdm(names, desc='packages', unit='package') as bar:
        for name in bar:
            try:
                root = fetch_package(name, scratch)
            except RuntimeError as error:
                bar.write(f'Debian package {name} cannot be had: {error}')
                continue
            found = package_photos(PACKAGES[name], root, scratch)
            bar.write(f'{name}: {len(found)} photographs')
            photos += found
    if photos:
        return photos
    photos = python_package_photos()
    if not photos:
        raise ValueError(
            'no photographs: the Debian packages cannot be had, and neither scikit-image nor '
            'scikit-learn is installed, which have a few; pass your own with --photos DIR'
        )
    print(
        f'NO DEBIAN PACKAGES: taking the {len(photos)} photographs that scikit-image and '
        f'scikit-learn have. That is enough to try the commands and too few for results: '
        f'pass your own with --photos DIR.'
    )
    return photos


def may_reuse(out: Path, arguments: dict[str, Any], overwrite: bool) -> bool:
    """Whether ``out`` holds what the arguments ask for.

    Raises:
        ValueError: it holds something else, and ``overwrite`` was not given or would delete files
            that this tool did not write.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        manifest = read_manifest(out)
    except (OSError, ValueError) as error:
        raise ValueError(
            f'{out} is there, but was not made by this tool ({error}): name another folder, or '
            f'remove it yourself'
        ) from error
    broken, unknown = differences(out, manifest)
    if overwrite:
        if unknown:
            raise ValueError(
                f'--overwrite would delete files in {out} that this tool did not write: '
                f'{listed(unknown, NAMED)}'
            )
        return False
    if manifest['arguments'] != arguments:
        problem = f'was made with {manifest["arguments"]}, now asked for is {arguments}'
    elif broken:
        problem = f'has lost or changed {len(broken)} file(s): {listed(broken, NAMED)}'
    elif unknown:
        problem = f'has {len(unknown)} file(s) that its manifest lacks: {listed(unknown, NAMED)}'
    else:
        return True
    raise ValueError(f'{out} {problem}. Name another folder, or give --overwrite to make it anew')


def build(out: Path, args: argparse.Namespace, arguments: dict[str, Any]) -> None:
    """Makes the photographs beside ``out`` and renames them into place when all are there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f'.{out.name}_') as temporary:
        # apt-get runs in folders of its own: paths that it is told must be absolute.
        scratch = Path(temporary).resolve()
        if args.photos:
            photos = folder_photos(args.photos, outside=out)
        else:
            photos = collect_packages(PACKAGE_SETS[args.packages], scratch)
        try:
            with tqdm(photos, desc='photographs', unit='photo') as bar:
                left_out = write_photos(bar, scratch / 'ready', arguments, args.split_seed)
        except ValueError as error:
            raise ValueError(f'{args.photos or "Debian packages"}: {error}') from error
        for line in left_out[:NAMED]:
            print(f'left out: {line}')
        if left_out:
            print(f'{len(left_out)} of {len(photos)} photographs left out')
        if out.exists():
            out.rename(scratch / 'replaced')
        (scratch / 'ready').rename(out)


def describe(out: Path) -> str:
    """How many photographs of each split and source there are."""
    photos = read_manifest(out)['photos']
    splits = Counter(photo['split'] for photo in photos)
    sources = Counter(photo['source'] for photo in photos)
    return (
        f'{out}: {len(photos)} photographs ('
        + ', '.join(f'{split} {splits[split]}' for split in SPLITS)
        + ') from '
        + ', '.join(f'{source} {count}' for source, count in sources.most_common())
    )


@one_line_errors('prepare_photos')
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    chosen = {'photos': str(args.photos.resolve())} if args.photos else {'packages': args.packages}
    arguments = {**chosen, 'split_seed': args.split_seed}
    if may_reuse(args.out, arguments, args.overwrite):
        print(f'Reusing {describe(args.out)}')
        return 0
    build(args.out, args, arguments)
    print(describe(args.out))
    return 0


if __name__ == '__main__':
    sys.exit(main())
