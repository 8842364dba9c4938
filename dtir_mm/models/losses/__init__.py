"""Registered losses, thin over the diffusion and the regularizers.

Those of images give one value a sample, so that callers can weigh and sum them; those of weights
and gradients give their own gradient along with the value.
"""

from dtir_mm.models.losses.content_loss import ContentLoss
from dtir_mm.models.losses.importance_loss import ImportanceLoss
from dtir_mm.models.losses.noise_prediction_loss import NoisePredictionLoss
from dtir_mm.models.losses.orthogonality_loss import OrthogonalityLoss

__all__ = ['ContentLoss', 'ImportanceLoss', 'NoisePredictionLoss', 'OrthogonalityLoss']
