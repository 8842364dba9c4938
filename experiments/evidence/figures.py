"""The figures of docs/evidence.md."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evidence.arms import COUNTS, STEPS, swept
from evidence.charts import Line, line_chart
from evidence.evaluation import Results, figures, of_first_seeds
from evidence.hypotheses import SOURCE, TARGET
from evidence.studies import PAIR
from evidence.tables import DOMAINS

_CURVES = ('scratch', 'scratch_long', 'naive', 'released', 'preprint', 'practical')
_METHODS = {'scratch': 'from scratch', 'naive': 'naive', 'released': 'released'}
_TESTS = [(task, domain) for task in PAIR for domain in (SOURCE, TARGET)]


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Args:
        name: of its file, without ".svg".
        title: at its top, and its text where it cannot be seen.
        svg: its content.
    """

    name: str
    title: str
    svg: str


def all_figures(results: Results) -> list[Figure]:
    """Those for which there are results."""
    return curve_figures(results) + step_figures(results) + pair_figures(results)


def curve_figures(results: Results) -> list[Figure]:
    """Loss curves, by task."""
    return [figure for task in PAIR for figure in _curve_chart(results, task)]


def step_figures(results: Results) -> list[Figure]:
    """PSNR by the time step of fine-tuning, by task and test set, of three seeds."""
    results = of_first_seeds(results, 3)
    return [figure for test in _TESTS for figure in _step_chart(results, *test)]


def pair_figures(results: Results) -> list[Figure]:
    """PSNR by the number of pairs, by task and test set."""
    return [figure for test in _TESTS for figure in _pair_chart(results, *test)]


def _curve_chart(results: Results, task: str) -> list[Figure]:
    lines = []
    for study in _CURVES:
        result = results.get(f'{study}_{task}_s0')
        if result is not None:  # relative to the input, since L1 and L1 + FFT differ in scale
            points = [(row[0], row[1] / row[2]) for row in result['curve'] if row[0] >= 100]
            lines.append(Line(study, points, study == 'scratch_long'))
    title = f'{task}: content loss, seed 0'
    return _chart(f'curves_{task}', title, ('update', 'relative to that of the input'), lines)


def _step_chart(results: Results, task: str, domain: str) -> list[Figure]:
    def studies(method: str) -> list[tuple[float, str]]:
        return [(step, swept(method, task, step)) for step in STEPS]

    lines = [
        _line(results, _METHODS[method], studies(method), task, domain)
        for method in ('naive', 'released')
    ]
    shown = DOMAINS[domain]
    title = f'{task}, {shown}: fine-tuned at t'
    return _chart(f'steps_{task}_{shown}', title, ('time step t', 'PSNR, dB'), lines)


def _pair_chart(results: Results, task: str, domain: str) -> list[Figure]:
    lines = [
        _line(results, label, enumerate(f'{name}_{count}' for count in COUNTS), task, domain)
        for name, label in _METHODS.items()
    ]
    shown = DOMAINS[domain]
    title = f'{task}, {shown}: number of pairs'
    return _chart(f'pairs_{task}_{shown}', title, ('pairs', 'PSNR, dB'), lines, list(COUNTS))


def _line(
    results: Results, label: str, studies: Iterable[tuple[float, str]], task: str, domain: str
) -> Line:
    """The mean PSNR of studies over seeds and photographs at their x, and a dot for each seed."""
    points, dots = [], []
    for x, study in studies:
        seeds = [float(v.mean()) for v in figures(results, study, task, domain).values()]
        if seeds:
            points.append((x, sum(seeds) / len(seeds)))
            dots += [(x, seed) for seed in seeds]
    return Line(label, points, dots=dots)


def _chart(
    name: str, title: str, labels: tuple[str, str], lines: list[Line], names: Sequence[str] = ()
) -> list[Figure]:
    drawn = [line for line in lines if len(line.points) > 1]
    return [Figure(name, title, line_chart(title, *labels, drawn, names))] if drawn else []
