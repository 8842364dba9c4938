"""Time-sequential incremental training: tasks join in order of their time steps (Alg. 4, 5)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from dtir_mm.engine.task_mixture_sampler import TaskMixtureSampler
from dtir_mm.engine.task_schedule import TaskSchedule, task_order
from dtir_mm.evaluation.restoration_metric import RestorationMetric
from dtir_mm.files import write_text
from dtir_mm.json_files import read_json
from dtir_mm.registry import HOOKS

TABLE_FILE = 'forgetting.json'


@HOOKS.register_module()
class IncrementalTaskSchedulerHook(Hook):
    """Splits a run into stages of equal length, in which one task after another joins.

    The stage is a function of the iteration, so a run goes on within any stage. At a hand-over the
    optimiser forgets its moments, and other hooks learn of the new tasks by ``before_stage``. A
    learning rate that restarts with each stage is the config's ``CosineRestartLR``. With validation
    at each stage's end (``train_cfg.val_interval``) the run ends in a table of forgetting: each
    task's PSNR after each stage, kept in ``forgetting.json``.

    Args:
        order: see ``task_order``; "asc" is the paper's.
        data: see ``TaskSchedule``; "cumulative" follows Fig. 5.
        fresh_optimizer: clear the optimiser's state at a hand-over, as PIGWM does for each task.

    Raises:
        TypeError: the training data is not sampled by ``TaskMixtureSampler``.
        ValueError: see ``task_order`` and ``TaskSchedule``; or validation leaves a task out.
    """

    priority = 'ABOVE_NORMAL'  # what the others do before training follows from the stage

    def __init__(
        self,
        order: str | Sequence[str] = 'asc',
        data: str = 'cumulative',
        fresh_optimizer: bool = True,
    ) -> None:
        self.order = order
        self.data = data
        self.fresh_optimizer = fresh_optimizer
        self.schedule: TaskSchedule | None = None

    def before_train(self, runner: Any) -> None:
        """Hands the schedule to the sampler, and measures a finished stage that was not yet."""
        sampler = runner.train_dataloader.sampler
        if not isinstance(sampler, TaskMixtureSampler):
            raise TypeError(
                'IncrementalTaskSchedulerHook needs train_dataloader.dataset of type '
                '"TaskMixtureDataset" and train_dataloader.sampler=dict(type="TaskMixtureSampler")'
            )
        tasks = runner.train_dataloader.dataset.tasks
        steps = {task: runner.restorer.timesteps[task] for task in tasks}
        order = tuple(task_order(steps, self.order, runner.seed))
        self.schedule = TaskSchedule(order, self.data, runner.max_iters)
        sampler.schedule = self.schedule
        self._table = Path(runner.work_dir) / TABLE_FILE
        named = ', '.join(f'{task} (t={steps[task]})' for task in order)
        runner.logger.info(
            f'{self.schedule.num_stages} stages of {self.schedule.stage_length} updates, '
            f'{self.data}: {named}'
        )
        self._require_validation(runner)
        self._measured = self._read(runner.iter)
        ended = runner.iter > 0 and runner.iter % self.schedule.stage_length == 0
        if ended and runner.iter not in self._measured and runner.val_loop is not None:
            runner.val_loop.run()

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """The hand-over, in front of a stage's first update."""
        if not batch_idx or batch_idx % self.schedule.stage_length:
            return
        self._report_routing(runner)
        tasks = list(self.schedule.weights(batch_idx))
        number = self.schedule.stage_of(batch_idx) + 1
        runner.logger.info(f'stage {number} of {self.schedule.num_stages}: {", ".join(tasks)}')
        if self.fresh_optimizer:
            runner.optim_wrapper.optimizer.state.clear()
        runner.call_hook('before_stage', tasks=tasks)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Notes every task's PSNR, where a stage has just ended."""
        if self.schedule is None or runner.iter % self.schedule.stage_length:
            return
        self._measured[runner.iter] = {
            task: _psnr_of(task, metrics) for task in self.schedule.order
        }
        if is_main_process():
            rows = [{'iter': iteration, 'psnr': psnr} for iteration, psnr in self._measured.items()]
            content = {'order': self.schedule.order, 'data': self.data, 'rows': rows}
            write_text(self._table, json.dumps(content, indent=1) + '\n')

    def after_train(self, runner: Any) -> None:
        """Shows the table, and what became of the experts."""
        self._report_routing(runner)
        if self._measured:
            table = forgetting_table(self.schedule, self._measured)
            runner.logger.info(f'PSNR of each task after each stage ({self._table}):\n{table}')

    def _require_validation(self, runner: Any) -> None:
        """Fails now rather than at the end of a stage, for the want of a figure in the table."""
        if runner.val_loop is None:
            return
        if not any(isinstance(m, RestorationMetric) for m in runner.val_loop.evaluator.metrics):
            raise ValueError(
                'val_evaluator needs a RestorationMetric, whose PSNR the table of forgetting shows'
            )
        unseen = set(self.schedule.order) - set(runner.val_loop.dataloader.dataset.tasks)
        if unseen:
            raise ValueError(
                f'val_dataloader has no images of {", ".join(sorted(unseen))}, which the table of '
                f'forgetting needs; add them, or set val_dataloader=None with val_cfg=None and '
                f'val_evaluator=None'
            )

    def _report_routing(self, runner: Any) -> None:
        """Which experts no task's time step uses any more."""
        adapters = runner.restorer.backbone.adapters
        if adapters is None or adapters.router_input != 't':
            return
        steps = [runner.restorer.timesteps[task] for task in self.schedule.order]
        dead = adapters.dead_experts(torch.tensor(steps, device=adapters.prompt.table.device))
        named = [f'{site}: {experts}' for site, experts in dead.items() if experts]
        runner.logger.info(f'experts that no task uses: {"; ".join(named) or "none"}')

    def _read(self, iteration: int) -> dict[int, dict[str, float]]:
        """What a run that is resumed at an iteration had measured."""
        if not iteration or not self._table.is_file():
            return {}
        rows = read_json(self._table)['rows']
        return {row['iter']: row['psnr'] for row in rows if row['iter'] <= iteration}


def _psnr_of(task: str, metrics: dict[str, float]) -> float:
    """On source severities; where a task is validated on target ones alone, on those."""
    names = [f'{task}/{domain}/psnr' for domain in ('source', 'target')]
    return next(metrics[name] for name in names if name in metrics)


def forgetting_table(schedule: TaskSchedule, measured: dict[int, dict[str, float]]) -> str:
    """PSNR in dB of every task (columns, in order of joining) after every stage (rows).

    Tasks that have not joined yet stand in brackets. The last row, what was lost since the best
    stage from joining on (0: nothing), is the forgetting of Chaudhry et al. (2018).
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
