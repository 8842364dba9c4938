"""Cost of the time conditioning at test time: parameters, MACs, time and memory.

    python benchmarks/deploy_cost.py [--json FILE] [--networks unet nafnet restormer]

Four variants of each network restore the same random image: bare (unconditioned), conditioned on
time, with adapters as well (as in training), and deployed (time conditioning folded, adapters
merged). All numbers are ratios to the bare network. Time is the median over forward passes that
alternate between the variants. Memory is that of the weights plus the peak increase during a
forward pass in a fresh process.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from results_file import write_results
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import dtir_mm.models  # noqa: F401  registers the classes
from dtir_mm.apis.deployment import deploy
from dtir_mm.registry import MODELS

NETWORKS: dict[str, dict[str, Any]] = {
    'unet': {'type': 'DtirUNet'},
    'nafnet': {
        'type': 'mmagic.NAFNet',
        'mid_channels': 64,
        'enc_blk_nums': [1, 1, 1, 28],
        'middle_blk_num': 1,
        'dec_blk_nums': [1, 1, 1, 1],
    },
    'restormer': {'type': 'mmagic.Restormer'},
}
METRICS = ('parameters', 'MACs', 'time', 'peak memory')
# variant: targets of metrics
VARIANTS: dict[str, dict[str, float]] = {
    'bare': {},
    'conditioned': {},
    'with adapters': {'time': 1.10},
    'deployed': {'MACs': 1.02, 'time': 1.05},
}
T = 8


def build(network: str, variant: str) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The module that holds the parameters of a variant, and its forward function."""
    torch.manual_seed(0)
    if variant == 'bare':
        net = MODELS.build(NETWORKS[network]).eval()
        return net, net
    backbone = {'type': 'ConditionedBackbone', 'backbone': NETWORKS[network]}
    if variant != 'conditioned':
        backbone['adapters'] = {}
    model = {'type': 'Restorer', 'timesteps': f'fixed:{T}', 'backbone': backbone}
    restorer = MODELS.build(model).eval()
    if variant == 'deployed':
        net = deploy(restorer, T)
        return net, net
    return restorer.backbone, lambda image: restorer(image, torch.tensor([T]))


def random_image(size: int) -> Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def measure(network: str, size: int, repeats: int) -> dict[str, dict[str, float]]:
    """Parameters, MACs and median seconds of every variant."""
    image, results, forwards = random_image(size), {}, {}
    for variant in VARIANTS:
        module, forwards[variant] = build(network, variant)
        with FlopCounterMode(display=False) as counter:
            forwards[variant](image)
        parameters = sum(p.numel() for p in module.parameters())
        results[variant] = {'parameters': parameters, 'MACs': counter.get_total_flops() / 2}
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for repeat in range(repeats):
        for variant, forward in forwards.items():
            start = time.perf_counter()
            forward(image)
            times[variant].append(time.perf_counter() - start)
        print(f'\r{network}: forward {repeat + 1} of {repeats}', end='', flush=True)
    print()
    for variant, values in times.items():
        results[variant]['time'] = median(values)
    return results


@torch.no_grad()
def peak_memory(network: str, variant: str, size: int) -> float:
    """Bytes of the weights plus the peak increase of this process during a forward pass."""
    module, forward = build(network, variant)
    image = random_image(size)
    forward(image)  # loads libraries
    Path('/proc/self/clear_refs').write_text('5')  # resets the peak
    before = _high_water()
    forward(image)
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    return weights + _high_water() - before


def _high_water() -> int:
    """The peak resident size in bytes."""
    status = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))


def in_fresh_process(network: str, variant: str, size: int) -> float:
    command = [sys.executable, __file__, '--size', str(size), '--measure', network, variant]
    # Freed memory is returned at once: otherwise the forward pass could reuse that of building.
    env = {**os.environ, 'MALLOC_MMAP_THRESHOLD_': '65536', 'MALLOC_TRIM_THRESHOLD_': '65536'}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
    return float(done.stdout.splitlines()[-1])


def rows_of(network: str, results: dict[str, dict[str, float]], size: int) -> list[dict[str, Any]]:
    """Prints and returns the rows of one network."""
    rows = []
    for variant, targets in list(VARIANTS.items())[1:]:
        ratios = {metric: results[variant][metric] / results['bare'][metric] for metric in METRICS}
        for metric, ratio in ratios.items():
            rows.append(
                {
                    'case': f'{network}: {variant}', 'metric': metric, 'ratio': round(ratio, 3),
                    'baseline': f'bare network, image of {size} x {size}',
                    'target': targets.get(metric), 'better': 'lower',
                }
            )  # fmt: skip
        shown = (
            f'{metric} x {ratio:.3f}{_target(targets, metric)}' for metric, ratio in ratios.items()
        )
        print(f'{network:9} {variant:13} ' + ', '.join(shown), flush=True)
    return rows


def _target(targets: dict[str, float], metric: str) -> str:
    return f' (target {targets[metric]:.2f})' if metric in targets else ''


def print_table(results: dict[str, dict[str, dict[str, float]]]) -> None:
    """Prints the columns of Table 5, whose "FLOPS" are multiply-adds."""
    print(f'\n{"network":24} {"#PARAM":>8} {"FLOPS":>8} {"RUNTIME":>8} {"memory":>9}')
    for network, variants in results.items():
        for variant, result in variants.items():
            print(
                f'{f"{network}, {variant}":24} {result["parameters"] / 1e6:7.2f}M '
                f'{result["MACs"] / 1e9:7.2f}G {result["time"]:7.3f}s '
                f'{result["peak memory"] / 2**20:6.0f}MiB'
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path, help='file to write the rows to')
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument('--size', type=int, default=256, help='side of the image')
    parser.add_argument(
        '--repeats', type=int, default=30, help='timed forward passes of each variant'
    )
    parser.add_argument('--measure', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(peak_memory(*args.measure, args.size))
        return
    started = time.perf_counter()
    results, rows = {}, []
    for network in args.networks:
        results[network] = measure(network, args.size, args.repeats)
        for variant in VARIANTS:
            memory = in_fresh_process(network, variant, args.size)
            results[network][variant]['peak memory'] = memory
        rows += rows_of(network, results[network], args.size)
    print_table(results)
    print(f'{(time.perf_counter() - started) / 60:.1f} minutes')
    if args.json:
        write_results(args.json, rows)


if __name__ == '__main__':
    main()
