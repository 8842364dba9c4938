"""Trains and tests one cell, in a process of its own."""

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from dtir_mm.analysis.summary import git_commit
from dtir_mm.apis.interpolation import interpolate_weights
from dtir_mm.apis.matching import match_timesteps
from dtir_mm.engine.checkpoint import Checkpoint, checkpoints_in, load_checkpoint
from dtir_mm.matching.table4 import PAPER_TIMESTEPS
from dtir_mm.registry import RUNNERS
from evidence.configs import PROTOCOL, config_of, folder_of, hash_of, is_done
from evidence.curves import curve_of, last_scalars, plateau_of, thinned
from evidence.gradients import GradientSizesHook
from evidence.matrix import Cell, all_cells
from evidence.results import OUTPUT, RESULTS, ROOT, images_of, require_commit, write_result
from evidence.studies import Gradients, Interpolation, Matching, Pretraining

_CROPS = {'num_images': 64, 'size': 32}  # the size of the patches that networks are trained on


def run_cell(cell: Cell, photos: Path, work: Path, output: Path) -> None:
    """Runs a cell, or continues it, and writes its result; logs go to its folder in ``work``.

    A result of the same config stays: the cell was run again for its weights.

    Args:
        cell: the cell; those it needs must have been run in ``work``.
        photos: folder of ``tools/prepare_photos.py``.
        work: folder of logs and checkpoints.
        output: the JSON file.

    Raises:
        ValueError: the result would count, but files of the repository have been modified.
    """
    _end_with_parent()
    os.nice(19 - os.nice(0))
    torch.set_num_threads(1)
    folder = folder_of(cell, work)
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / 'log.txt', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.stdout.flush()
    for stream in (1, 2):
        os.dup2(log, stream)
    # Before the run: later changes do not affect it.
    commit = require_commit() if output.parent == RESULTS else git_commit(ROOT, OUTPUT)
    started = time.perf_counter(), time.process_time()
    measured = _how(cell)(cell, photos, work)
    if is_done(cell, output.parent):
        return
    write_result(
        output,
        {
            'cell': cell.key,
            'task': cell.task,
            'seed': cell.seed,
            'config_hash': hash_of(cell),
            'commit': commit,
            'protocol': PROTOCOL,
            'precision': 'fp32',
            'device': torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
            'torch': torch.__version__,
            'seconds': round(time.perf_counter() - started[0], 1),
            'cpu_seconds': round(time.process_time() - started[1], 1),
            **measured,
        },
    )


def _end_with_parent() -> None:
    """Ends this process with its parent, even if that is killed: the next call continues it."""

    def wait_for(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    if parent := parent_process():
        Thread(target=wait_for, args=(parent,), daemon=True).start()


def _how(cell: Cell) -> Callable[[Cell, Path, Path], dict[str, Any]]:
    if isinstance(cell.study, Matching):
        return _match
    if isinstance(cell.study, Gradients):
        return _measure_gradients
    return _interpolate if isinstance(cell.study, Interpolation) else _train


def _train(cell: Cell, photos: Path, work: Path) -> dict[str, Any]:
    """Trains, or continues training; tests unless it is a pre-training."""
    config = config_of(cell, photos)
    config.work_dir = str(folder_of(cell, work))
    config.resume = True
    if needed := _folders_needed(cell, work):
        config.load_from = str(needed[-1])
    runner = RUNNERS.build(config)
    resumed = bool(checkpoints_in(config.work_dir))
    runner.train()
    curve = curve_of(Path(config.work_dir), runner.restorer.step.objective.name)
    measured: dict[str, Any] = {
        'updates': runner.max_iters,
        'resumed': resumed,
        'curve': thinned(curve),
        'plateau': asdict(plateau_of(curve)),
        'last': last_scalars(Path(config.work_dir)),
    }
    if not isinstance(cell.study, Pretraining):
        measured['images'] = _tested(runner)
    for path in checkpoints_in(config.work_dir)[:-1]:
        path.unlink()
    return measured


def _interpolate(cell: Cell, photos: Path, work: Path) -> dict[str, Any]:
    """Tests weights between those of two other cells."""
    assert isinstance(cell.study, Interpolation)
    pretrained, finetuned = map(load_checkpoint, _folders_needed(cell, work))
    content = interpolate_weights(pretrained, finetuned, cell.study.share)
    config = config_of(cell, photos)
    config.work_dir = str(folder_of(cell, work))
    runner = RUNNERS.build(config)
    Checkpoint.of(content, finetuned.path).load_into(runner.restorer)
    return {'images': _tested(runner)}


def _measure_gradients(cell: Cell, photos: Path, work: Path) -> dict[str, Any]:
    """Measures the terms of the update at the last weights of another cell."""
    assert isinstance(cell.study, Gradients)
    pretrained, finetuned = _folders_needed(cell, work)
    config = config_of(cell, photos)
    config.work_dir = str(folder_of(cell, work))
    config.load_from = str(pretrained)
    config.default_hooks.checkpoint = None
    hook = GradientSizesHook(str(finetuned), cell.study.batches)
    runner = RUNNERS.build(config)
    runner.register_hook(hook)
    runner.train()
    return {'gradients': hook.measured}


def _match(cell: Cell, photos: Path, work: Path) -> dict[str, Any]:
    """Matches the ten degradations on training photographs."""
    assert isinstance(cell.study, Matching)
    matches = match_timesteps(
        _folders_needed(cell, work)[-1],
        list(PAPER_TIMESTEPS),
        photos / 'train',
        method=cell.study.method,
        fallback='found',
        shrink=0.5,
        seed=cell.seed,
        **_CROPS,
    )
    return {'matches': {task: match.to_json() for task, match in matches.items()}}


def _folders_needed(cell: Cell, work: Path) -> list[Path]:
    return [folder_of(all_cells()[key], work) for key in cell.needs]


def _tested(runner: Any) -> dict[str, Any]:
    runner.test()
    return images_of(runner.test_evaluator.metrics[0].rows)


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    instructions = torch.backends.cpu.get_cpu_capability()  # the same model name has had several
    return f'{names[0] if names else platform.processor()} with {instructions}, one thread'
