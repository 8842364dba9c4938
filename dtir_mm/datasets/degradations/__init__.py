"""The ten synthetic degradations, one file each."""

import difflib

from dtir_mm.datasets.degradations.base import SEVERITIES, Degradation
from dtir_mm.datasets.degradations.rain import Rain

DEGRADATIONS: dict[str, type[Degradation]] = {degradation.task: degradation for degradation in (Rain,)}


def degradation_for(task: str, severity: str) -> Degradation:
    """The degradation of a task at a severity.

    Raises:
        ValueError: the task or the severity is unknown; the message lists the known ones.
    """
    if task not in DEGRADATIONS:
        close = difflib.get_close_matches(task, DEGRADATIONS, n=1)
        hint = f'; did you mean {close[0]!r}?' if close else ''
        raise ValueError(f'unknown task {task!r}: it must be one of {", ".join(DEGRADATIONS)}{hint}')
    return DEGRADATIONS[task](severity)


__all__ = ['DEGRADATIONS', 'SEVERITIES', 'Degradation', 'Rain', 'degradation_for']
