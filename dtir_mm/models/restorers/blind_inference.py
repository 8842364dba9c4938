"""Blind inference: the time step for an image of unknown degradation."""

from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dtir_mm.models.finite import require_finite_output
from dtir_mm.models.restorers.generative_consistency import most_consistent
from dtir_mm.models.restorers.task_timesteps import BLIND, CLEAN
from dtir_mm.models.restorers.tiling import Part

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

INFERENCES = ('task', 'predict', 'try_all')
UNSURE = 'unsure'
# Of a large image, the classifier sees a grid of at most 4 x 4 parts of 288 px.
_PARTS, _SIDE = 4, 288


@dataclass(frozen=True)
class Prediction:
    """How an image of unknown degradation is restored.

    Args:
        task: the predicted degradation, "clean", or "unsure"; None if t was not found by a
            classifier.
        probability: of the most probable class, in [0, 1]; None without a classifier.
        t: the time step; 0 for an image that is clean, or may be.
    """

    task: str | None
    probability: float | None
    t: int


def require_inference(inference: str | int, num_steps: int, has_classifier: bool) -> None:
    """Raises ValueError unless ``inference`` is one of ``INFERENCES`` or a step in 0..T.

    "predict" requires a classifier.
    """
    if type(inference) is int:
        if not 0 <= inference <= num_steps:
            raise ValueError(f'inference={inference} must lie in 0..{num_steps}')
    elif inference not in INFERENCES:
        raise ValueError(
            f'inference={inference!r} must be one of {", ".join(INFERENCES)}, or a time step'
        )
    if inference == 'predict' and not has_classifier:
        raise ValueError('inference="predict" needs model.classifier, and weights for it')


@torch.no_grad()
def find_predictions(restorer: 'Restorer', part: Part, size: tuple[int, int]) -> list[Prediction]:
    """How to restore each image of height and width ``size``, which is read part by part.

    Parts are in the model's range.

    Raises:
        ValueError: ``restorer.inference`` is "task", which is non-blind.
        NotFiniteError: the classifier's logits hold NaN or infinity.
    """
    if restorer.inference == 'predict':
        return _classify(restorer, part, size)
    if restorer.inference == 'try_all':
        fixed, by_task = restorer.timesteps.fixed, restorer.timesteps.by_task
        steps = sorted(set(by_task.values())) if fixed is None else [fixed]
        found = most_consistent(restorer, part(0, size[0], 0, size[1]), steps)
        return [Prediction(None, None, t) for t in found]
    if isinstance(restorer.inference, int):
        return [Prediction(None, None, restorer.inference)] * len(part(0, 1, 0, 1))
    raise ValueError('inference="task" needs the task; set "predict" or "try_all" instead')


def _classify(restorer: 'Restorer', part: Part, size: tuple[int, int]) -> list[Prediction]:
    classifier, to_signed = restorer.classifier, restorer.image_range.to_signed
    assert classifier is not None, 'checked by require_inference'
    boxes = classified_parts(*size)

    def classify() -> Tensor:
        if len(boxes) == 1:
            return classifier(to_signed(part(*boxes[0])))
        return classifier.classify_parts(to_signed(part(*box)) for box in boxes)

    logits = classify()
    require_finite_output(classifier, logits, classify)
    return [_decided(restorer, row) for row in logits.softmax(1)]


def _decided(restorer: 'Restorer', probabilities: Tensor) -> Prediction:
    """How to restore an image with these probabilities of the classes, (classes,)."""
    classifier, timesteps = restorer.classifier, restorer.timesteps
    assert classifier is not None, 'checked by require_inference'
    task = classifier.classes[int(probabilities.argmax())]
    probability = float(probabilities.max())
    # An image that is probably clean is best left alone, however doubtful that is.
    if task == CLEAN or probability >= classifier.confidence or BLIND not in timesteps:
        return Prediction(task, probability, timesteps[task])
    degraded = 1 - float(probabilities[classifier.classes.index(CLEAN)])
    surely = degraded >= classifier.confidence
    return Prediction(UNSURE, probability, timesteps[BLIND if surely else CLEAN])


def classified_parts(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left, right of the parts of an image by which it is classified.

    The whole image, unless it has more pixels than a grid of parts, which reaches all borders.
    """
    if height * width <= (_PARTS * _SIDE) ** 2:
        return [(0, height, 0, width)]
    return [
        (*rows, *columns)
        for rows, columns in product(_evenly_spaced(height), _evenly_spaced(width))
    ]


def _evenly_spaced(length: int) -> list[tuple[int, int]]:
    """Starts and ends of up to four spans of 288 pixels, or of one that is shorter."""
    count, side = min(_PARTS, ceil(length / _SIDE)), min(_SIDE, length)
    starts = [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]
    return [(start, start + side) for start in starts]
