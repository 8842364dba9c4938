"""The tested methods of a report under unique names, and their rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dtir_mm.analysis.run_files import Evaluation
from dtir_mm.analysis.summary import METHODS, mean_rows

SAME_INPUT = 1e-3  # dB, far below what is printed; inputs that differ by more are other images


@dataclass(frozen=True)
class Method:
    """A method of one test: ``label`` is unique among tests of the same tasks."""

    label: str
    evaluation: Evaluation
    rows: list[dict[str, Any]]


def named_methods(evaluations: Sequence[Evaluation]) -> list[Method]:
    """All methods in the order of tables; the test's name is added to the names of several."""
    taken = Counter(
        (method, group) for test in evaluations for method in test.rows for group in test.groups
    )
    methods = [
        Method(
            f'{name} ({test.name.removesuffix("/test")})'
            if any(taken[name, g] > 1 for g in test.groups)
            else name,
            test,
            rows,
        )
        for test in evaluations
        for name, rows in test.rows.items()
    ]
    return sorted(methods, key=lambda method: place(method.label))


def place(label: str) -> int:
    """Where a method comes in tables."""
    return METHODS.index(label) if label in METHODS else len(METHODS)


def summary_rows(methods: Sequence[Method]) -> list[dict[str, Any]]:
    """The rows of a summary of all methods and the input; see ``mean_rows``.

    Raises:
        ValueError: tests of one task and domain measured other images, or measured differently.
    """
    inputs: dict[tuple[str, str], tuple[dict[str, Any], Method]] = {}
    rows = []
    for method in methods:
        for row in mean_rows(method.rows, 'input'):
            key = row['task'], row['domain']
            first, other = inputs.setdefault(key, (row, method))
            if first['n'] != row['n'] or abs(first['psnr'] - row['psnr']) > SAME_INPUT:
                tests = method.evaluation, other.evaluation
                counts = row['n'], first['n']
                how = (
                    f'on {counts[0]} and on {counts[1]} images'
                    if counts[0] != counts[1]
                    else 'on different images'
                    if tests[0].summary['protocol'] == tests[1].summary['protocol']
                    else f'by the protocols {tests[0].summary["protocol"]} and '
                    f'{tests[1].summary["protocol"]}'
                )
                raise ValueError(
                    f'{tests[0].name} and {tests[1].name} tested {" / ".join(key)} {how}, and '
                    f'cannot be compared: name them one at a time'
                )
        rows += mean_rows(method.rows, method.label)
    return [row for row, _ in inputs.values()] + rows
