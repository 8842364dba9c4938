"""PSNR against a setting of training, as in Figures 3b to 3d, 4 and 8 of the paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dtir_mm.analysis.figures.scores import psnr_of_methods, require_tests
from dtir_mm.analysis.figures.style import Drawn, domain_title, legend, line_style, panels
from dtir_mm.analysis.figures.trained_settings import other_differences
from dtir_mm.analysis.run_files import Evaluation, RunFiles
from dtir_mm.analysis.summary import mean_rows
from dtir_mm.models.restorers.task_timesteps import CLEAN
from dtir_mm.names import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TIMESTEPS = 'model.timesteps'  # in a summary, the step of each task


@dataclass(frozen=True)
class Sweep:
    """A setting that runs may differ in.

    Args:
        key: of their configs.
        label: of the axis.
        ratios: whether the ratios of values count, as on a logarithmic axis.
        counts: whether values are counts, which only exist where there is a tick.
    """

    key: str
    label: str
    ratios: bool = False
    counts: bool = False


SWEEPS = {
    'timestep': Sweep(_TIMESTEPS, 'time step t'),
    'depth': Sweep('default_hooks.layer_wise_decay.fraction', 'share of depth trained to generate'),
    'share': Sweep('model.step.mixing.ratio', 'share of generative samples'),
    'lambda': Sweep(
        'model.step.regularizers.importance.weight', r'weight $\lambda$ of $L_\mathrm{reg}$',
        ratios=True,
    ),
    'decay': Sweep('default_hooks.layer_wise_decay.rate', 'decay rate a', ratios=True),
    'experts': Sweep('model.backbone.adapters.num_experts', r'experts $N_E$', counts=True),
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """What a test measured on a task and domain, and the value of the swept setting."""

    task: str
    domain: str
    value: float
    psnr: float
    test: Evaluation


def sweep_points(sweep: Sweep, tests: Sequence[Evaluation]) -> list[Point]:
    """A point per test, task and domain, in order of values; mean PSNR over images in dB.

    Raises:
        ValueError: there is no test, one does not state its config or has no such setting, all have
            the same value, or see ``summary_rows``.
    """
    require_tests(tests)
    psnr_of_methods(tests)  # raises if they measured other images
    points = [
        Point(row['task'], row['domain'], _value(sweep, test, row['task']), row['psnr'], test)
        for test in tests
        for row in mean_rows(test.rows[test.method], test.method)
        if row['task'] != CLEAN
    ]
    if all(len(values) < 2 for values in _values_by_task(points).values()):
        found = {f'{point.value:g} ({point.task}, {point.test.name})': None for point in points}
        raise ValueError(
            f'runs on a task must differ in {sweep.key}, but the values are {listed(list(found))}'
        )
    return sorted(points, key=lambda point: (point.domain, point.task, point.value))


def _values_by_task(points: Sequence[Point]) -> dict[str, set[float]]:
    values: dict[str, set[float]] = {}
    for point in points:
        values.setdefault(point.task, set()).add(point.value)
    return values


def _value(sweep: Sweep, test: Evaluation, task: str) -> float:
    config = _config(test)
    if sweep.key == _TIMESTEPS:
        return test.summary['timesteps'][task]['t_mat']
    value: Any = config
    for name in sweep.key.split('.'):
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(
            f'{test.folder}: {sweep.key} of its config is {value!r}, not a number: leave this test '
            f'out'
        )
    return value


def _config(test: Evaluation) -> dict[str, Any]:
    config = test.summary.get('config')
    if not isinstance(config, Mapping):
        raise ValueError(
            f'{test.folder / "summary.json"} does not have the config of training: repeat the test '
            f'with this version of dtir-mm test, of a checkpoint of dtir-mm train'
        )
    return dict(config)


def _other_differences(sweep: Sweep, points: Sequence[Point]) -> list[str]:
    """The lines of ``other_differences`` for the tests on each task."""
    configs: dict[str, dict[str, dict[str, Any]]] = {}
    for point in points:
        configs.setdefault(point.task, {})[point.test.name] = _config(point.test)
    lines = [line for tests in configs.values() for line in other_differences(sweep.key, tests)]
    return list(dict.fromkeys(lines))


def sweep_figure(sweep: Sweep, runs: RunFiles) -> Drawn:
    """A panel per domain and a line per task through the means; every run is a mark."""
    points = sweep_points(sweep, runs.evaluations)
    tasks = sorted({point.task for point in points})
    domains = sorted({point.domain for point in points})
    figure, axes = panels([domain_title(domain) for domain in domains], 3.4, 3.0)
    for axis, domain in zip(axes, domains, strict=True):
        for i, task in enumerate(tasks):
            if line := [p for p in points if (p.task, p.domain) == (task, domain)]:
                _draw_line(axis, line, i)
        axis.set(xlabel=sweep.label, ylabel='PSNR in dB')
        axis.grid(color='0.9')
        values = sorted({point.value for point in points})
        if sweep.ratios and values[0] > 0:  # a logarithmic axis cannot show 0
            axis.set_xscale('log')
            axis.set_xlabel(f'{sweep.label} (log scale)')
            _set_ticks(axis, values)
        elif sweep.counts:
            _set_ticks(axis, values)
    legend(figure, 4)
    return Drawn(figure, _other_differences(sweep, points))


def _draw_line(axis: 'Axes', points: Sequence[Point], index: int) -> None:
    style = line_style(index)
    by_value: dict[float, list[float]] = {}
    for point in points:
        by_value.setdefault(point.value, []).append(point.psnr)
    means = [fmean(values) for values in by_value.values()]
    axis.plot(list(by_value), means, label=points[0].task, **style, markersize=0)
    axis.plot(
        [point.value for point in points], [point.psnr for point in points],
        **style | {'linestyle': 'none'}, markersize=5, fillstyle='none',
    )  # fmt: skip


def _set_ticks(axis: 'Axes', values: Sequence[float]) -> None:
    axis.set_xticks(values, [f'{value:g}' for value in values])
    axis.set_xticks([], minor=True)
