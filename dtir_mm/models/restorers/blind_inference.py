"""Blind inference: the time step for an image of unknown degradation."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dtir_mm.models.finite import require_finite_output
from dtir_mm.models.restorers.generative_consistency import most_consistent

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

INFERENCES = ('task', 'predict', 'try_all')


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
def find_steps(restorer: 'Restorer', degraded: Tensor) -> list[int]:
    """The time step of each image (B, 3, H, W) in the model's range; 0 for a clean one.

    Raises:
        ValueError: ``restorer.inference`` is "task", which is non-blind.
        NotFiniteError: the classifier's logits hold NaN or infinity.
    """
    if type(restorer.inference) is int:
        return [restorer.inference] * len(degraded)
    if restorer.inference == 'predict':
        classifier, signed = restorer.classifier, restorer.image_range.to_signed(degraded)
        assert classifier is not None, 'checked by require_inference'
        logits = classifier(signed)
        require_finite_output(classifier, logits, lambda: classifier(signed))
        classes = [classifier.classes[i] for i in logits.argmax(1)]
        return [restorer.timesteps[name] for name in classes]
    if restorer.inference == 'try_all':
        fixed, by_task = restorer.timesteps.fixed, restorer.timesteps.by_task
        steps = sorted(set(by_task.values())) if fixed is None else [fixed]
        return most_consistent(restorer, degraded, steps)
    raise ValueError('inference="task" needs the task; set "predict" or "try_all" instead')
