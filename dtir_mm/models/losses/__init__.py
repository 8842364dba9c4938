"""Registered losses; each gives one value a sample, so that callers can weigh and sum them."""

from dtir_mm.models.losses.content_loss import ContentLoss
from dtir_mm.models.losses.noise_prediction_loss import NoisePredictionLoss

__all__ = ['ContentLoss', 'NoisePredictionLoss']
