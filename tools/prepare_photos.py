"""Collects clean photographs to train on, from Debian packages or from a folder of your own.

    python tools/prepare_photos.py data/photos                    # 62 MB of packages
    python tools/prepare_photos.py data/mine --photos ~/Pictures

Large photographs are shrunk at least twofold, which hides compression artefacts, and written to
OUT/{train,val,test}/*.png with OUT/manifest.json. With the same arguments, an existing OUT is
reused. The manifest names the licence of each photograph: read it before you distribute one.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from photos.debian import PACKAGE_SETS, collect_packages
from photos.preparation import SPLITS, differences, read_manifest, write_photos
from photos.sources import PhotoFile, folder_photos, python_package_photos
from tqdm import tqdm

from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.names import listed

NAMED = 10


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, help='folder to create')
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--photos', type=Path, help='folder of your own images')
    source.add_argument(
        '--packages',
        choices=PACKAGE_SETS,
        default='small',
        help='small: about 137 photographs, 62 MB; all: about 171, 240 MB, with the same val and '
        'test (default: small)',
    )
    parser.add_argument('--split-seed', type=int, default=0, help='seed of the split (default: 0)')
    parser.add_argument('--overwrite', action='store_true', help='recreate OUT')
    return parser.parse_args(argv)


def package_photos(packages: Sequence[str], scratch: Path) -> list[PhotoFile]:
    """The photographs of Debian packages or, if none is available, of installed Python packages."""
    if photos := collect_packages(packages, scratch):
        return photos
    photos = python_package_photos()
    if not photos:
        raise ValueError(
            'no photographs: no Debian package is available, and neither scikit-image nor '
            'scikit-learn is installed, which contain a few; pass your own with --photos DIR'
        )
    print(
        f'NO DEBIAN PACKAGES: using the {len(photos)} photographs in scikit-image and '
        f'scikit-learn. This is enough to try the commands but too few for results: '
        f'pass your own with --photos DIR.'
    )
    return photos


def may_reuse(out: Path, arguments: dict[str, Any], overwrite: bool) -> bool:
    """Whether ``out`` already contains what the arguments ask for."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        manifest = read_manifest(out)
    except (OSError, ValueError) as error:
        raise ValueError(
            f'{out} exists but was not made by this tool ({error}): choose another folder, or '
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
        problem = f'was made with {manifest["arguments"]}, but {arguments} is requested'
    elif broken:
        problem = f'has lost or changed {len(broken)} file(s): {listed(broken, NAMED)}'
    elif unknown:
        problem = (
            f'has {len(unknown)} file(s) that are not in its manifest: {listed(unknown, NAMED)}'
        )
    else:
        return True
    raise ValueError(f'{out} {problem}. Choose another folder, or pass --overwrite to recreate it')


def build(out: Path, args: argparse.Namespace, arguments: dict[str, Any]) -> None:
    """Writes the photographs to a temporary folder beside ``out``, then renames it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f'.{out.name}_') as temporary:
        # apt-get runs in other folders, so its paths must be absolute.
        scratch = Path(temporary).resolve()
        if args.photos:
            photos = folder_photos(args.photos, outside=out)
        else:
            photos = package_photos(PACKAGE_SETS[args.packages], scratch)
        try:
            with tqdm(photos, desc='photographs', unit='photo') as bar:
                train_only = arguments.get('train_only', ())
                left_out = write_photos(
                    bar, scratch / 'ready', arguments, args.split_seed, train_only
                )
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
    """The numbers of photographs by split and by source."""
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
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    chosen = {'photos': str(args.photos.resolve())} if args.photos else {'packages': args.packages}
    arguments = {**chosen, 'split_seed': args.split_seed}
    # A larger set keeps the val and test photographs of the small one.
    if extra := sorted(set(PACKAGE_SETS[args.packages]) - set(PACKAGE_SETS['small'])):
        arguments['train_only'] = extra
    if may_reuse(args.out, arguments, args.overwrite):
        print(f'Reusing {describe(args.out)}')
        return
    build(args.out, args, arguments)
    print(describe(args.out))


if __name__ == '__main__':
    main()
