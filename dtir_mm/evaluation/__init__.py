"""Metrics and named protocols; importing this package registers the metrics."""

from dtir_mm.evaluation.mean_metric import MeanMetric
from dtir_mm.evaluation.restoration_metric import RestorationMetric

__all__ = ['MeanMetric', 'RestorationMetric']
