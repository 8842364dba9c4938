"""Prints the environment of dtir_mm, followed by one line for each problem."""

import argparse
import importlib
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import dtir_mm
from dtir_mm.named_configs import FOLDER
from dtir_mm.versions import MMAGIC, check_versions, installed_version

_PACKAGES = (
    ('torchvision',),
    ('numpy',),
    ('mmengine',),
    ('mmcv', 'mmcv-lite'),
    ('opencv-python', 'opencv-python-headless'),
    ('lpips',),
)
_CPU_FLAGS = ('avx512_bf16', 'amx_bf16')


def python() -> str:
    if sys.version_info < (3, 10):  # noqa: UP036
        raise RuntimeError(f'dtir_mm needs Python 3.10 or newer, this is {sys.version.split()[0]}')
    return f'{sys.version.split()[0]} at {sys.executable}'


def torch_and_devices() -> str:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f'{torch.__version__}, {", ".join(gpus) or "no GPU"}, {torch.get_num_threads()} threads'


def installed(*names: str) -> str:
    for name in names:
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        return found if name == names[0] else f'{found} ({name})'
    raise RuntimeError(f'not installed: pip install {names[-1]}')


def opencv() -> str:
    try:
        return f'{importlib.import_module("cv2").__version__} loads'
    except ImportError as error:  # such as libGL, which machines without a screen lack
        raise RuntimeError(
            f'{error}: pip uninstall -y opencv-python && pip install --force-reinstall --no-deps '
            f'opencv-python-headless'
        ) from error


def package() -> str:
    check_versions()
    importlib.import_module('dtir_mm.apis')
    return f'{dtir_mm.__version__} loads; its configs are in {FOLDER}'


def mmagic_network() -> str:
    if installed_version('mmagic') is None:
        return f'not installed; needed only for networks of mmagic: pip install {MMAGIC}'
    from dtir_mm.registry import MODELS

    config = {'type': 'mmagic.NAFNet', 'mid_channels': 8, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
    network = MODELS.build(config)
    size = sum(p.numel() for p in network.parameters())
    return f'{version("mmagic")}, its NAFNet builds ({size} parameters)'


def lpips_weights() -> str:
    from dtir_mm.evaluation.lpips_weights import COMMAND, weights_file

    try:
        return str(weights_file())
    except FileNotFoundError:
        return f'not found; needed only for protocols with LPIPS: {COMMAND}'


def cpu() -> str:
    info = Path('/proc/cpuinfo')
    words = set(info.read_text().split()) if info.is_file() else set()
    return f'{platform.machine()}, ' + ', '.join(
        f'{flag}: {"yes" if flag in words else "no"}' for flag in _CPU_FLAGS
    )


def precision() -> str:
    from mmengine.device import get_device

    from dtir_mm.engine.precision import time_precisions

    seconds = time_precisions(get_device())
    times = ', '.join(f'{name} {value:.4f} s per step' for name, value in seconds.items())
    return f'{times}; precision="auto" selects {min(seconds, key=seconds.__getitem__)}'


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    checks: list[tuple[str, Callable[[], str]]] = [
        ('Python', python),
        ('torch', torch_and_devices),
        *((names[0], lambda names=names: installed(*names)) for names in _PACKAGES),
        ('cv2', opencv),
        ('dtir_mm', package),
        ('mmagic', mmagic_network),
        ('LPIPS weights', lpips_weights),
        ('CPU', cpu),
        ('precision', precision),
    ]
    problems = []
    for name, check in checks:
        try:
            print(f'{name:<14}{check()}')
        except Exception as error:  # Any error of an import or a check is reported.
            message = str(error).strip().splitlines() or [repr(error)]
            problems.append(f'{name}: {message[0]}')
            print(f'{name:<14}-')
    for line in problems:
        print(f'PROBLEM {line}', file=sys.stderr)
    return 1 if problems else 0
