"""Trains a config: any stage, one process or many (tools/dist_train.sh)."""

import argparse
import os
from pathlib import Path

from dtir_mm.apis.command_line import (
    ToolParser,
    add_config_with_options,
    end_communication,
    one_line_errors,
)
from dtir_mm.apis.held_logs import HeldLogs
from dtir_mm.config import read_config, require_parts


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    add_config_with_options(parser)
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints; default work_dirs/<config>'
    )
    parser.add_argument(
        '--resume', nargs='?', const=True, help='resume the run in the work directory, or this file'
    )
    parser.add_argument(
        '--allow-changes', action='store_true', help='resume, but with this optimiser and schedule'
    )
    parser.add_argument('--amp', action='store_true', help='train in bf16 (precision="bf16")')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torch.distributed.launch passes it; torchrun sets the environment variable itself.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


@one_line_errors(interrupted='interrupted; continue with the same command and --resume')
def main() -> None:
    args = parse_args()
    config = read_config(args.config, args.cfg_options)
    config.launcher = args.launcher
    require_parts(config, 'train')
    if args.work_dir:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    if args.amp:
        config.precision = 'bf16'
    if args.auto_scale_lr:
        if (config.get('auto_scale_lr') or {}).get('base_batch_size', 0) < 1:
            raise ValueError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=N) in the config: the '
                'global batch size that its learning rate is meant for'
            )
        config.auto_scale_lr.enable = True
    if args.resume:
        config.resume = args.resume
    if args.allow_changes:
        config.allow_changes = True
    HeldLogs().build(config).train()
    end_communication()
