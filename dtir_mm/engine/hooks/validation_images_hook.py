"""Images of validation in the visualizer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dist import gather_object
from mmengine.hooks import Hook

from dtir_mm.names import shown
from dtir_mm.registry import HOOKS

_GAP = 4


@HOOKS.register_module()
class ValidationImagesHook(Hook):
    """Records input | restored | ground truth of one image per task and domain, at each validation.

    It is the first image by path, so every validation shows the same one, also in a resumed run and
    on any number of processes. The visualizer gets it as ``<task>_<domain>``, not scaled: the
    central part if it is larger than ``size``.

    The runner has this hook by default, as ``default_hooks.images``; None removes it.

    Args:
        size: largest height and width in pixels.

    Raises:
        ValueError: ``size`` is below 1.
    """

    priority = 'LOW'  # after the scalars, whose iteration Weights & Biases takes for the images

    def __init__(self, size: int = 192) -> None:
        if size < 1:
            raise ValueError(f'size={size} of ValidationImagesHook must be at least 1')
        self.size = size
        self._strips: dict[str, tuple[str, np.ndarray]] = {}  # the path and the image
        self._named = False

    def before_val_epoch(self, runner: Any) -> None:
        """Forgets the last validation."""
        self._strips = {}

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[dict] | None = None,
    ) -> None:
        """Keeps the first image of each task and domain so far; pre-training has none."""
        for sample in outputs or ():
            if 'restored' in sample:
                name = f'{sample["task"]}_{sample["domain"]}'.replace('/', '_')
                path = str(sample['path'])
                if name not in self._strips or path < self._strips[name][0]:
                    self._strips[name] = path, self._strip(sample)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Records the first images over all processes."""
        first: dict[str, tuple[str, np.ndarray]] = {}
        for strips in gather_object(self._strips) or ():
            for name, (path, strip) in strips.items():
                if name not in first or path < first[name][0]:
                    first[name] = path, strip
        for name, (_, strip) in first.items():
            runner.visualizer.add_image(name, strip, runner.iter)
        if first and not self._named:
            self._named = True
            files = ', '.join(f'{name}: {shown(path)}' for name, (path, _) in first.items())
            runner.logger.info(f'images for the visualizer: {files}')

    def _strip(self, sample: dict[str, Any]) -> np.ndarray:
        """The three images side by side: uint8 RGB (h, 3 w + 2 gaps, 3)."""
        degraded, restored, clean = (
            _central(sample[name], self.size) for name in ('degraded', 'restored', 'clean')
        )
        gap = np.full((len(clean), _GAP, 3), 255, np.uint8)
        return np.hstack([degraded, gap, restored, gap, clean])


def _central(image: np.ndarray, size: int) -> np.ndarray:
    """The central part of an image (H, W, 3), at most ``size`` pixels high and wide."""
    top, left = (max(side - size, 0) // 2 for side in image.shape[:2])
    return image[top : top + size, left : left + size]
