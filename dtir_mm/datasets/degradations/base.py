"""Base class of synthetic degradations: pure functions of image, severity and random numbers."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

SEVERITIES = ('source', 'target')


class Degradation(ABC):
    """A synthetic degradation, also usable as a transform.

    Args:
        severity: "source", for training, or "target", unseen in training, to measure
            generalization.

    Raises:
        ValueError: the severity is neither.
    """

    task: ClassVar[str]

    def __init__(self, severity: str = 'source') -> None:
        if severity not in SEVERITIES:
            raise ValueError(
                f'severity={severity!r} of {type(self).__name__} must be one of {SEVERITIES}'
            )
        self.severity = severity

    @abstractmethod
    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Degrades RGB uint8 (H, W, 3); random numbers come only from ``rng``."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds the degraded image, task and domain to ``results``."""
        results['degraded'] = self.degrade(results['clean'], results['rng'])
        results['task'] = self.task
        results['domain'] = self.severity
        return results


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Converts a float image in [0, 1] to uint8, clipped and rounded.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    if not np.isfinite(image).all():
        raise ValueError('a degradation gave NaN or infinity')
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)
