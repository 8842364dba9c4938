"""Networks, conditioning, losses and restorers; importing this package registers them."""

from dtir_mm.models.backbones.dtir_unet import DtirUNet
from dtir_mm.models.backbones.xrestormer import XRestormer
from dtir_mm.models.backbones.zoo import public_network
from dtir_mm.models.conditioning.conditioned_backbone import ConditionedBackbone
from dtir_mm.models.losses import (
    ContentLoss,
    ImportanceLoss,
    NoisePredictionLoss,
    OrthogonalityLoss,
)
from dtir_mm.models.preprocessor import RestorationPreprocessor
from dtir_mm.models.restorers.classifier_trainer import ClassifierTrainer
from dtir_mm.models.restorers.degradation_classifier import DegradationClassifier
from dtir_mm.models.restorers.finetune_restorer import FinetuneRestorer
from dtir_mm.models.restorers.generative_pretrainer import GenerativePretrainer
from dtir_mm.models.restorers.unified_restorer import UnifiedRestorer
from dtir_mm.models.restorers.zero_shot_restorer import ZeroShotRestorer

__all__ = [
    'ClassifierTrainer',
    'ConditionedBackbone',
    'ContentLoss',
    'DegradationClassifier',
    'DtirUNet',
    'FinetuneRestorer',
    'GenerativePretrainer',
    'ImportanceLoss',
    'NoisePredictionLoss',
    'OrthogonalityLoss',
    'RestorationPreprocessor',
    'UnifiedRestorer',
    'XRestormer',
    'ZeroShotRestorer',
    'public_network',
]
