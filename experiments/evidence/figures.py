"""The figures of docs/evidence.md."""

from collections.abc import Mapping

from evidence.arms import COUNTS, STEPS, swept
from evidence.charts import Line, line_chart
from evidence.evaluation import Results, figures
from evidence.hypotheses import SOURCE, TARGET
from evidence.studies import PAIR

_CURVES = ('scratch', 'scratch_long', 'naive', 'released', 'preprint', 'practical')
_METHODS = {'scratch': 'from scratch', 'naive': 'naive', 'released': 'released'}
_ALL_PHOTOGRAPHS = 116


def figure_files(results: Results) -> dict[str, str]:
    """SVG texts by file name; only those for which there are results."""
    found: dict[str, str] = {}
    for task in PAIR:
        found |= _curve_chart(results, task)
        for domain in (SOURCE, TARGET):
            found |= _step_chart(results, task, domain)
            found |= _pair_chart(results, task, domain)
    return found


def _curve_chart(results: Results, task: str) -> dict[str, str]:
    lines = []
    for study in _CURVES:
        result = results.get(f'{study}_{task}_s0')
        if result is not None:  # relative to the input, since L1 and L1 + FFT differ in scale
            points = [(row[0], row[1] / row[2]) for row in result['curve'] if row[0] >= 100]
            lines.append(Line(study, points, study == 'scratch_long'))
    name = f'curves_{task}'
    title = f'{task}: content loss, seed 0'
    return _chart(name, title, 'update', 'relative to that of the input', lines)


def _step_chart(results: Results, task: str, domain: str) -> dict[str, str]:
    lines = [
        Line(_METHODS[method], _means(results, points, task, domain))
        for method in ('naive', 'released')
        for points in [{step: swept(method, task, step) for step in STEPS}]
    ]
    name = f'steps_{task}_{domain}'
    return _chart(name, f'{task}, {domain}: fine-tuned at t', 'time step t', 'PSNR, dB', lines)


def _pair_chart(results: Results, task: str, domain: str) -> dict[str, str]:
    lines = [
        Line(label, _means(results, points, task, domain))
        for method, label in _METHODS.items()
        for points in [
            {count or _ALL_PHOTOGRAPHS: f'{method}_{count or "all"}' for count in COUNTS}
        ]
    ]
    name = f'pairs_{task}_{domain}'
    return _chart(name, f'{task}, {domain}: number of pairs', 'pairs', 'PSNR, dB', lines)


def _means(
    results: Results, studies: Mapping[int, str], task: str, domain: str
) -> list[tuple[float, float]]:
    """The mean PSNR of studies over seeds and photographs, by their place on the x axis."""
    points = []
    for x, study in studies.items():
        found = figures(results, study, task, domain)
        if found:
            points.append((float(x), sum(v.mean() for v in found.values()) / len(found)))
    return points


def _chart(name: str, title: str, x: str, y: str, lines: list[Line]) -> dict[str, str]:
    drawn = [line for line in lines if len(line.points) > 1]
    return {f'{name}.svg': line_chart(title, x, y, drawn)} if drawn else {}
