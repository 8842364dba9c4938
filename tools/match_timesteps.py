"""Finds the matching time step t_mat of degradations, with intervals, as JSON and a plot.

Pairs come from clean photographs under synthetic tasks (--photos, --tasks), or from folders of your
own (--degraded, --clean, and one name as --tasks). Use training images, never test images.
"""

import argparse
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from torch import Tensor
from tqdm import tqdm

from dtir_mm.analysis.curves import plot_curves
from dtir_mm.apis import load_restorer
from dtir_mm.apis.command_line import ToolParser, add_config_arguments, at_least, one_line_errors
from dtir_mm.apis.probe_training import probe_train
from dtir_mm.datasets import DEGRADATIONS, DegradedPhotosDataset, PairedFolderDataset
from dtir_mm.datasets.base_dataset import RestorationDataset, SampleKey
from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.diffusion import timestep_errors
from dtir_mm.diffusion.noise_schedule import VarianceExploding
from dtir_mm.diffusion.timestep_errors import FEWEST, ErrorsAt
from dtir_mm.diffusion.timestep_matching import (
    METHODS,
    TimestepMatch,
    given_timestep,
    match_timestep,
    probe_train_grid,
)
from dtir_mm.diffusion.timesteps_file import (
    describe_match,
    read_matches,
    same_source,
    write_timesteps,
)
from dtir_mm.files import require_writable
from dtir_mm.models.restorers.restorer import Restorer

_EXPENSIVE = {
    'sdedit': 'up to 10 network evaluations an image and time step',
    'probe_train': 'fine-tunes the network seven times',
}


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('checkpoint', type=Path, help='of pre-training, or its work directory')
    parser.add_argument(
        'output', type=Path,
        help='the JSON to write, or to add to if it is of the same weights; a plot goes beside it',
    )  # fmt: skip
    parser.add_argument('--tasks', nargs='+', required=True, help=f'of {", ".join(DEGRADATIONS)}')
    parser.add_argument('--photos', help='folder of clean photographs')
    parser.add_argument(
        '--shrink', type=float, default=1.0, help='of --photos before they are degraded, as the '
        "training set's shrink (default: 1)",
    )  # fmt: skip
    parser.add_argument('--degraded', help='folder of your own degraded images')
    parser.add_argument('--clean', help='folder of their ground truths, with the same stems')
    parser.add_argument('--method', default='linear_probe', help=f'{", ".join(METHODS)} or fixed:k')
    parser.add_argument('--num-images', type=at_least(FEWEST), default=64, help='crops a task')
    parser.add_argument('--size', type=at_least(1), default=128, help='side of a crop in pixels')
    parser.add_argument('--probe-iterations', type=at_least(1), default=1000, help='of probe_train')
    parser.add_argument(
        '--fallback', choices=['recipe', 'paper', 'found', 'probe_train'], default='recipe',
        help='what stands in for a task that is not identified: Table 4 (paper), the best step of '
        'the curve (found), or a probe_train search; recipe is paper where the schedule is '
        'VarianceExploding, and found where it is VariancePreserving',
    )  # fmt: skip
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--overwrite', action='store_true', help='replace an output that is of other weights'
    )
    add_config_arguments(parser)
    args = parser.parse_args()
    own = (bool(args.degraded), bool(args.clean))
    if own != ((False, False) if args.photos else (True, True)):
        parser.error('give either --photos, or --degraded and --clean')
    if args.output.suffix != '.json':
        parser.error(f'the output must be a .json file, got {args.output}')
    if args.degraded and len(args.tasks) != 1:
        parser.error(f'--degraded takes one name as --tasks, got {args.tasks}')
    return args


@one_line_errors('match_timesteps')
def main() -> None:
    args = parse_args()
    require_writable(args.output.parent)
    for task in args.tasks if args.photos else ():
        degradation_for(task, 'source')  # a misspelt name is found before hours of search
    restorer = load_restorer(args.checkpoint, args.config, args.allow_imports)
    source = _source(args, restorer)
    matches = _earlier_matches(args, source)
    for task in args.tasks:
        matches[task] = _match_or_fall_back(args, restorer, task)
    write_timesteps(args.output, {t: m.to_json() for t, m in matches.items()}, source)
    curves = {task: match for task, match in matches.items() if match.curve}
    if curves:
        plot_curves(curves, args.output.with_suffix('.png'))
    print(f'written: {args.output}' + (f', {args.output.with_suffix(".png")}' if curves else ''))


def _earlier_matches(args: argparse.Namespace, source: dict[str, Any]) -> dict[str, TimestepMatch]:
    """What the output holds of other tasks: they take a call each, where their pairs do."""
    if not args.output.exists() or args.overwrite:
        return {}
    earlier = read_matches(args.output)
    if not same_source(args.output, source):
        raise ValueError(
            f'{args.output} has time steps of other weights, another schedule or another image '
            f'range: name another file, or give --overwrite to replace it'
        )
    return {task: TimestepMatch.from_json(match) for task, match in earlier.items()}


def _match_or_fall_back(args: argparse.Namespace, restorer: Restorer, task: str) -> TimestepMatch:
    """The task's match, by ``probe_train`` where that was asked for and the method found none."""
    match = _match(args, restorer, task, args.method)
    if match.status == 'unidentified' and args.fallback == 'probe_train':
        match = _match(args, restorer, task, 'probe_train')
    print(f'{task}: {describe_match(match.to_json())}')
    return match


def _stand_in(args: argparse.Namespace, restorer: Restorer) -> str:
    """What stands in where nothing is identified, as ``match_timestep`` names it.

    The authors' code takes Table 4, and a variance-exploding network hardly changes with t. At the
    late steps of a variance-preserving one the input counts for noise, so that fine-tuning starts
    by unlearning: there Table 4's steps cost decibels wherever the curve does not ask for them.
    """
    if args.fallback in ('paper', 'found'):
        return args.fallback
    return 'paper' if isinstance(restorer.schedule, VarianceExploding) else 'found'


def _source(args: argparse.Namespace, restorer: Restorer) -> dict[str, Any]:
    """What the matches depend on."""
    weights = restorer.state_dict().values()
    return {
        'checkpoint': str(args.checkpoint),
        'weights_sha256': hashlib.sha256(
            b''.join(w.cpu().numpy().tobytes() for w in weights)
        ).hexdigest(),
        'schedule': restorer.schedule.config,
        'num_steps': restorer.schedule.num_steps,
        'image_range': list(restorer.image_range),
        'seed': args.seed,
    }


def _match(args: argparse.Namespace, restorer: Restorer, task: str, method: str) -> TimestepMatch:
    num_steps = restorer.schedule.num_steps
    if method not in METHODS or method in ('paper', 'random'):
        return given_timestep(method, task, num_steps, args.seed)
    if method in _EXPENSIVE:
        print(f'{task}: {method} is expensive: {_EXPENSIVE[method]}', flush=True)
    pairs = _pairs(args, restorer, task)
    grids: dict[str, Sequence[int]] = {
        'probe_train': probe_train_grid(num_steps),
        'trajectory': range(1, num_steps + 1),
    }
    grid = grids.get(method)
    total = len(grid) if grid else None
    # probe_train trains these weights, and time may take effect meanwhile: its curve tells.
    no_effect = (
        None
        if method == 'probe_train'
        else timestep_errors.why_no_effect(restorer, pairs[0], num_steps)
    )
    with tqdm(desc=f'{task}: {method}', unit='step', total=total) as bar, torch.no_grad():
        errors_at = _criterion(args, restorer, method, pairs, bar)
        stand_in = _stand_in(args, restorer)
        return match_timestep(
            errors_at, task, method, num_steps, args.seed, stand_in, grid,
            lambda t: bar.update(), no_effect,
        )  # fmt: skip


def _criterion(
    args: argparse.Namespace,
    restorer: Restorer,
    method: str,
    pairs: tuple[Tensor, Tensor],
    bar: tqdm,
) -> ErrorsAt:
    """The errors of a method that searches; probe_train shows its progress in the bar."""
    schedule, seed = restorer.schedule, args.seed
    if method == 'linear_probe':
        return timestep_errors.linear_probe(restorer, *pairs, seed)
    if method == 'score':
        return timestep_errors.score(restorer, schedule, *pairs)
    if method == 'sdedit':
        return timestep_errors.sdedit(restorer, schedule, *pairs, seed)
    if method == 'trajectory':
        return timestep_errors.trajectory(restorer, schedule, *pairs, seed)
    load = partial(load_restorer, args.checkpoint, args.config, args.allow_imports)
    return probe_train(
        load, *pairs, args.probe_iterations, seed,
        lambda t, done: bar.set_postfix(t=t, iteration=done),
    )  # fmt: skip


def _pairs(args: argparse.Namespace, restorer: Restorer, task: str) -> tuple[Tensor, Tensor]:
    """Degraded and clean crops (N, 3, size, size) in the restorer's range, from all the images."""
    if not restorer.backbone.size_rule.takes(args.size, args.size):
        raise ValueError(f'--size={args.size}: {restorer.backbone.size_rule.describe()}')
    pipeline = [{'type': 'RandomPatch', 'size': args.size}, {'type': 'PackSample'}]
    dataset: RestorationDataset
    if args.photos:
        dataset = DegradedPhotosDataset(args.photos, task, pipeline, shrink=args.shrink)
    else:
        dataset = PairedFolderDataset(args.degraded, args.clean, task, pipeline)
    keys = [SampleKey(args.seed, 0, i, i % len(dataset)) for i in range(args.num_images)]
    with tqdm(keys, desc=f'{task}: reading pairs', leave=False) as bar:
        samples = [dataset[key] for key in bar]
    degraded, clean = (
        restorer.from_uint8(torch.stack([sample[name] for sample in samples]).to(get_device()))
        for name in ('degraded', 'clean')
    )
    return degraded, clean


if __name__ == '__main__':
    main()
