"""Means of the numbers that a model's ``val_step`` returns for each image."""

import math
from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from dtir_mm.registry import METRICS


@METRICS.register_module()
class MeanMetric(BaseMetric):
    """The mean of each named number over the data set (in pre-training: L_g on validation images).

    Args:
        names: keys of the numbers in each data sample.
    """

    default_prefix = ''  # none

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Collects the numbers of a batch; raises ValueError if one is not finite."""
        for sample in data_samples:
            row = {name: float(sample[name]) for name in self.names}
            for name, value in row.items():
                if not math.isfinite(value):
                    raise ValueError(f'{sample["path"]}: {name} is {value}, so it has no mean')
            self.results.append(row)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """The means by name."""
        return {name: sum(row[name] for row in results) / len(results) for name in self.names}
