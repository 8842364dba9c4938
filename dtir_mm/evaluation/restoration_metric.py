"""The metric of tests and validation: PSNR, SSIM and LPIPS of inputs and restored images."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from dtir_mm.evaluation.lpips_metric import Lpips
from dtir_mm.evaluation.metrics import psnr, ssim
from dtir_mm.evaluation.protocols import get_protocol
from dtir_mm.registry import METRICS

FIGURES = ('psnr', 'ssim', 'lpips')


@METRICS.register_module()
class RestorationMetric(BaseMetric):
    """Means per task and domain, and the per-image rows behind them.

    After an evaluation, ``rows`` (on the first process) has a dict per image of all processes,
    sorted by task, domain and path: ``task, domain, path, t``, then ``psnr, ssim, lpips`` of the
    restored image and ``input_psnr, ...`` of the degraded one; LPIPS may be None.

    Args:
        protocol: a name of ``PROTOCOLS``.

    Raises:
        ValueError: the protocol is unknown.
        FileNotFoundError: the protocol has LPIPS, whose weights are missing.
    """

    default_prefix = ''  # mmengine would warn of None

    def __init__(self, protocol: str = 'rgb') -> None:
        super().__init__()
        self.protocol = get_protocol(protocol)
        self.rows: list[dict[str, Any]] = []
        self._lpips = Lpips() if self.protocol.lpips else None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measures a batch.

        Args:
            data_batch: not used.
            data_samples: dicts of ``restored``, ``degraded`` and ``clean``, RGB uint8 (H, W, 3) of
                one size, and of ``task``, ``domain``, ``path`` and ``t``.

        Raises:
            ValueError: images are other arrays, or too small; the message names the path.
        """
        for sample in data_samples:
            try:
                self.results.append(self._row(sample))
            except ValueError as error:
                raise ValueError(f'{sample["path"]} ({sample["task"]}): {error}') from error

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """``<task>/<domain>/<name>`` for all six metrics, and ``psnr``, ``ssim`` and ``lpips``.

        The latter are unweighted means over the tasks of the source domain, as in the paper's
        tables, or of all domains if the source was not tested.
        """
        self.rows = sorted(results, key=lambda row: (row['task'], row['domain'], row['path']))
        means = mean_figures(self.rows)
        metrics = {
            f'{task}/{domain}/{name}': value
            for (task, domain), figures in means.items()
            for name, value in figures.items()
        }
        tasks = [figures for (_, domain), figures in means.items() if domain == 'source']
        tasks = tasks or list(means.values())
        for name in FIGURES:
            if tasks and name in tasks[0]:
                metrics[name] = fmean(figures[name] for figures in tasks)
        return metrics

    def _row(self, sample: dict[str, Any]) -> dict[str, Any]:
        images = {name: sample[name] for name in ('restored', 'degraded', 'clean')}
        for name, image in images.items():
            if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
                kind = getattr(image, 'dtype', type(image).__name__)
                raise ValueError(f'{name} must be a uint8 array, got {kind}')
            if image.ndim != 3 or image.shape[2] != 3 or image.shape != images['clean'].shape:
                raise ValueError(
                    f'{name} has the shape {image.shape}, clean has {images["clean"].shape}; all '
                    f'must be (H, W, 3) of one size'
                )
        row = {'task': sample['task'], 'domain': sample['domain'], 'path': str(sample['path'])}
        row['t'] = int(sample['t'])
        row |= self._figures(images['restored'], images['clean'])
        before = self._figures(images['degraded'], images['clean'])
        return row | {f'input_{name}': value for name, value in before.items()}

    def _figures(self, image: np.ndarray, clean: np.ndarray) -> dict[str, float | None]:
        image, clean = self.protocol.crop(image), self.protocol.crop(clean)
        distance = self._lpips(image, clean) if self._lpips else None
        if distance is not None and not math.isfinite(distance):
            raise ValueError(f'LPIPS is {distance}: its weights must be damaged')
        image, clean = self.protocol.convert(image), self.protocol.convert(clean)
        return {'psnr': psnr(image, clean), 'ssim': ssim(image, clean), 'lpips': distance}


def mean_figures(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], dict[str, float]]:
    """The mean figures over the images of each (task, domain), in order of first appearance.

    Figures that were not measured (None in the rows) are omitted.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row['task'], row['domain']), []).append(row)
    names = [f'{prefix}{figure}' for prefix in ('', 'input_') for figure in FIGURES]
    return {
        key: {
            name: fmean(row[name] for row in group) for name in names if group[0][name] is not None
        }
        for key, group in groups.items()
    }
