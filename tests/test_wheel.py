"""The wheel: what is in it, and that it trains and tests in an empty folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dtir_mm

ROOT = Path(__file__).resolve().parents[1]
INFO = f'dtir_mm-{dtir_mm.__version__}.dist-info'
SOURCES = (
    'setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE', 'requirements', 'configs',
    'dtir_mm', 'tests',
)  # fmt: skip
NAME = 'mini/quick_dtir-unet-w16_scratch_noisy_b8-1000'
SMALL = (
    'train_cfg.max_iters=5', 'train_cfg.val_interval=5', 'model.timesteps=fixed:20',
    'global_batch_size=2', 'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
    'test_dataloader.num_workers=0', 'train_dataloader.dataset.max_photos=1',
)  # fmt: skip
# What `pip install` does not bring along.
ABSENT = ('mmagic', 'setuptools', 'pkg_resources', 'onnx', 'onnxruntime')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, since a build leaves files among its sources."""
    folder = tmp_path_factory.mktemp('wheel')
    for name in SOURCES:
        source, target = ROOT / name, folder / 'source' / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-index', '--no-deps',
         '--no-build-isolation', '--wheel-dir', folder, folder / 'source'],
        check=True,
    )  # fmt: skip
    (built,) = folder.glob('*.whl')
    return built


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('site-packages')
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_the_wheel_has_the_package_and_the_configs(installed):
    def files(folder: Path) -> set[str]:
        found = {path.relative_to(folder).as_posix() for path in folder.rglob('*.*')}
        return {name for name in found if '__pycache__' not in name}

    assert {path.name for path in installed.iterdir()} == {'dtir_mm', INFO}
    assert files(installed / 'dtir_mm' / 'configs') == files(ROOT / 'configs')
    package = files(installed / 'dtir_mm')
    assert {name for name in package if not name.startswith('configs')} == files(ROOT / 'dtir_mm')


def test_the_metadata_names_licence_command_and_requirements(installed):
    about = installed / INFO
    assert (about / 'licenses' / 'LICENSE').read_text() == (ROOT / 'LICENSE').read_text()
    assert 'dtir-mm = dtir_mm.commands:main' in (about / 'entry_points.txt').read_text()
    metadata = message_from_string((about / 'METADATA').read_text())
    assert metadata['Requires-Python'] == '>=3.10'
    required = {line for line in metadata.get_all('Requires-Dist') if 'extra ==' not in line}
    assert {'torch>=2.6', 'mmengine==0.10.7', 'safetensors'} <= required
    assert not [line for line in required if 'mmagic' in line]  # it cannot be installed with pip
    assert metadata.get_payload() == (ROOT / 'README.md').read_text()


def test_a_named_config_trains_and_tests_in_an_empty_folder(installed, tmp_path):
    """Without the packages that ``pip install`` does not bring along."""
    rng = np.random.default_rng(0)
    for part in ('train', 'val', 'test'):
        folder = tmp_path / 'data' / 'photos' / part
        folder.mkdir(parents=True)
        pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC).save(folder / 'a.png')
    (tmp_path / 'absent').mkdir()
    for name in ABSENT:
        (tmp_path / 'absent' / f'{name}.py').write_text('raise ImportError(__name__)\n')
    path = os.pathsep.join(map(str, (installed, tmp_path / 'absent')))

    def call(*arguments: str) -> str:
        run = subprocess.run(
            [sys.executable, '-m', 'dtir_mm', *arguments],
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert run.returncode == 0, run.stderr[-3000:]
        return run.stdout

    assert f'configs in {installed / "dtir_mm" / "configs"}' in call('configs')
    call('train', NAME, '--cfg-options', *SMALL)
    run = Path('work_dirs') / Path(NAME).name
    assert (tmp_path / run / 'iter_5.pth').is_file()
    options = ('--protocol', 'rgb_no_lpips', '--cfg-options', *SMALL)
    printed = call('test', NAME, str(run), *options)
    assert f'written: {run / "test" / "images.csv"}' in printed
    summary = (tmp_path / run / 'test' / 'summary.json').read_text()
    assert f'"commit": "dtir_mm {dtir_mm.__version__}"' in summary
