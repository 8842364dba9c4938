"""Networks, conditioning, objectives, regularizers and restorer; importing registers them."""

from dtir_mm.models.backbones.dtir_unet import DtirUNet
from dtir_mm.models.backbones.local_unet import LocalUNet
from dtir_mm.models.backbones.released_nafnet import ReleasedNAFNet
from dtir_mm.models.backbones.xrestormer import XRestormer
from dtir_mm.models.backbones.zoo import public_network
from dtir_mm.models.conditioning.conditioned_backbone import ConditionedBackbone
from dtir_mm.models.conditioning.decoder_adapters import DecoderAdapters
from dtir_mm.models.conditioning.moe_adapters import MoEAdapters
from dtir_mm.models.conditioning.time_embedding import GatedTimeEmbedding, TimeEmbedding
from dtir_mm.models.objectives import (
    CharbonnierLoss,
    DegradationClassification,
    Denoising,
    FFTLoss,
    L1Loss,
    NoisePrediction,
    Reconstruction,
)
from dtir_mm.models.preprocessor import RestorationPreprocessor
from dtir_mm.models.regularizers.gradient_projection import GradientProjection
from dtir_mm.models.regularizers.importance_penalty import ImportancePenalty
from dtir_mm.models.regularizers.orthogonality_penalty import GradientOrthogonality
from dtir_mm.models.restorers.degradation_classifier import DegradationClassifier
from dtir_mm.models.restorers.head import NoiseHead, ResidualHead
from dtir_mm.models.restorers.mixing import SampleMixing, UpdateMixing
from dtir_mm.models.restorers.restorer import Restorer

__all__ = [
    'CharbonnierLoss',
    'ConditionedBackbone',
    'DecoderAdapters',
    'DegradationClassification',
    'DegradationClassifier',
    'Denoising',
    'DtirUNet',
    'FFTLoss',
    'GatedTimeEmbedding',
    'GradientOrthogonality',
    'GradientProjection',
    'ImportancePenalty',
    'L1Loss',
    'LocalUNet',
    'MoEAdapters',
    'NoiseHead',
    'NoisePrediction',
    'Reconstruction',
    'ReleasedNAFNet',
    'ResidualHead',
    'RestorationPreprocessor',
    'Restorer',
    'SampleMixing',
    'TimeEmbedding',
    'UpdateMixing',
    'XRestormer',
    'public_network',
]
