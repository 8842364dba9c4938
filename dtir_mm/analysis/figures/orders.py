"""Incremental training in several orders of the tasks, as in Figure 5 of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from statistics import fmean

from dtir_mm.analysis.config_text import parse_config
from dtir_mm.analysis.figures.style import Drawn, legend, line_style, panels
from dtir_mm.analysis.figures.trained_settings import other_differences
from dtir_mm.analysis.report.methods import SAME_INPUT
from dtir_mm.analysis.run_files import Forgetting, RunFiles, Training
from dtir_mm.engine.hooks.incremental_task_scheduler_hook import TABLE_FILE

_ORDER = 'default_hooks.incremental_tasks.order'


@dataclass(frozen=True)
class Stage:
    """The end of a stage: number of tasks that have joined, mean PSNR in dB of these, and of all.

    The means are over tasks, on validation images.
    """

    joined: int
    psnr_joined: float
    psnr_all: float


def stages(table: Forgetting) -> list[Stage]:
    """The stages of a table of forgetting that have ended."""
    return [
        Stage(len(joined), fmean(psnr[task] for task in joined), fmean(psnr.values()))
        for joined, psnr in table.stages
    ]


def incremental_runs(trainings: Sequence[Training]) -> dict[str, tuple[Training, Forgetting]]:
    """Runs with a table of forgetting, by the label of their line.

    Raises:
        ValueError: there is none, their tasks differ, or they were validated on other images.
    """
    runs = {
        f'{training.name}: {table.order[0]} first, {table.order[-1]} last': (training, table)
        for training in trainings
        if (table := training.forgetting)
    }
    if not runs:
        raise ValueError(
            f'the folders have no run of incremental training that was validated after each stage '
            f'({TABLE_FILE})'
        )
    (name, (first, reference)), *others = runs.items()
    for other, (training, table) in others:
        if set(table.order) != set(reference.order):
            raise ValueError(
                f'runs on other tasks cannot be compared: {", ".join(sorted(reference.order))} '
                f'({name}) and {", ".join(sorted(table.order))} ({other})'
            )
        for task in table.order:
            if abs(_input_psnr(training, task) - _input_psnr(first, task)) > SAME_INPUT:
                raise ValueError(
                    f'{training.name} and {first.name} validated {task} on other images, or by '
                    f'another protocol, and cannot be compared'
                )
    return runs


def _input_psnr(training: Training, task: str) -> float:
    """Mean PSNR in dB of a task's degraded validation images; nan if it was not logged.

    As in the table of forgetting, those are the source images if there are any.
    """
    names = (f'{task}/{domain}/input_psnr' for domain in ('source', 'target'))
    return next((training.series[name][-1][1] for name in names if name in training.series), nan)


def _notes(trainings: Sequence[Training]) -> list[str]:
    """In which settings besides the order runs differ, and which could not be compared."""
    configs, notes = {}, []
    for training in trainings:
        try:
            configs[training.name] = parse_config(training.log.config)
        except ValueError as error:
            notes.append(f'vis_data/config.py of {training.name} is not compared: {error}')
    return other_differences(_ORDER, configs) + notes


def order_figure(runs: RunFiles) -> Drawn:
    """A line per run: mean PSNR of the tasks that have joined, and of all, stage by stage."""
    from matplotlib.ticker import MaxNLocator

    titles = ['tasks that have joined', 'all tasks']
    figure, (of_joined, of_all) = panels(titles, 3.4, 3.0)
    found = incremental_runs(runs.trainings)
    for i, (label, (_, table)) in enumerate(found.items()):
        ended = stages(table)
        joined = [stage.joined for stage in ended]
        style = line_style(i) | {'markersize': 4}
        of_joined.plot(joined, [s.psnr_joined for s in ended], label=label, **style)
        of_all.plot(joined, [s.psnr_all for s in ended], label=label, **style)
    for axis in (of_joined, of_all):
        axis.set(xlabel='number of tasks that have joined', ylabel='mean PSNR in dB')
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(color='0.9')
    legend(figure, 1)
    return Drawn(figure, _notes([training for training, _ in found.values()]))
