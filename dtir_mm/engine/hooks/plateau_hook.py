"""Says when a run does nothing but give its input back, which a falling learning rate hides."""

from collections import deque
from typing import Any

from mmengine.hooks import Hook

from dtir_mm.models.objectives.reconstruction import Reconstruction
from dtir_mm.registry import HOOKS


@HOOKS.register_module()
class PlateauHook(Hook):
    """Warns, once, of a run whose content loss is that of its input.

    L1's minimum over constants is the median, and the median of a sparse residual (rain) is 0: a
    network that gives its input back sits on a saddle, and may stay there to the end. The training
    step logs the loss of the input beside its own; here their means over a window are compared.

    Args:
        window: updates.
        tolerance: how far below the input's loss still counts as equal, as a share of it.

    Raises:
        ValueError: the window is empty, or the tolerance lies outside (0, 1).
    """

    priority = 'LOW'

    def __init__(self, window: int = 300, tolerance: float = 0.02) -> None:
        if window < 1:
            raise ValueError(f'window={window} of PlateauHook must be at least 1')
        if not 0 < tolerance < 1:
            raise ValueError(f'tolerance={tolerance} of PlateauHook must lie in (0, 1)')
        self.window = window
        self.tolerance = tolerance
        self._losses: deque[tuple[float, float]] = deque(maxlen=window)
        self._warned = False

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Takes an update's losses in, and judges the window."""
        self._losses.append(
            (float(outputs[Reconstruction.name]), float(outputs[Reconstruction.of_input]))
        )
        if self._warned or len(self._losses) < self.window:
            return
        own, of_input = (sum(values) / self.window for values in zip(*self._losses, strict=True))
        if own < (1 - self.tolerance) * of_input:
            return
        self._warned = True
        tasks = ', '.join(runner.train_dataloader.sampler.tasks_at(runner.iter))
        runner.logger.warning(
            f'plateau: over the last {self.window} updates the content loss of {tasks} is '
            f'{own:.4g}, that of giving the input back {of_input:.4g}. L1 alone may stay there; '
            f'what leaves it: model.step.objective.losses.fft.type=FFTLoss, '
            f'model.backbone.restoration_head=True, or more updates'
        )
