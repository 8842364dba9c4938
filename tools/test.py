"""Tests a checkpoint: a table beside the input's own figures, a CSV, images to compare.

A restorer that can find out the degradation is tested twice: told it, and blind. With --publish the
figures go into the README beside the config, with seed, commit and protocol.
"""

import argparse
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from dtir_mm.analysis.blind_accuracy import blind_accuracy, format_blind_accuracy
from dtir_mm.analysis.comparison_hook import ComparisonHook
from dtir_mm.analysis.publishing import prepare_publication
from dtir_mm.analysis.summary import (
    format_table,
    git_commit,
    mean_rows,
    write_rows_csv,
    write_summary,
)
from dtir_mm.apis.command_line import (
    ToolParser,
    add_config_with_options,
    at_least,
    end_communication,
    one_line_errors,
)
from dtir_mm.apis.held_logs import HeldLogs
from dtir_mm.config import override_config, read_config, require_parts
from dtir_mm.engine.checkpoint import (
    load_checkpoint,
    load_weights,
    online_weights,
    timesteps_of,
)
from dtir_mm.engine.checkpoint_meta import meta_of, not_fine_tuned
from dtir_mm.evaluation import PROTOCOLS


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    add_config_with_options(parser)
    parser.add_argument('checkpoint', help='a checkpoint, or the work directory of a run')
    parser.add_argument('--work-dir', help='where results go; default work_dirs/<config>/test')
    parser.add_argument('--method', default='ours', help='its name in tables and images')
    parser.add_argument('--protocol', choices=sorted(PROTOCOLS), help="instead of the config's")
    parser.add_argument(
        '--online-weights',
        action='store_true',
        help='the weights of the last update, where the checkpoint offers their average (EMA)',
    )
    parser.add_argument(
        '--ensemble', action='store_true', help='the mean over each image and its flips'
    )
    parser.add_argument(
        '--publish', action='store_true', help="fill the figures into the config's results page"
    )
    parser.add_argument('--replace', action='store_true', help='overwrite published figures')
    parser.add_argument(
        '--images', type=at_least(0), default=3, help='saved of each task and domain'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if args.publish and args.cfg_options:
        parser.error('--publish takes a config as its file has it, without --cfg-options')
    if args.publish and args.online_weights:
        parser.error('--publish is of the weights that the checkpoint offers, not --online-weights')
    if args.publish and args.ensemble:
        parser.error('--publish is of one pass an image, without --ensemble')
    if args.replace and not args.publish:
        parser.error('--replace needs --publish')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


@one_line_errors('test')
def main() -> None:
    args = parse_args()
    config = read_config(args.config)
    checkpoint = load_checkpoint(args.checkpoint)
    meta = meta_of(checkpoint)  # empty for weights from elsewhere
    caution = not_fine_tuned(checkpoint, args.checkpoint)
    decay = None if args.online_weights else meta.get('ema_decay')
    publication = None
    if args.publish:
        protocol = args.protocol or (config.get('test_evaluator') or {}).get('protocol')
        publication = prepare_publication(Path(args.config), config.to_dict(), checkpoint, protocol)
    if config.get('model') and meta and not caution:  # pre-training used no task's step
        config.model.timesteps = timesteps_of(checkpoint)
    config.launcher = args.launcher
    config.load_from = None
    config.work_dir = args.work_dir or str(Path('work_dirs') / Path(args.config).stem / 'test')
    override_config(config, args.cfg_options)
    require_parts(config, 'test')
    if args.ensemble:
        config.model.ensemble = True
    if args.protocol:
        config.test_evaluator.protocol = args.protocol
    out = Path(config.work_dir)
    runner = HeldLogs().build(config)
    weights = online_weights(checkpoint) if args.online_weights else checkpoint
    load_weights(runner.restorer, weights, args.checkpoint)
    comparisons = ComparisonHook(out / 'images', args.method, args.images)
    runner.register_hook(comparisons)
    if caution and is_main_process():
        print(caution, flush=True)
    runner.test()
    rows = runner.test_evaluator.metrics[0].rows
    comparisons.count = 0  # those of the first test stay
    blind = _test_blind(runner)
    writes = is_main_process()
    end_communication()
    if not writes:
        return

    write_rows_csv(rows, out / 'images.csv')
    means = [row for method in ('input', args.method) for row in mean_rows(rows, method)]
    if blind:
        write_rows_csv(blind, out / 'images_blind.csv')
        means += mean_rows(blind, f'{args.method}, blind')
    steps = {row['task']: row['t'] for row in rows}
    write_summary(
        out / 'summary.json',
        means,
        {task: {'t_mat': t} for task, t in steps.items()},
        config.test_evaluator.protocol,
        meta.get('precision', config.get('precision', 'fp32')),
        meta.get('seed'),
        git_commit(),
        hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode()).hexdigest()[:12],
        comparisons.paths,
        decay,
    )
    print(format_table(means))
    if blind:
        print(format_blind_accuracy(blind_accuracy(rows, blind)))
    print(f'weights: {_weights(meta, decay)}{", of pre-training alone" if caution else ""}')
    print(f'protocol {config.test_evaluator.protocol}; time steps {steps}')
    print(f'written: {out / "images.csv"}, {out / "summary.json"}, {out / "images"}')
    if publication is not None:
        publication.write(means, args.method, args.replace)
        print(f'published: {publication.page}')


def _weights(meta: dict[str, Any], decay: float | None) -> str:
    """Which weights were tested."""
    if not meta:
        return 'from elsewhere, with the time steps of the config'
    return f'averaged (EMA, decay {decay})' if decay else 'of the last update'


def _test_blind(runner: Any) -> list[dict[str, Any]]:
    """The rows of a second test for which no task is told; none where that cannot be."""
    restorer = runner.restorer
    if restorer.classifier is None or restorer.inference != 'task':
        return []
    restorer.set_inference('predict')
    runner.test()
    return runner.test_evaluator.metrics[0].rows


if __name__ == '__main__':
    main()
