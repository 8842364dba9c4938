"""Time and memory of restoring photographs: the command and Python API against bare torch.

    python benchmarks/restore.py [--json FILE] [--device cpu] [--cases image folder tiles memory]

The network is an untrained one of the released model's architecture. All cases read and write PNG.

- image: `dtir_mm.restore` of a file of 512 x 512, against forward passes of the same network;
- folder: the command `dtir-mm restore`, without its start, on 50 images of 512 x 512, against a
  loop that reads, restores and writes them with Pillow and bare torch; images a second;
- tiles: an image of 1920 x 1080 in tiles of the default side, of 128, of 1024 and as a whole;
- memory: peak of a fresh process that restores 3840 x 2160 and 7680 x 4320, above its memory when
  the restorer was loaded, relative to the 1.5 and 2 GB that it may take.

Times are medians of alternating runs. On one thread of a 2025 server CPU, all cases take about
fifteen minutes, most of it for 7680 x 4320.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from results_file import write_results
from torch import Tensor

import dtir_mm.models  # noqa: F401  registers the classes
from dtir_mm import restore
from dtir_mm.commands import restore as command
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.tiling import DEFAULT_TILE
from dtir_mm.registry import MODELS

BARE = 'bare torch, same network'
T = 8
SIDE, IMAGES, REPEATS = 512, 50, 5
LIMITS = {(3840, 2160): 1.5e9, (7680, 4320): 2e9}  # bytes


def restorer_on(device: str) -> Restorer:
    torch.manual_seed(0)
    backbone = {'type': 'ConditionedBackbone', 'backbone': {'type': 'LocalUNet'}}
    model = {'type': 'Restorer', 'timesteps': f'fixed:{T}', 'backbone': backbone}
    return MODELS.build(model).to(device).eval()


def make_image(path: Path, width: int, height: int, seed: int = 0) -> Path:
    """Writes a PNG of smooth colours with noise, in strips: the process is to stay small."""
    rng = np.random.default_rng(seed)
    image = Image.new('RGB', (width, height))
    for top in range(0, height, 256):
        y, x = np.mgrid[top : min(top + 256, height), :width].astype(np.float32)
        colours = [128 + 90 * np.sin(x / 90 + channel) * np.cos(y / 70) for channel in range(3)]
        noisy = np.stack(colours, axis=-1) + rng.normal(0, 8, (*y.shape, 3)).astype(np.float32)
        image.paste(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), (0, top))
    image.save(path, compress_level=1)
    return path


def bare_forward(restorer: Restorer, images: Tensor) -> Tensor:
    """``x_hat`` as a hand-written script computes it."""
    return restorer(images, torch.full((len(images),), T, device=images.device))


@torch.no_grad()
def bare_restoration(restorer: Restorer, device: str, source: Path, target: Path) -> None:
    """Reads, restores and writes a PNG with Pillow and torch alone."""
    pixels = torch.from_numpy(np.array(Image.open(source).convert('RGB'))).to(device)
    restored = bare_forward(restorer, pixels.permute(2, 0, 1)[None] / 127.5 - 1)
    rounded = ((restored[0] + 1) * 127.5).clamp(0, 255).round().byte().permute(1, 2, 0)
    Image.fromarray(rounded.cpu().numpy()).save(target)


def seconds(run: Callable[[], object], device: str) -> float:
    started = time.perf_counter()
    run()
    if device.startswith('cuda'):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def alternating(
    runs: dict[str, Callable[[], object]], device: str, repeats: int
) -> dict[str, float]:
    """Median seconds of each, after one run of each that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            took = seconds(run, device)
            if repeat:
                times[name].append(took)
    return {name: median(values) for name, values in times.items()}


def row(
    case: str, metric: str, ratio: float, baseline: str, target: float | None, better: str = 'lower'
) -> dict[str, Any]:
    """Prints and returns a row of results."""
    aim = '' if target is None else f' (target {target})'
    print(f'{case:32} {metric:18} x {ratio:.3f} of {baseline}{aim}', flush=True)
    return {
        'case': case, 'metric': metric, 'ratio': round(ratio, 3), 'baseline': baseline,
        'target': target, 'better': better,
    }  # fmt: skip


def measure_image(folder: Path, device: str) -> list[dict[str, Any]]:
    """One image, start to finish."""
    restorer = restorer_on(device)
    source, target = make_image(folder / 'one.png', SIDE, SIDE), folder / 'restored.png'
    images = torch.rand(1, 3, SIDE, SIDE, device=device)

    @torch.no_grad()
    def bare() -> Tensor:
        return bare_forward(restorer, images)

    runs = {
        'bare': bare,
        'ours': lambda: restore(source, restorer, t=T, precision='fp32').save(target),
    }
    took = alternating(runs, device, REPEATS)
    case = f'file of {SIDE} x {SIDE}, restored'
    return [row(case, 'time', took['ours'] / took['bare'], BARE, None)]


def measure_folder(folder: Path, device: str) -> list[dict[str, Any]]:
    """A folder with the command, in this process, against a loop."""
    restorer = restorer_on(device)
    (folder / 'in').mkdir()
    (folder / 'bare').mkdir()
    files = [make_image(folder / 'in' / f'{i}.png', SIDE, SIDE, i) for i in range(IMAGES)]
    settings = command.Settings(t=T, precision='fp32')
    prepared = command.prepared(restorer, T, DEFAULT_TILE, False)

    def ours() -> None:
        arguments = ['restore', str(folder / 'in'), '-o', str(folder / 'ours'), '--overwrite']
        with (
            mock.patch.object(sys, 'argv', arguments),
            mock.patch.object(command, '_prepared', lambda _: (prepared, settings, {})),
        ):
            command.main()

    def bare() -> None:
        for file in files:
            bare_restoration(restorer, device, file, folder / 'bare' / file.name)

    took = alternating({'bare': bare, 'ours': ours}, device, repeats=1)
    case = f'folder of {IMAGES}, {SIDE} x {SIDE}'
    ratio = took['bare'] / took['ours']
    return [row(case, 'images a second', ratio, 'loop with Pillow and torch', 0.9, 'higher')]


def measure_tiles(folder: Path, device: str) -> list[dict[str, Any]]:
    """Tiles of several sides against the whole image."""
    restorer = restorer_on(device)
    image = np.array(Image.open(make_image(folder / 'tiles.png', 1920, 1080)))
    sides = {'whole image': None, **{f'tiles of {s}': s for s in (DEFAULT_TILE, 128, 1024)}}

    def run(tile: int | None) -> Callable[[], object]:
        return lambda: restore(image, restorer, t=T, tile=tile, precision='fp32')

    took = alternating({name: run(tile) for name, tile in sides.items()}, device, repeats=2)
    return [
        row(f'1920 x 1080, {name}', 'time', took[name] / took['whole image'], 'whole image', None)
        for name in list(sides)[1:]
    ]


def measure_memory(folder: Path, device: str) -> list[dict[str, Any]]:
    """Peak memory of large images, each in a fresh process."""
    rows = []
    for (width, height), limit in LIMITS.items():
        source = make_image(folder / f'{width}.png', width, height)
        arguments = ['--device', device, '--measure', str(source)]
        done = subprocess.run(
            [sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True
        )
        ratio = float(done.stdout.splitlines()[-1]) / limit
        baseline = f'{limit / 1e9} GB'
        rows.append(row(f'{width} x {height}, file to file', 'peak memory', ratio, baseline, 1.0))
    return rows


def extra_peak(device: str, source: Path) -> int:
    """Bytes above those of this process with the restorer loaded."""
    restorer = restorer_on(device)
    Path('/proc/self/clear_refs').write_text('5')  # sets the peak to the present memory
    before = _high_water()
    restore(source, restorer, t=T, precision='fp32').save(source.with_suffix('.restored.png'))
    return _high_water() - before


def _high_water() -> int:
    """The peak resident size in bytes; ``ru_maxrss`` may be that of the parent process."""
    status = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))


CASES: dict[str, Callable[[Path, str], list[dict[str, Any]]]] = {
    'image': measure_image,
    'folder': measure_folder,
    'tiles': measure_tiles,
    'memory': measure_memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path, help='file to write the rows to')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--cases', nargs='+', choices=CASES, default=list(CASES))
    parser.add_argument('--measure', type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(extra_peak(args.device, args.measure))
        return
    started, rows = time.perf_counter(), []
    for case in args.cases:
        with tempfile.TemporaryDirectory() as folder:
            rows += CASES[case](Path(folder), args.device)
    print(f'{(time.perf_counter() - started) / 60:.1f} minutes')
    if args.json:
        write_results(args.json, rows)


if __name__ == '__main__':
    main()
