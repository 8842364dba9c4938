"""The ten synthetic degradations, one file each."""

from dtir_mm.datasets.degradations.base import SEVERITIES, Degradation
from dtir_mm.datasets.degradations.blur import Blur
from dtir_mm.datasets.degradations.haze import Haze
from dtir_mm.datasets.degradations.inpainting import Inpainting
from dtir_mm.datasets.degradations.jpeg import Jpeg
from dtir_mm.datasets.degradations.low_light import LowLight
from dtir_mm.datasets.degradations.noise import Noise
from dtir_mm.datasets.degradations.rain import Rain
from dtir_mm.datasets.degradations.raindrop import Raindrop
from dtir_mm.datasets.degradations.shadow import Shadow
from dtir_mm.datasets.degradations.snow import Snow
from dtir_mm.typos import hint

_ALL = (Noise, Rain, Jpeg, Snow, Inpainting, Raindrop, Shadow, LowLight, Haze, Blur)
DEGRADATIONS: dict[str, type[Degradation]] = {degradation.task: degradation for degradation in _ALL}


def degradation_for(task: str, severity: str) -> Degradation:
    """The degradation of a task at a severity.

    Raises:
        ValueError: the task or the severity is unknown; the message lists the known ones.
    """
    if task not in DEGRADATIONS:
        raise ValueError(
            f'unknown task {task!r}: it must be one of {", ".join(DEGRADATIONS)}'
            f'{hint(task, DEGRADATIONS)}'
        )
    return DEGRADATIONS[task](severity)


__all__ = [
    'DEGRADATIONS',
    'SEVERITIES',
    'Blur',
    'Degradation',
    'Haze',
    'Inpainting',
    'Jpeg',
    'LowLight',
    'Noise',
    'Rain',
    'Raindrop',
    'Shadow',
    'Snow',
    'degradation_for',
]
