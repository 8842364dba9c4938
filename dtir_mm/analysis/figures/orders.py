"""Incremental training in several orders of the tasks, as in Figure 5 of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from dtir_mm.analysis.figures.style import Drawn, legend, line_style, panels
from dtir_mm.analysis.run_files import Forgetting, RunFiles, Training
from dtir_mm.engine.hooks.incremental_task_scheduler_hook import TABLE_FILE


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


def order_tables(trainings: Sequence[Training]) -> dict[str, Forgetting]:
    """The tables of forgetting by the label of their line.

    Raises:
        ValueError: there is none, or their tasks differ.
    """
    tables = {
        f'{training.name}: {training.forgetting.order[0]} first, '
        f'{training.forgetting.order[-1]} last': training.forgetting
        for training in trainings
        if training.forgetting
    }
    if not tables:
        raise ValueError(
            f'the folders have no run of incremental training that was validated after each stage '
            f'({TABLE_FILE})'
        )
    (name, first), *others = tables.items()
    for other, table in others:
        if set(table.order) != set(first.order):
            raise ValueError(
                f'runs on other tasks cannot be compared: {", ".join(sorted(first.order))} '
                f'({name}) and {", ".join(sorted(table.order))} ({other})'
            )
    return tables


def order_figure(runs: RunFiles) -> Drawn:
    """A line per run: mean PSNR of the tasks that have joined, and of all, stage by stage."""
    from matplotlib.ticker import MaxNLocator

    titles = ['tasks that have joined', 'all tasks']
    figure, (of_joined, of_all) = panels(titles, 3.4, 3.0)
    for i, (label, table) in enumerate(order_tables(runs.trainings).items()):
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
    return Drawn(figure)
