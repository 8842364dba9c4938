"""Metrics and named protocols; importing this package registers them."""

from dtir_mm.evaluation.lpips_metric import Lpips
from dtir_mm.evaluation.mean_metric import MeanMetric
from dtir_mm.evaluation.metrics import PSNR_CAP, psnr, ssim
from dtir_mm.evaluation.protocols import PROTOCOLS, Protocol, get_protocol
from dtir_mm.evaluation.restoration_metric import RestorationMetric

__all__ = [
    'PROTOCOLS',
    'PSNR_CAP',
    'Lpips',
    'MeanMetric',
    'Protocol',
    'RestorationMetric',
    'get_protocol',
    'psnr',
    'ssim',
]
