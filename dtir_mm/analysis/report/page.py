"""The report of runs: a single HTML page without outside requests."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from dtir_mm.analysis.report.charts import Chart, matching_chart, training_charts
from dtir_mm.analysis.report.examples import read_examples
from dtir_mm.analysis.report.methods import named_methods, summary_rows
from dtir_mm.analysis.report.tables import DECIMALS, TITLES, heat_map, image_rows, summary_tables
from dtir_mm.analysis.run_files import Evaluation, RunFiles, Training, read_runs
from dtir_mm.analysis.summary import verdict
from dtir_mm.files import require_new, write_text
from dtir_mm.matching.timestep_match import TimestepMatch, describe_match

MAX_BYTES = 15_000_000
HEADING = 'Report of dtir_mm'  # by which a page is known
_CAP = 100.0  # dB of identical images
_TEMPLATES = files('dtir_mm.analysis.report') / 'templates'


def write_report(folders: Sequence[str | Path], out: str | Path, overwrite: bool = False) -> Path:
    """Writes ``index.html``, a page of everything that runs and tests wrote.

    Args:
        folders: work directories of training, output folders of tests, or folders of these.
        out: the folder of the page; created if missing.
        overwrite: replace an earlier page.

    Returns:
        The file.

    Raises:
        FileNotFoundError: there is no such folder.
        NotADirectoryError: it is a file.
        ValueError: see ``read_runs`` and ``summary_rows``; or the page exists (to be overwritten,
            it must be a report), or would be larger than 15 MB without any image.
    """
    page = Path(out) / 'index.html'
    if Path(out).is_file():
        raise ValueError(f'{out} is a file: the page needs a folder')
    require_new(page, overwrite)
    if page.is_file() and HEADING not in page.read_text(encoding='utf-8', errors='replace'):
        raise ValueError(f'{page} is not a report of dtir-mm, so it is kept: name another folder')
    runs = read_runs(folders)
    methods = named_methods(runs.evaluations)
    rows = summary_rows(methods)
    title = ', '.join(Path(folder).resolve().name for folder in folders)
    context = {
        'title': title,
        'tables': summary_tables(rows, methods),
        'verdict': verdict(rows).splitlines(),
        'images': image_rows(methods),
        'matches': _matches(runs),
        'chart_groups': training_charts(runs.trainings),
        'forgetting': [
            (training.name, training.forgetting, heat_map(training.forgetting))
            for training in runs.trainings
            if training.forgetting
        ],
        'trainings': runs.trainings,
        'tests': runs.evaluations,
        'messages': _messages(runs),
        'perfect': any(row['psnr'] is not None and row['psnr'] >= _CAP for row in rows),
        'heading': HEADING,
        'decimals': DECIMALS,
        'titles': TITLES,
    }
    page.parent.mkdir(parents=True, exist_ok=True)
    every = read_examples(methods)
    examples = every.within(MAX_BYTES)
    text = render(context | {'examples': examples})
    while (excess := len(text.encode()) - MAX_BYTES) > 0:  # the text around images counts, too
        if not examples.shown:
            raise ValueError(f'a report of {title} would be larger than 15 MB: name fewer folders')
        examples = every.within(examples.weight - excess)
        text = render(context | {'examples': examples})
    write_text(page, text)
    return page


def render(context: dict[str, Any]) -> str:
    """The page; all texts from runs are escaped, and its policy lets no other script run."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def source(name: str) -> str:
        return (_TEMPLATES / name).read_text(encoding='utf-8')

    environment = Environment(
        loader=FunctionLoader(source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = source('report.js')
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template('report.html')
    return page.render(context, script=script, script_hash=digest, style=source('report.css'))


def _messages(runs: RunFiles) -> list[tuple[tuple[str, ...], list[tuple[str, str, int]]]]:
    """Level, text and count of each message, by the names of the runs that logged it."""
    logged: dict[tuple[str, str], dict[str, int]] = {}
    every: list[Training | Evaluation] = [*runs.trainings, *runs.evaluations]
    for run in every:
        for message, count in run.log.messages.items():
            logged.setdefault(message, {})[run.name] = count
    found: dict[tuple[str, ...], list[tuple[str, str, int]]] = {}
    for (level, text), counts in logged.items():
        found.setdefault(tuple(counts), []).append((level, text, max(counts.values())))
    return list(found.items())


def _matches(runs: RunFiles) -> dict[str, list[tuple[str, str, Chart | None]]]:
    """By file of time steps, its tasks, each in words and as a chart, if it has a curve."""

    def shown(task: str, match: TimestepMatch) -> tuple[str, str, Chart | None]:
        chart = matching_chart(task, match) if match.curve else None
        return task, describe_match(match.to_json()), chart

    return {
        name: [shown(task, match) for task, match in matches.items()]
        for name, matches in runs.matches.items()
    }
