"""A first-order alternative to gradient orthogonality, at almost no cost."""

import torch
from torch import Tensor

from dtir_mm.models.gradients import scale_parts
from dtir_mm.models.regularizers.regularizer import Update
from dtir_mm.registry import MODELS


def conflict(generative: Tensor, restoration: Tensor) -> Tensor:
    """The correction (P,) that makes a conflicting generative gradient orthogonal to restoration.

    It is the negated projection onto the restoration gradient (P,), or zero if the two do not
    conflict: PCGrad (Yu et al., 2020), applied to the generative side only.
    """
    overlap = generative @ restoration
    if overlap >= 0:
        return torch.zeros_like(generative)
    return -overlap / restoration.square().sum() * restoration


@MODELS.register_module()
class GradientProjection:
    """Removes the part of the generative gradient that conflicts with restoration."""

    num_groups = 0
    second_order = False

    def is_due(self, update: Update) -> bool:
        """See ``Regularizer``: if a generative gradient is added, not only logged."""
        return update.added and update.counts['mixed'] > 0

    def gradient(self, update: Update) -> Tensor:
        """See ``Regularizer``; only in layers with generative gradients (layer-wise decay)."""
        reached = (update.layer_decay.gate > 0).float()
        restoration = scale_parts(update.main.clone(), reached, update.parameters)
        return conflict(update.mixed, restoration)
