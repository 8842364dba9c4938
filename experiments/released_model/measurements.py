"""Reads files of measurements, and computes what tables show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from cases import TASKS

from dtir_mm.json_files import read_json

FIGURES = {'psnr': 2, 'ssim': 3, 'lpips': 3}
"""Names of figures and their decimals in tables."""


class Measurements:
    """A file of ``evaluate.py`` or ``classical.py``.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.about: dict[str, Any] = read_json(path)
        self._cases = {(case['domain'], *case['tasks']): case for case in self.about.pop('cases')}

    def case(self, domain: str, *tasks: str) -> dict[str, Any] | None:
        """The photographs and figures of a case, if it was measured."""
        return self._cases.get((domain, *tasks))

    def keys(self, domain: str) -> list[tuple[str, ...]]:
        """The degradations of the cases of a domain, in order."""
        return [key[1:] for key in self._cases if key[0] == domain]

    def require_comparable(self, other: 'Measurements') -> None:
        """Raises ValueError unless cases of both have the same photographs and protocol."""
        mine, others = self.about['protocol'], other.about['protocol']
        if mine != others:
            raise ValueError(f'{self.path} is under protocol {mine}, {other.path} under {others}')
        for key in self._cases.keys() & other._cases.keys():
            if self._cases[key]['photos'] != other._cases[key]['photos']:
                raise ValueError(
                    f'{self.path} and {other.path} have other photographs of {", ".join(key)}'
                )


def mean(case: Mapping[str, Any] | None, method: str, figure: str = 'psnr') -> float | None:
    """The mean over photographs, or None if it was not measured."""
    if case is None or figure not in case.get(method, {}):
        return None
    return fmean(case[method][figure])


def cell(case: Mapping[str, Any] | None, method: str) -> str:
    """Mean figures, such as "29.08 / .812 / .120"; "-" if they were not measured."""
    return written([mean(case, method, figure) for figure in FIGURES])


def written(values: Sequence[float | None]) -> str:
    """Figures in the order of ``FIGURES``, without those that are None."""
    texts = [
        f'{value:.{decimals}f}'.removeprefix('0')
        for value, decimals in zip(values, FIGURES.values(), strict=True)
        if value is not None
    ]
    return ' / '.join(texts) or '-'


def found(case: Mapping[str, Any]) -> str:
    """The degradations that blind restoration decided on, the most frequent first."""
    decided = case.get('blind', {}).get('found')
    if decided is None:
        return '-'
    counts = sorted(Counter(decided).items(), key=lambda item: (-item[1], item[0]))
    return ', '.join(f'{task} {count}' for task, count in counts)


def beaten(
    ours: Measurements, method: str, others: Measurements, other: str, domain: str
) -> dict[str, bool] | None:
    """By task, whether a method has a higher mean PSNR than another; None if not measured."""
    pairs = {
        task: (mean(ours.case(domain, task), method), mean(others.case(domain, task), other))
        for task in TASKS
    }
    if any(None in pair for pair in pairs.values()):
        return None
    return {task: value > than for task, (value, than) in pairs.items()}
