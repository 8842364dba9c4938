"""Tests a checkpoint: writes a table, also of the degraded inputs, a CSV and images to compare.

A restorer with a degradation classifier is tested twice, non-blind and blind.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from dtir_mm.analysis.blind_accuracy import blind_accuracy, format_blind_accuracy
from dtir_mm.analysis.comparison_hook import ComparisonHook
from dtir_mm.analysis.summary import (
    code_version,
    config_hash,
    format_table,
    mean_rows,
    write_rows_csv,
    write_summary,
)
from dtir_mm.apis import load_restorer
from dtir_mm.apis.command_line import (
    ToolParser,
    add_config_with_options,
    at_least,
    end_communication,
    one_line_errors,
)
from dtir_mm.apis.deployed_restorer import DeployedBackbone
from dtir_mm.apis.held_logs import HeldLogs
from dtir_mm.config import override_config, read_config, require_parts
from dtir_mm.engine.checkpoint import Checkpoint, load_checkpoint
from dtir_mm.engine.checkpoint_meta import CheckpointMeta
from dtir_mm.evaluation.protocols import PROTOCOLS
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.task_timesteps import CLEAN
from dtir_mm.weights_file import CheckpointError, is_deployed


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    add_config_with_options(parser)
    parser.add_argument(
        'checkpoint',
        help='a checkpoint, or the work directory of a run; a deployed network (.safetensors, '
        '.onnx) or public weights replace the model of the config',
    )
    parser.add_argument('--work-dir', help='folder of the results; default work_dirs/<config>/test')
    parser.add_argument('--method', default='ours', help='its name in tables and images')
    parser.add_argument('--protocol', choices=sorted(PROTOCOLS), help="instead of the config's")
    parser.add_argument(
        '--online-weights', action='store_true', help='test the last weights, not their EMA'
    )
    parser.add_argument(
        '--ensemble', action='store_true', help='average over each image and its flips'
    )
    parser.add_argument(
        '--images', type=at_least(0), default=3, help='to save of each task and domain'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if args.online_weights and is_deployed(args.checkpoint):
        parser.error('a deployed network does not allow --online-weights')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


@one_line_errors()
def main() -> None:
    args = parse_args()
    config = read_config(args.config)
    checkpoint = None if is_deployed(args.checkpoint) else load_checkpoint(args.checkpoint)
    if args.online_weights and checkpoint and not checkpoint.meta.is_ours:
        raise ValueError(f'{args.checkpoint} is not of dtir_mm: it has no --online-weights')
    _set_up(config, args, checkpoint)
    out = Path(config.work_dir)
    runner = HeldLogs().build(config)
    weights = _load_weights(runner, args, checkpoint)
    comparisons = ComparisonHook(out / 'images', args.method, args.images)
    runner.register_hook(comparisons)
    runner.test()
    rows = runner.test_evaluator.metrics[0].rows
    comparisons.count = 0  # only the first test saves images
    blind = _test_blind(runner)
    is_main = is_main_process()
    end_communication()
    if not is_main:
        return

    means = [row for method in ('input', args.method) for row in mean_rows(rows, method)]
    if blind:
        means += mean_rows(blind, f'{args.method}, blind')
    decay = checkpoint.meta.ema_decay if checkpoint and not args.online_weights else None
    write_rows_csv(rows, out / 'images.csv')
    if blind:
        write_rows_csv(blind, out / 'images_blind.csv')
    steps = _steps(runner.restorer, rows)
    _write_summary(out / 'summary.json', config, checkpoint, means, steps, comparisons.paths, decay)
    print(format_table(means))
    if blind:
        print(format_blind_accuracy(blind_accuracy(rows, blind)))
    print(f'weights: {weights}')
    print(f'protocol {config.test_evaluator.protocol}; time steps {steps or "none"}')
    print(f'written: {out / "images.csv"}, {out / "summary.json"}, {out / "images"}')


def _set_up(config: Config, args: argparse.Namespace, checkpoint: Checkpoint | None) -> None:
    """Makes a config test a checkpoint in the way that the command line says."""
    if checkpoint and checkpoint.meta.is_ours and not checkpoint.pretraining_warning:
        if config.get('model'):
            config.model.timesteps = checkpoint.timesteps  # pre-training has no tasks
    config.launcher = args.launcher
    config.load_from = None
    config.visualizer = dict(type='ScalarVisualizer')  # a test has no curves to record
    config.work_dir = args.work_dir or str(Path('work_dirs') / Path(args.config).stem / 'test')
    override_config(config, args.cfg_options)
    require_parts(config, 'test')
    if isinstance(config.test_evaluator, list):
        raise ValueError('test_evaluator must be a single dict of type RestorationMetric')
    if args.ensemble:
        config.model.ensemble = True
    if args.protocol:
        config.test_evaluator.protocol = args.protocol


def _load_weights(runner: Any, args: argparse.Namespace, checkpoint: Checkpoint | None) -> str:
    """Loads what is to be tested; returns which weights they are, in words.

    A network without time conditioning, deployed or of public weights, replaces the model.
    """
    if checkpoint is None:
        _use_plain(runner, args.checkpoint)
        return f'of the network in {args.checkpoint}'
    try:
        (checkpoint.online() if args.online_weights else checkpoint).load_into(runner.restorer)
    except CheckpointError as error:
        if checkpoint.meta.is_ours:
            raise
        try:
            _use_plain(runner, checkpoint)
        except ValueError:  # they are of no public network either
            raise error from None
        return f'of the public network in {args.checkpoint}, which has no time steps'
    warning = checkpoint.warning(runner.test_dataloader.dataset.tasks)
    if warning and is_main_process():
        print(warning, flush=True)
    return _weights(checkpoint, args.online_weights)


def _use_plain(runner: Any, source: str | Checkpoint) -> None:
    """Replaces the model by a network without time conditioning.

    Raises:
        ValueError: the data has a task that it was not deployed for.
    """
    settings = {k: getattr(runner.restorer, k) for k in ('tile', 'tile_overlap', 'ensemble')}
    restorer = load_restorer(source, **settings)
    if isinstance(restorer.backbone, DeployedBackbone) and restorer.timesteps.fixed is None:
        for task in runner.test_dataloader.dataset.tasks:
            if task != CLEAN:
                restorer.backbone.require(task, None)
    runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), restorer)


def _write_summary(
    path: Path,
    config: Config,
    checkpoint: Checkpoint | None,
    means: list[dict[str, Any]],
    steps: dict[str, int],
    images: list[Path],
    decay: float | None,
) -> None:
    meta = checkpoint.meta if checkpoint else CheckpointMeta()
    write_summary(
        path,
        rows=means,
        timesteps={task: {'t_mat': t} for task, t in steps.items()},
        protocol=config.test_evaluator.protocol,
        precision=meta.precision if meta.is_ours else config.get('precision', 'fp32'),
        seed=meta.seed,
        commit=code_version(),
        config_hash=config_hash(config.to_dict()),
        images=images,
        ema_decay=decay,
        config=checkpoint.config if checkpoint and meta.config_json else None,
    )


def _steps(restorer: Restorer, rows: list[dict[str, Any]]) -> dict[str, int]:
    """The time step of each task, unless the network has no time conditioning."""
    backbone = restorer.backbone
    if isinstance(backbone, DeployedBackbone) and backbone.network.step.t is None:
        return {}
    return {row['task']: row['t'] for row in rows}


def _weights(checkpoint: Checkpoint, online: bool) -> str:
    """Which weights of a checkpoint were tested."""
    if not checkpoint.meta.is_ours:
        return 'of another program, with the time steps of the config'
    if checkpoint.meta.ema_decay and not online:
        said = f'averaged (EMA, decay {checkpoint.meta.ema_decay})'
    else:  # only checkpoints of a run have the state of an optimizer
        said = 'of the last update' if 'optimizer' in checkpoint.content else 'as the file has them'
    return f'{said}, only pre-trained' if checkpoint.pretraining_warning else said


def _test_blind(runner: Any) -> list[dict[str, Any]]:
    """The rows of a second, blind test; empty without a degradation classifier."""
    restorer = runner.restorer
    if restorer.classifier is None or restorer.inference != 'task':
        return []
    restorer.set_inference('predict')
    runner.test()
    return runner.test_evaluator.metrics[0].rows
