"""Adds the importance of its weights to a checkpoint, for model.step.regularizers.importance."""

import argparse
from pathlib import Path

from tqdm import tqdm

from dtir_mm.apis.command_line import ToolParser, add_config_arguments, at_least, one_line_errors
from dtir_mm.apis.importance import accumulate_importance
from dtir_mm.engine.checkpoint import save_checkpoint
from dtir_mm.files import require_new


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument(
        'checkpoint', type=Path, help='a checkpoint, or the work directory of a run'
    )
    parser.add_argument('output', type=Path, help='the checkpoint to write')
    parser.add_argument(
        '--batches', type=at_least(1), default=200, help='number of training batches (default: 200)'
    )
    parser.add_argument(
        '--fisher', action='store_true', help='for form="ewc": squared gradients of single samples'
    )
    add_config_arguments(parser)
    parser.add_argument('--overwrite', action='store_true', help='replace the output if it exists')
    return parser.parse_args()


@one_line_errors()
def main() -> None:
    args = parse_args()
    require_new(args.output, args.overwrite)
    with tqdm(total=args.batches, unit='batch') as bar:
        checkpoint = accumulate_importance(
            args.checkpoint, args.batches, args.fisher, args.config, args.allow_imports,
            lambda done: bar.update(done - bar.n),
        )  # fmt: skip
    save_checkpoint(checkpoint, args.output)
    print(f'written: {args.output}')
