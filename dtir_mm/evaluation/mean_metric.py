"""Means of numbers that a model's ``val_step`` gives for each image."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from dtir_mm.registry import METRICS


@METRICS.register_module()
class MeanMetric(BaseMetric):
    """The mean of each named number over the data set (pre-training: L_g on held-out images).

    Args:
        names: keys of the numbers in each data sample.
    """

    default_prefix = ''  # the names themselves

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Takes the numbers of a batch."""
        for sample in data_samples:
            self.results.append({name: float(sample[name]) for name in self.names})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """The means by name."""
        return {name: sum(row[name] for row in results) / len(results) for name in self.names}
