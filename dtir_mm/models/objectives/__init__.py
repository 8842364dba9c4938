"""Training objectives of the stages: per-sample losses, which a training step sums."""

from dtir_mm.models.objectives.degradation_classification import DegradationClassification
from dtir_mm.models.objectives.denoising import Denoising
from dtir_mm.models.objectives.noise_prediction import NoisePrediction
from dtir_mm.models.objectives.pixel_losses import CharbonnierLoss, FFTLoss, L1Loss
from dtir_mm.models.objectives.reconstruction import Reconstruction

# Names of the pre-training objectives, which are independent of tasks.
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
