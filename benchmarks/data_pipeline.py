"""Patches of 128 px per second from large PNG pairs: our data set, mmagic's, plain OpenCV.

    python benchmarks/data_pipeline.py [--json FILE] [--pairs 200] [--folder DIR]

The script generates pairs of 2040 x 1356 (5 MB per PNG, 6 GB of disk in total) and reads them with
a DataLoader of two workers. All data sets are timed in turn, without the start and end of their
streams; the result is the median over several rounds in two states:

- from disk: each pair once, after all files were dropped from the page cache, as in every epoch
  over a data set that is larger than the memory. The first epoch is the first such round; for
  decoded images it includes the time to decode all of them;
- in page cache: files that were read before, as far as they fit into memory.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from results_file import write_results
from torch.utils.data import DataLoader, Dataset, default_collate
from tqdm import tqdm

import dtir_mm.datasets  # noqa: F401  registers the classes
from dtir_mm.compat import import_mmagic
from dtir_mm.datasets.base_dataset import SampleKey
from dtir_mm.datasets.decoded_images import DecodedImages
from dtir_mm.datasets.image_folders import list_images
from dtir_mm.registry import DATASETS

HEIGHT, WIDTH, PATCH = 1356, 2040, 128
WORKERS, BATCH, PREFETCH = 2, 8, 2
IN_FLIGHT = WORKERS * PREFETCH  # batches that a DataLoader prefetches
ROUNDS = 3
BASELINE, DECODED = 'mmagic BasicImageDataset', 'ours, decoded images'
TARGET = 3.0  # speed relative to mmagic's, in steady state
MANY = 8000  # patches to time for decoded images in the page cache, which are fast


def texture(seed: int) -> np.ndarray:
    """A periodic colour texture as smooth as a photograph, in 0..255: float32 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH))
    noise = rng.standard_normal((3, HEIGHT, WIDTH), dtype=np.float32)
    spectrum = np.fft.rfft2(noise) / np.maximum(frequency, 1 / WIDTH) ** 1.4
    grey, *colours = np.fft.irfft2(spectrum, s=(HEIGHT, WIDTH))
    field = np.stack([grey, *(0.9 * grey + 0.3 * colour for colour in colours)], axis=-1)
    return (128 + 50 * (field - field.mean()) / field.std()).astype(np.float32)


def make_pairs(folder: Path, numbers: Sequence[int]) -> None:
    """Writes pairs of PNGs: one texture, rolled differently for each pair, with noise added."""
    field = texture(numbers[0])
    for number in numbers:
        rng = np.random.default_rng(number)
        rolled = np.roll(field, rng.integers(1000, size=2), axis=(0, 1))
        for kind in ('GT', 'LQ'):
            grain = rng.standard_normal(rolled.shape, dtype=np.float32) * 1.5
            image = (rolled + grain).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / kind / f'{number:04d}.png'), image)


class OpenCVDataset(Dataset):
    """A minimal hand-written data set: two reads, a crop, a flip."""

    def __init__(self, folder: Path) -> None:
        self.files = [[str(file) for file in list_images(folder / kind)] for kind in ('LQ', 'GT')]

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        images = [cv2.imread(files[index])[..., ::-1] for files in self.files]
        top, left = random.randint(0, HEIGHT - PATCH), random.randint(0, WIDTH - PATCH)
        flip = random.choice((1, -1))
        patches = [image[top : top + PATCH, left : left + PATCH][:, ::flip] for image in images]
        return [torch.from_numpy(patch.transpose(2, 0, 1).copy()) for patch in patches]


def from_mmagic(name: str, **options: Any) -> dict[str, Any]:
    """Imports a class of mmagic and returns its config."""
    import_mmagic(name)
    return dict(type=f'mmagic.{name}', **options)


def mmagic_dataset(folder: Path) -> Dataset:
    """Uses the pipeline of mmagic's NAFNet configs, but crops first, which is faster."""
    both = ['img', 'gt']
    return DATASETS.build(
        from_mmagic(
            'BasicImageDataset',
            data_root=str(folder),
            data_prefix=dict(img='LQ', gt='GT'),
            pipeline=[
                from_mmagic('LoadImageFromFile', key='img'),
                from_mmagic('LoadImageFromFile', key='gt'),
                from_mmagic('SetValues', dictionary=dict(scale=1)),
                from_mmagic('PairedRandomCrop', gt_patch_size=PATCH),
                from_mmagic('Flip', keys=both, flip_ratio=0.5, direction='horizontal'),
                from_mmagic('Flip', keys=both, flip_ratio=0.5, direction='vertical'),
                from_mmagic('RandomTransposeHW', keys=both, transpose_ratio=0.5),
                from_mmagic('PackInputs'),
            ],
        )
    )


def our_dataset(folder: Path, decoded: Path | None) -> Dataset:
    """Uses the pipeline of our configs for Settings A and B."""
    return DATASETS.build(
        dict(
            type='PairedFolderDataset',
            degraded=str(folder / 'LQ'),
            clean=str(folder / 'GT'),
            task='noisy',
            pipeline=[
                dict(type='RandomPatch', size=PATCH),
                dict(type='RandomFlipTurn'),
                dict(type='PackSample'),
            ],
            decoded=decoded and str(decoded),
        )
    )


def evict(folders: Sequence[Path]) -> None:
    """Drops the files from the page cache."""
    for file in (file for folder in folders for file in folder.iterdir()):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def stream(pairs: int, patches: int) -> Iterator[SampleKey]:
    """Keys of shuffled epochs, for ``patches`` plus the prefetched batches before and after."""
    rng = np.random.default_rng(patches)
    needed = patches + (2 * IN_FLIGHT + 1) * BATCH
    order = np.concatenate([rng.permutation(pairs) for _ in range(-(-needed // pairs))])
    for place, index in enumerate(order[:needed].tolist()):
        yield SampleKey(0, place // BATCH, place % BATCH, index)


def private_memory() -> int:
    """Private memory of the workers in bytes, without shared pages and the page cache."""
    children = Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()
    lines = [
        line.split()
        for child in children
        for line in Path(f'/proc/{child}/smaps_rollup').read_text().splitlines()
    ]
    return 1024 * sum(int(line[1]) for line in lines if line[0] == 'Private_Dirty:')


def measure(way: str, dataset: Dataset, pairs: int, patches: int) -> tuple[float, int]:
    """Patches per second in the middle of a stream, and the peak private memory of its workers."""
    keys = list(stream(pairs, patches))
    loader = DataLoader(
        dataset,
        batch_size=BATCH,
        sampler=keys if way.startswith('ours') else [key.index for key in keys],
        num_workers=WORKERS,
        prefetch_factor=PREFETCH,
        collate_fn=pseudo_collate if way == BASELINE else default_collate,
    )
    batches, memory, count = iter(loader), 0, patches // BATCH
    for _ in range(IN_FLIGHT):
        next(batches)
    start = looked = time.perf_counter()
    for _ in range(count):
        next(batches)
        if time.perf_counter() - looked > 2:
            memory, looked = max(memory, private_memory()), time.perf_counter()
    seconds = time.perf_counter() - start
    return count * BATCH / seconds, max(memory, private_memory())


def prepare(folder: Path, pairs: int) -> float:
    """Generates and decodes the pairs; returns the seconds spent on decoding."""
    for kind in ('GT', 'LQ'):
        (folder / kind).mkdir()
    blocks = [range(first, min(first + 20, pairs)) for first in range(0, pairs, 20)]
    with ProcessPoolExecutor(WORKERS) as pool:
        made = pool.map(partial(make_pairs, folder), blocks)
        list(tqdm(made, total=len(blocks), desc='making pairs', unit='x 20'))
        files = [*list_images(folder / 'LQ'), *list_images(folder / 'GT')]
        evict([folder / 'LQ', folder / 'GT'])
        start = time.perf_counter()
        decoded = pool.map(DecodedImages(folder / 'decoded').store, files, chunksize=4)
        list(tqdm(decoded, total=len(files), desc='decoding', unit='image'))
        return time.perf_counter() - start


def run(folder: Path, pairs: int) -> list[dict[str, Any]]:
    """Runs the whole benchmark and returns its rows."""
    preparation = prepare(folder, pairs)
    ways: dict[str, Callable[[], Dataset]] = {
        BASELINE: partial(mmagic_dataset, folder),
        'OpenCV read and crop': partial(OpenCVDataset, folder),
        'ours, PNG': partial(our_dataset, folder, None),
        DECODED: partial(our_dataset, folder, folder / 'decoded'),
    }
    datasets = {way: build() for way, build in ways.items()}
    # An epoch without the batches that are prefetched at its two ends.
    once = pairs - (2 * IN_FLIGHT + 1) * BATCH
    rates: dict[str, dict[str, list[float]]] = {
        state: {way: [] for way in ways} for state in ('from disk', 'in page cache')
    }
    memory = dict.fromkeys(ways, 0)
    progress = tqdm(total=ROUNDS * len(rates) * len(ways), desc='timing', unit='stream')
    for _ in range(ROUNDS):
        for state, by_way in rates.items():
            for way, dataset in datasets.items():
                if state == 'from disk':
                    evict([folder / kind for kind in ('LQ', 'GT', 'decoded')])
                many = state == 'in page cache' and way == DECODED
                speed, taken = measure(way, dataset, pairs, MANY if many else once)
                by_way[way].append(speed)
                memory[way] = max(memory[way], taken)
                progress.update()
    progress.close()
    return rows_of(rates, memory, preparation, folder, pairs)


def rows_of(
    rates: dict[str, dict[str, list[float]]],
    memory: dict[str, int],
    preparation: float,
    folder: Path,
    pairs: int,
) -> list[dict[str, Any]]:
    """Prints all speeds and returns the rows, except those of the baseline."""
    first = {way: values[0] for way, values in rates['from disk'].items()}
    first[DECODED] = pairs / (preparation + pairs / first[DECODED])
    cases = {'first epoch': first} | {
        f'steady state, {state}': {way: median(values) for way, values in by_way.items()}
        for state, by_way in rates.items()
    }
    size = {
        kind: sum(file.stat().st_size for file in (folder / kind).iterdir()) / pairs / 1e6
        for kind in ('LQ', 'GT', 'decoded')
    }
    rows = []
    print(f'{pairs} pairs; decoding them took {preparation:.1f} s with {WORKERS} workers')
    for case, speeds in cases.items():
        for way, speed in speeds.items():
            disk = size['LQ'] + size['GT'] + (size['decoded'] if way == DECODED else 0)
            row = {
                'case': f'{way}: {case}', 'metric': 'patches per second',
                'ratio': round(speed / speeds[BASELINE], 3),
                'baseline': f'{BASELINE}, {speeds[BASELINE]:.1f} patches per second',
                'target': TARGET if way == DECODED and case.startswith('steady') else None,
                'better': 'higher', 'patches_per_second': round(speed, 1),
                'preparation_seconds': round(preparation, 1) if way == DECODED else 0.0,
                'disk_mb_per_pair': round(disk, 1),
                'private_memory_of_workers_mb': round(memory[way] / 1e6),
            }  # fmt: skip
            print(
                f'{case:28} {way:25} {speed:8.1f} patches/s  x {row["ratio"]:.2f}'
                f'{"" if row["target"] is None else f" (target {TARGET})"}, '
                f'{disk:.1f} MB of disk per pair, {memory[way] / 1e6:.0f} MB of memory'
            )
            if way != BASELINE:
                rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path, help='file to write the rows to')
    parser.add_argument('--pairs', type=int, default=200, help='default: 200, 5 GB')
    parser.add_argument(
        '--folder', type=Path, help='folder on the disk to measure; default: the temporary folder'
    )
    args = parser.parse_args()
    minimum = (2 * IN_FLIGHT + 2) * BATCH
    if args.pairs < minimum:
        parser.error(f'--pairs {args.pairs}: must be at least {minimum}')
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        rows = run(Path(folder), args.pairs)
    print(f'{(time.perf_counter() - started) / 60:.1f} minutes')
    if args.json:
        write_results(args.json, rows)


if __name__ == '__main__':
    main()
