"""Time-sequential incremental training: tasks join in order of their time steps (Alg. 4, 5)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from dtir_mm.engine.task_schedule import TaskSchedule, task_order
from dtir_mm.evaluation.restoration_metric import RestorationMetric
from dtir_mm.files import write_text
from dtir_mm.json_files import read_json
from dtir_mm.registry import HOOKS

TABLE_FILE = 'forgetting.json'


@HOOKS.register_module()
class IncrementalTaskSchedulerHook(Hook):
    """Splits a run into stages of equal length, in which one task after another joins.

    It sets the training loop's schedule (``IterationTrainLoop.schedule``), and clears the
    optimiser's moments before each stage; the config's ``CosineRestartLR`` restarts the learning
    rate. With validation at the end of each stage (``train_cfg.val_interval``) the run ends with a
    table of forgetting: each task's PSNR after each stage, kept in ``forgetting.json``.

    Args:
        order: see ``task_order``; "asc" is the paper's.
        data: see ``TaskSchedule``; "cumulative" follows Fig. 5.
        fresh_optimizer: clear the optimiser's state before each stage, as PIGWM does for each task.

    Raises:
        TypeError: the sampler is not a ``TaskMixtureSampler``.
        ValueError: see ``task_order`` and ``TaskSchedule``; or validation leaves out a task.
    """

    priority = 'ABOVE_NORMAL'  # other hooks read the schedule before training

    def __init__(
        self,
        order: str | Sequence[str] = 'asc',
        data: str = 'cumulative',
        fresh_optimizer: bool = True,
    ) -> None:
        self.order = order
        self.data = data
        self.fresh_optimizer = fresh_optimizer
        self._measured: dict[int, dict[str, float]] = {}  # PSNR by task, after an iteration
        self._table: Path | None = None  # set by training

    def before_train(self, runner: Any) -> None:
        """Sets the schedule, and validates a finished stage unless that was done before."""
        steps = {task: runner.restorer.timesteps[task] for task in runner.train_loop.schedule.order}
        order = tuple(task_order(steps, self.order, runner.seed))
        schedule = TaskSchedule(order, self.data, runner.max_iters)
        runner.train_loop.follow(schedule)
        named = ', '.join(f'{task} (t={steps[task]})' for task in order)
        runner.logger.info(
            f'{schedule.num_stages} stages of {schedule.stage_length} updates, {self.data}: {named}'
        )
        _require_validation(runner, order)
        self._table = Path(runner.work_dir) / TABLE_FILE
        self._measured = _read(self._table, runner.iter)
        if runner.iter not in self._measured and schedule.begins_at(runner.iter):
            if runner.val_loop is not None:
                runner.val_loop.run()

    def before_stage(self, runner: Any, tasks: Sequence[str]) -> None:
        """Clears the optimiser's moments before the first update of a stage."""
        _report_routing(runner)
        schedule = runner.train_loop.schedule
        number = schedule.stage_of(runner.iter) + 1
        runner.logger.info(f'stage {number} of {schedule.num_stages}: {", ".join(tasks)}')
        if self.fresh_optimizer:
            runner.optim_wrapper.optimizer.state.clear()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Records every task's PSNR at the end of a stage."""
        if self._table is None or metrics is None:
            return
        schedule = runner.train_loop.schedule
        if not schedule.begins_at(runner.iter):
            return
        self._measured[runner.iter] = {task: _psnr_of(task, metrics) for task in schedule.order}
        if is_main_process():
            rows = [{'iter': iteration, 'psnr': psnr} for iteration, psnr in self._measured.items()]
            content = {
                'order': schedule.order,
                'data': self.data,
                'max_iters': schedule.max_iters,
                'rows': rows,
            }
            write_text(self._table, json.dumps(content, indent=1) + '\n')

    def after_train(self, runner: Any) -> None:
        """Logs the table, and which experts are unused."""
        _report_routing(runner)
        if self._measured:
            table = forgetting_table(runner.train_loop.schedule, self._measured)
            runner.logger.info(f'PSNR of each task after each stage ({self._table}):\n{table}')


def _require_validation(runner: Any, tasks: Sequence[str]) -> None:
    """Raises ValueError if validation lacks what the table of forgetting shows."""
    if runner.val_loop is None:
        return
    if not any(isinstance(m, RestorationMetric) for m in runner.val_loop.evaluator.metrics):
        raise ValueError(
            'val_evaluator needs a RestorationMetric, whose PSNR the table of forgetting shows'
        )
    unseen = set(tasks) - set(runner.val_loop.dataloader.dataset.tasks)
    if unseen:
        raise ValueError(
            f'val_dataloader has no images of {", ".join(sorted(unseen))}, which the table of '
            f'forgetting needs; add them, or set val_dataloader=None with val_cfg=None and '
            f'val_evaluator=None'
        )


def _report_routing(runner: Any) -> None:
    """Logs which experts no task's time step selects any more."""
    adapters = runner.restorer.backbone.adapters
    if adapters is None or adapters.router_input != 't':
        return
    steps = [runner.restorer.timesteps[task] for task in runner.train_loop.schedule.order]
    unused = adapters.dead_experts(torch.tensor(steps, device=adapters.prompt.table.device))
    named = [f'{site}: {experts}' for site, experts in unused.items() if experts]
    runner.logger.info(f'experts that no task uses: {"; ".join(named) or "none"}')


def _read(table: Path, iteration: int) -> dict[int, dict[str, float]]:
    """What a run resumed at an iteration had measured."""
    if not iteration or not table.is_file():
        return {}
    rows = read_json(table)['rows']
    return {row['iter']: row['psnr'] for row in rows if row['iter'] <= iteration}


def _psnr_of(task: str, metrics: dict[str, float]) -> float:
    """PSNR on source severities, or on target ones if those are not validated."""
    names = [f'{task}/{domain}/psnr' for domain in ('source', 'target')]
    return next(metrics[name] for name in names if name in metrics)


def forgetting_table(schedule: TaskSchedule, measured: dict[int, dict[str, float]]) -> str:
    """PSNR in dB of every task (columns, in order of joining) after every stage (rows).

    Tasks that have not joined yet are in parentheses. The last row is forgetting (Chaudhry et al.,
    2018): the loss in PSNR since the task's best stage after joining.
    """
    width = max(10, *(len(task) for task in schedule.order)) + 1
    lines = [f'{"stage":>9}' + ''.join(f'{task:>{width}}' for task in schedule.order)]
    trained: dict[str, list[float]] = {task: [] for task in schedule.order}
    for iteration, psnr in sorted(measured.items()):
        joined = schedule.joined(iteration - 1)
        cells = []
        for task in schedule.order:
            if task in joined:
                trained[task].append(psnr[task])
            figure = f'{psnr[task]:.2f}' if task in joined else f'({psnr[task]:.2f})'
            cells.append(f'{figure:>{width}}')
        lines.append(f'{schedule.stage_of(iteration - 1) + 1:>9}' + ''.join(cells))
    lost = [max(values) - values[-1] if values else 0.0 for values in trained.values()]
    lines.append(f'{"lost":>9}' + ''.join(f'{value:>{width}.2f}' for value in lost))
    return '\n'.join(lines)
