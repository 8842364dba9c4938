"""The mean PSNR of tested methods."""

from collections.abc import Sequence

from dtir_mm.analysis.report.methods import named_methods, summary_rows
from dtir_mm.analysis.run_files import Evaluation
from dtir_mm.models.restorers.task_timesteps import CLEAN


def psnr_of_methods(evaluations: Sequence[Evaluation]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean PSNR in dB by domain, method ("input" first) and task, without clean images.

    Raises:
        ValueError: there is no test, or see ``summary_rows``.
    """
    require_tests(evaluations)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in summary_rows(named_methods(evaluations)):
        if row['task'] != CLEAN:
            methods = found.setdefault(row['domain'], {})
            methods.setdefault(row['method'], {})[row['task']] = row['psnr']
    return dict(sorted(found.items()))


def require_tests(evaluations: Sequence[Evaluation]) -> None:
    """Raises ValueError if there are no results of a test."""
    if not evaluations:
        raise ValueError('the folders have no results of dtir-mm test (images.csv, summary.json)')
