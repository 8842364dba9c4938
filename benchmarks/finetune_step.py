"""Cost of each part of a fine-tuning update: time and memory relative to a plain update.

    python benchmarks/finetune_step.py [--json FILE] [--networks mini paper nafnet]

Each part runs in a fresh process on the same random batch of 8 images of 64 px. With recipe
`paper`, 2 of them are generative; with recipe `released`, all or none. Memory is the increase in
peak resident size since before the first update; time is the median over updates that alternate
with plain ones. The cost of parts that are not active in every update is averaged over all updates:
"group" is active in every 8th, the generative loss and L_reg of recipe `released` in a tenth.
"""

import argparse
import json
import logging
import resource
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from mmengine.optim import OptimWrapper
from results_file import write_results

import dtir_mm.models  # noqa: F401  registers the classes
from dtir_mm.engine import LayerWiseDecayHook
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.randomness import happens
from dtir_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {
    'mini': (
        {
            'type': 'DtirUNet', 'width': 32, 'channel_multipliers': (1, 2, 4),
            'blocks_per_level': (1, 1), 'middle_blocks': 2, 'attention': False,
        },
        12,  # timed updates
    ),
    'paper': ({'type': 'DtirUNet'}, 3),
    'nafnet': (
        {
            'type': 'mmagic.NAFNet', 'mid_channels': 32, 'enc_blk_nums': [1, 1, 1, 28],
            'middle_blk_num': 1, 'dec_blk_nums': [1, 1, 1, 1],
        },
        4,
    ),
}  # fmt: skip


class Part(NamedTuple):
    """A part of the update, compared with the plain update of its recipe."""

    recipe: str
    step: dict[str, Any]  # config of TrainingStep without the objective
    time: float | None = None  # targets
    memory: float | None = None
    share: float = 0.0  # share of updates in which the part is fully active; 0: all of them


RECIPES: dict[str, dict[str, Any]] = {
    'paper': {},
    'released': {
        'schedule': {'type': 'VarianceExploding'},
        'head': {'type': 'ResidualHead'},
        'image_range': (0.0, 1.0),
    },
}
OBJECTIVES = {
    'paper': {'type': 'Reconstruction'},
    'released': {
        'type': 'Reconstruction',
        'losses': {'pixel': {'type': 'L1Loss'}, 'fft': {'type': 'FFTLoss', 'weight': 0.1}},
    },
}
PLAIN = {'paper': 'plain L1', 'released': 'plain L1 + FFT'}
MIXING = {'type': 'SampleMixing', 'ratio': 0.25, 'objective': {'type': 'NoisePrediction'}}
IMPORTANCE = {'importance': {'type': 'ImportancePenalty'}}
PROJECT = {'projection': {'type': 'GradientProjection'}}
GROUP = {'orthogonality': {'type': 'GradientOrthogonality', 'interval': 8}}
RELEASED_SHARE = 0.1
RELEASED_STEP = {
    'mixing': {
        'type': 'UpdateMixing', 'probability': RELEASED_SHARE, 'objective': {'type': 'Denoising'}
    },
    'regularizers': {
        'importance': {'type': 'ImportancePenalty', 'form': 'elementwise', 'share': RELEASED_SHARE}
    },
}  # fmt: skip
PARTS = {
    **{plain: Part(recipe, {}) for recipe, plain in PLAIN.items()},
    # Lower bound for mixing: generative and other samples need separate forward passes.
    'floor: 6 and 2 samples': Part('paper', {'micro_batch_size': 6}),
    'importance': Part('paper', {'regularizers': IMPORTANCE}, 1.05),
    'mixing and gate': Part('paper', {'mixing': MIXING}, 1.10),
    'project': Part('paper', {'mixing': MIXING, 'regularizers': PROJECT}, 1.20),
    'group': Part('paper', {'mixing': MIXING, 'regularizers': GROUP}, 1.60, 1.50, 1 / 8),
    'everything with project': Part(
        'paper', {'mixing': MIXING, 'regularizers': {**IMPORTANCE, **PROJECT}}, 1.35
    ),
    'released: everything': Part('released', RELEASED_STEP, 1.15, share=RELEASED_SHARE),
}
BATCH, SIZE, T = 8, 64, 8


def iterations(part: str) -> tuple[int, int]:
    """An iteration in which the part is fully active, and one in which it is not."""
    if PARTS[part].recipe == 'paper':
        return 0, 1
    return tuple(
        next(i for i in count() if happens(RELEASED_SHARE, 0, i, 'mix') == active)
        for active in (True, False)
    )


def build(network: str, part: str) -> tuple[Restorer, OptimWrapper]:
    """A restorer in training mode with importance and the gate of Eq. 10, and its optimiser."""
    torch.manual_seed(0)
    recipe, step, *_ = PARTS[part]
    backbone = {'type': 'ConditionedBackbone', 'backbone': NETWORKS[network][0]}
    model = {
        'type': 'Restorer', 'timesteps': f'fixed:{T}', 'backbone': backbone, **RECIPES[recipe],
        'step': {'objective': OBJECTIVES[recipe], **step},
    }  # fmt: skip
    restorer = MODELS.build(model).train()
    if recipe == 'paper':
        run = SimpleNamespace(restorer=restorer, logger=logging.getLogger(__name__))
        LayerWiseDecayHook(gate='scalar').apply(run, ['any'])
    penalty = restorer.step.regularizers.get('importance')
    if penalty is not None:
        named = restorer.named_trained_parameters()
        values = {name: parameter.detach() for name, parameter in named.items()}
        penalty.set_importance({n: v.abs() * 1e-4 for n, v in values.items()}, values, named)
    return restorer, OptimWrapper(torch.optim.Adam(restorer.parameters(), 1e-4))


def make_batch(iteration: int) -> dict[str, Any]:
    """A random collated batch with the keys of an iteration."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, BATCH, 3, SIZE, SIZE), generator=rng, dtype=torch.uint8)
    key = torch.stack(
        [torch.zeros(BATCH), torch.full((BATCH,), float(iteration)), torch.arange(BATCH)], dim=1
    ).long()
    names = {name: ['x'] * BATCH for name in ('task', 'domain', 'path')}
    return {'clean': images[0], 'degraded': images[1], 'key': key, **names}


def seconds(restorer: Restorer, optimizer: OptimWrapper, iteration: int) -> float:
    """Seconds that one update takes."""
    batch = make_batch(iteration)
    start = time.perf_counter()
    restorer.train_step(batch, optimizer)
    return time.perf_counter() - start


def measure(network: str, part: str) -> dict[str, float]:
    """Memory in MiB, and median seconds of a plain, an ordinary and a fully active update."""
    restorer, optimizer = build(network, part)
    active, inactive = iterations(part)
    before = int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()
    for iteration in (active, inactive):
        seconds(restorer, optimizer, iteration)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {'memory': (peak - before) / 2**20}
    if part in PLAIN.values():
        return result
    plain = build(network, PLAIN[PARTS[part].recipe])
    seconds(*plain, inactive)
    times: dict[str, list[float]] = {'plain': [], 'ordinary': [], 'full': []}
    for _ in range(NETWORKS[network][1]):
        times['plain'].append(seconds(*plain, inactive))
        times['ordinary'].append(seconds(restorer, optimizer, inactive))
        if PARTS[part].share:
            times['full'].append(seconds(restorer, optimizer, active))
    return {**result, **{name: median(values) for name, values in times.items() if values}}


def in_fresh_process(network: str, part: str) -> dict[str, float]:
    command = [sys.executable, __file__, '--measure', network, part]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rows_of(network: str) -> list[dict[str, Any]]:
    """Prints and returns the rows of one network."""
    rows = []
    memory = {recipe: in_fresh_process(network, plain) for recipe, plain in PLAIN.items()}
    for name, part in PARTS.items():
        if name in PLAIN.values():
            continue
        result = in_fresh_process(network, name)
        update = (1 - part.share) * result['ordinary'] + part.share * result.get('full', 0)
        ratios = {
            'time': (update / result['plain'], part.time),
            'peak memory': (result['memory'] / memory[part.recipe]['memory'], part.memory),
        }
        for metric, (ratio, target) in ratios.items():
            rows.append(
                {
                    'case': f'{network}: {name}', 'metric': metric, 'ratio': round(ratio, 3),
                    'baseline': f'{PLAIN[part.recipe]} update with the same network and batch',
                    'target': target, 'better': 'lower',
                }
            )  # fmt: skip
        print(
            f'{network:7} {name:24} time x {ratios["time"][0]:.2f} (target {part.time}), '
            f'plain {result["plain"]:.2f} s'
            + (f', full update {result["full"]:.2f} s' if 'full' in result else '')
            + f'; memory x {ratios["peak memory"][0]:.2f} (target {part.memory})',
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
