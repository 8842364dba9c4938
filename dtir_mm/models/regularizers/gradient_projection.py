"""A first-order rival of gradient orthogonality, at nearly no cost."""

import torch
from torch import Tensor

from dtir_mm.models.gradients import scale_parts
from dtir_mm.models.regularizers.regularizer import Update
from dtir_mm.registry import MODELS


def conflict(generative: Tensor, restoration: Tensor) -> Tensor:
    """What of a gradient (P,) points against the restoration gradient (P,), negated: (P,).

    Added to the generative gradient, it leaves one that is orthogonal to restoration; zero where
    the two do not disagree. First order and one-sided: PCGrad (Yu et al., 2020) that only ever
    changes the generative side.
    """
    overlap = generative @ restoration
    if overlap >= 0:
        return torch.zeros_like(generative)
    return -overlap / restoration.square().sum() * restoration


@MODELS.register_module()
class GradientProjection:
    """Takes from every update's generative gradient what points against restoration."""

    num_groups = 0
    second_order = False

    def is_due(self, update: Update) -> bool:
        """See ``Regularizer``: wherever a generative gradient is added, not only watched."""
        return update.added and update.counts['mixed'] > 0

    def gradient(self, update: Update) -> Tensor:
        """See ``Regularizer``; it acts where the layer-wise decay lets generative gradients in."""
        reached = (update.layer_decay.gate > 0).float()
        restoration = scale_parts(update.main.clone(), reached, update.parameters)
        return conflict(update.mixed, restoration)
