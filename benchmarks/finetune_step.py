"""What each part of fine-tuning costs: time and memory of an update, as ratios to the plain L1 one.

    python benchmarks/finetune_step.py [--json FILE] [--networks mini paper nafnet]

Each part runs in a fresh process, on the same random batch of 8 pictures of 64 px, 2 of them
generative. Memory is the peak resident size less that before the first update; time is the median
of updates that alternate with plain ones. "group" acts every 8 updates: seven ordinary ones and a
full one are averaged.
"""

import argparse
import json
import logging
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from results_file import write_results

import dtir_mm.models  # noqa: F401  registers what is built
from dtir_mm.engine import LayerWiseDecayHook
from dtir_mm.models.restorers.finetune_restorer import FinetuneRestorer
from dtir_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {
    'mini': ('dtir_unet_w32', 12),  # config of the backbone, timed updates
    'paper': ('dtir_unet', 3),
    'nafnet': ('nafnet_w32', 4),
}
IMPORTANCE = {'importance_loss': {'type': 'ImportanceLoss'}}
MIXING = {'mix_ratio': 0.25}
PROJECT = {'orthogonality_loss': {'type': 'OrthogonalityLoss', 'implementation': 'project'}}
GROUP = {'orthogonality_loss': {'type': 'OrthogonalityLoss', 'implementation': 'group'}}
# name: (settings of the restorer, target of time, target of memory)
PARTS: dict[str, tuple[dict[str, Any], float | None, float | None]] = {
    # Two kinds of samples are forwarded and differentiated apart: nothing with both costs less.
    'floor: 6 and 2 samples': ({'micro_batch_size': 6}, None, None),
    'importance': (IMPORTANCE, 1.05, None),
    'mixing and gate': (MIXING, 1.10, None),
    'project': ({**MIXING, **PROJECT}, 1.20, None),
    'group': ({**MIXING, **GROUP}, 1.60, 1.50),
    'everything with project': ({**IMPORTANCE, **MIXING, **PROJECT}, 1.35, None),
}
BATCH, SIZE, T = 8, 64, 8
DUE, NOT_DUE = 0, 1  # iterations at which the group orthogonality acts, and does not


def build(network: str, settings: dict[str, Any]) -> tuple[FinetuneRestorer, OptimWrapper]:
    """A restorer in training, its gate cut at t = 8, with an importance, and its optimiser."""
    torch.manual_seed(0)
    backbone = Config.fromfile(
        ROOT / f'configs/_base_/backbones/{NETWORKS[network][0]}.py'
    ).backbone
    model = {'type': 'FinetuneRestorer', 'timesteps': f'fixed:{T}', 'mix_ratio': 0.0, **settings}
    restorer = MODELS.build({**model, 'backbone': backbone}).train()
    run = SimpleNamespace(restorer=restorer, logger=logging.getLogger(__name__))
    LayerWiseDecayHook().apply(run, ['any'])
    if restorer.importance_loss is not None:
        named = {n: p.detach() for n, p in restorer.named_trained_parameters().items()}
        restorer.set_importance({n: p.abs() * 1e-4 for n, p in named.items()}, named)
    return restorer, OptimWrapper(torch.optim.Adam(restorer.parameters(), 1e-4))


def make_batch(iteration: int) -> dict[str, Any]:
    """A collated batch of an iteration."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, BATCH, 3, SIZE, SIZE), generator=rng, dtype=torch.uint8)
    key = torch.stack(
        [torch.zeros(BATCH), torch.full((BATCH,), float(iteration)), torch.arange(BATCH)], dim=1
    ).long()
    names = {name: ['x'] * BATCH for name in ('task', 'domain', 'path')}
    return {'clean': images[0], 'degraded': images[1], 'key': key, **names}


def seconds(restorer: FinetuneRestorer, optimizer: OptimWrapper, iteration: int) -> float:
    """Of one update."""
    batch = make_batch(iteration)
    start = time.perf_counter()
    restorer.train_step(batch, optimizer)
    return time.perf_counter() - start


def measure(network: str, part: str) -> dict[str, float]:
    """Memory in MiB, and median seconds of a plain, an ordinary and a full update here."""
    restorer, optimizer = build(network, PARTS[part][0] if part in PARTS else {})
    before = int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()
    for iteration in (DUE, NOT_DUE):
        seconds(restorer, optimizer, iteration)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {'memory': (peak - before) / 2**20}
    if part not in PARTS:
        return result
    plain = build(network, {})
    seconds(*plain, NOT_DUE)
    times: dict[str, list[float]] = {'plain': [], 'ordinary': [], 'full': []}
    for _ in range(NETWORKS[network][1]):
        times['plain'].append(seconds(*plain, NOT_DUE))
        times['ordinary'].append(seconds(restorer, optimizer, NOT_DUE))
        if part == 'group':
            times['full'].append(seconds(restorer, optimizer, DUE))
    return {**result, **{name: median(values) for name, values in times.items() if values}}


def in_fresh_process(network: str, part: str) -> dict[str, float]:
    command = [sys.executable, __file__, '--measure', network, part]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rows_of(network: str) -> list[dict[str, Any]]:
    """The rows of one network, printed as they come."""
    rows = []
    plain_memory = in_fresh_process(network, 'plain')['memory']
    for part, (_, time_target, memory_target) in PARTS.items():
        result = in_fresh_process(network, part)
        update = result['ordinary']
        if 'full' in result:
            update = (7 * result['ordinary'] + result['full']) / 8
        ratios = {
            'time': (update / result['plain'], time_target),
            'peak memory': (result['memory'] / plain_memory, memory_target),
        }
        for metric, (ratio, target) in ratios.items():
            rows.append(
                {
                    'case': f'{network}: {part}', 'metric': metric, 'ratio': round(ratio, 3),
                    'baseline': 'plain L1 update of the same network and batch',
                    'target': target, 'better': 'lower',
                }
            )  # fmt: skip
        print(
            f'{network:7} {part:24} time x {ratios["time"][0]:.2f} (target {time_target}), '
            f'plain {result["plain"]:.2f} s'
            + (f', full update {result["full"]:.2f} s' if 'full' in result else '')
            + f'; memory x {ratios["peak memory"][0]:.2f} (target {memory_target})',
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path, help='file to write the rows to')
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument('--measure', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(*args.measure)))
        return
    started = time.perf_counter()
    rows = [row for network in args.networks for row in rows_of(network)]
    print(f'{(time.perf_counter() - started) / 60:.1f} minutes')
    if args.json:
        write_results(args.json, rows)


if __name__ == '__main__':
    main()
