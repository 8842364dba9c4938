"""Writes a checkpoint between a pre-trained and a fine-tuned one (WiSE-FT)."""

import argparse
from pathlib import Path

from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.apis.interpolation import interpolate_weights
from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint
from dtir_mm.files import require_new


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument(
        'pretrained', type=Path, help='a checkpoint, or the work directory of a run'
    )
    parser.add_argument('finetuned', type=Path, help='a checkpoint, or the work directory of a run')
    parser.add_argument('output', type=Path, help='the checkpoint to write')
    parser.add_argument(
        '--share', type=float, default=0.5, help='of the fine-tuned weights, 0 to 1 (default: 0.5)'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace the output if it exists')
    return parser.parse_args()


@one_line_errors()
def main() -> None:
    args = parse_args()
    require_new(args.output, args.overwrite)
    pretrained, finetuned = map(load_checkpoint, (args.pretrained, args.finetuned))
    save_checkpoint(interpolate_weights(pretrained, finetuned, args.share), args.output)
    print(f'written: {args.output}')
