"""Detects runs that only return their input, which a decaying learning rate hides."""

from collections import deque
from typing import Any

from mmengine.hooks import Hook

from dtir_mm.models.objectives.reconstruction import Reconstruction
from dtir_mm.registry import HOOKS


@HOOKS.register_module()
class PlateauHook(Hook):
    """Warns once if the content loss of a run is still that of its input.

    L1's minimum over constants is the median, and the median of a sparse residual (rain) is 0: a
    network that returns its input sits on a saddle, and may stay there to the end. The training
    step logs the loss of the input beside its own; their means over a window are compared here.

    Args:
        window: number of updates.
        tolerance: relative difference below which the two losses count as equal.

    Raises:
        ValueError: the window is empty, or the tolerance is outside (0, 1).
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
        """Adds the losses of an update, and compares the means over the window."""
        assert outputs is not None
        self._losses.append(
            (float(outputs[Reconstruction.name]), float(outputs[Reconstruction.of_input]))
        )
        if self._warned or len(self._losses) < self.window:
            return
        own, of_input = (sum(values) / self.window for values in zip(*self._losses, strict=True))
        if own < (1 - self.tolerance) * of_input:
            return
        self._warned = True
        tasks = ', '.join(runner.train_loop.schedule.tasks_at(runner.iter))
        runner.logger.warning(
            f'plateau: over the last {self.window} updates the content loss of {tasks} is '
            f'{own:.4g}, that of the unchanged input {of_input:.4g}. With only L1 it may stay '
            f'there; remedies: model.step.objective.losses.fft.type=FFTLoss, '
            f'model.backbone.restoration_head=True, or more updates'
        )
