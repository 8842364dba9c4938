"""What stages minimise: a loss a sample, so that a training step can weigh and sum them."""

from dtir_mm.models.objectives.degradation_classification import DegradationClassification
from dtir_mm.models.objectives.denoising import Denoising
from dtir_mm.models.objectives.noise_prediction import NoisePrediction
from dtir_mm.models.objectives.pixel_losses import CharbonnierLoss, FFTLoss, L1Loss
from dtir_mm.models.objectives.reconstruction import Reconstruction

# Names of the objectives of pre-training, which know no task.
GENERATIVE = (NoisePrediction.name, Denoising.name)

__all__ = [
    'GENERATIVE',
    'CharbonnierLoss',
    'DegradationClassification',
    'Denoising',
    'FFTLoss',
    'L1Loss',
    'NoisePrediction',
    'Reconstruction',
]
