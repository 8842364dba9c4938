"""Finds the matching time step t_mat of degradations, with intervals, as JSON and a plot.

Pairs come from clean photographs with synthetic degradations (--photos, --tasks), or from your own
folders (--degraded, --clean, and one name as --tasks). Use training images, never test images.
"""

import argparse
from pathlib import Path

from dtir_mm.analysis.curves import plot_curves
from dtir_mm.apis import match_timesteps
from dtir_mm.apis.command_line import ToolParser, add_config_arguments, at_least, one_line_errors
from dtir_mm.datasets import DEGRADATIONS
from dtir_mm.matching.given_timestep import method_names
from dtir_mm.matching.pairs import MIN_PAIRS
from dtir_mm.matching.timestep_match import describe_match


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
        '--shrink', type=float, default=1.0, help='factor that --photos are resized by before they '
        "are degraded, as the training set's shrink (default: 1)",
    )  # fmt: skip
    parser.add_argument('--degraded', help='folder of your own degraded images')
    parser.add_argument('--clean', help='folder of their ground truths, with the same stems')
    parser.add_argument(
        '--method', default='linear_probe',
        help=f'{", ".join(method_names())}, or a criterion that the config imports; sdedit takes '
        'up to 10 network evaluations per image and step, probe_train fine-tunes seven times',
    )  # fmt: skip
    parser.add_argument('--num-images', type=at_least(MIN_PAIRS), default=64, help='crops per task')
    parser.add_argument('--size', type=at_least(1), default=128, help='side of a crop in pixels')
    parser.add_argument('--probe-iterations', type=at_least(1), default=1000, help='of probe_train')
    parser.add_argument(
        '--fallback', choices=['recipe', 'paper', 'found', 'probe_train'], default='recipe',
        help="if no time step is clearly best, use Table 4's value (paper), the best one anyway "
        '(found), or a probe_train search; recipe is paper if the schedule is VarianceExploding, '
        'and found if it is VariancePreserving',
    )  # fmt: skip
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--overwrite', action='store_true', help='replace the output')
    add_config_arguments(parser)
    args = parser.parse_args()
    own = (bool(args.degraded), bool(args.clean))
    if own != ((False, False) if args.photos else (True, True)):
        parser.error('give either --photos, or --degraded and --clean')
    if args.degraded and len(args.tasks) != 1:
        parser.error(f'--degraded takes one name as --tasks, got {args.tasks}')
    return args


@one_line_errors()
def main() -> None:
    args = parse_args()
    folders = (args.degraded, args.clean)
    configs = {'probe_train': {'type': 'probe_train', 'iterations': args.probe_iterations}}
    matches = match_timesteps(
        args.checkpoint,
        args.tasks if args.photos else {task: folders for task in args.tasks},
        args.photos,
        method=configs.get(args.method, args.method),
        fallback=configs.get(args.fallback, args.fallback),
        num_images=args.num_images,
        size=args.size,
        shrink=args.shrink,
        seed=args.seed,
        output=args.output,
        overwrite=args.overwrite,
        config=args.config,
        allow_imports=args.allow_imports,
        progress=True,
    )
    for task in args.tasks:
        print(f'{task}: {describe_match(matches[task].to_json())}')
    written = [args.output]
    if curves := {task: match for task, match in matches.items() if match.curve}:
        written.append(args.output.with_suffix('.png'))
        plot_curves(curves, written[-1])
    print(f'written: {", ".join(map(str, written))}')
