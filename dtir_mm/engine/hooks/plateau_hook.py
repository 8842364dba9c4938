"""Detects runs that are stuck at the identity."""

from collections import deque
from typing import Any

from mmengine.hooks import Hook

from dtir_mm.models.objectives.reconstruction import Reconstruction
from dtir_mm.registry import HOOKS

WINDOW = 300  # updates
TOLERANCE = 0.02  # relative difference below which two losses count as equal


@HOOKS.register_module()
class PlateauHook(Hook):
    """Warns once if the content loss of a run is no lower than that of its input.

    The constant that minimises L1 is the median, which is 0 for a sparse residual (rain): the
    identity is a saddle point, at which training may stall. The training step logs the loss of the
    input beside the network's; this hook compares their means over a window of updates.
    """

    priority = 'LOW'

    def __init__(self) -> None:
        self._losses: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._warned = False

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Compares the means over the window after an update."""
        assert outputs is not None
        self._losses.append(
            (float(outputs[Reconstruction.name]), float(outputs[Reconstruction.of_input]))
        )
        if self._warned or len(self._losses) < WINDOW:
            return
        own, of_input = (sum(values) / WINDOW for values in zip(*self._losses, strict=True))
        if own < (1 - TOLERANCE) * of_input:
            return
        self._warned = True
        tasks = ', '.join(runner.train_loop.schedule.tasks_at(runner.iter))
        runner.logger.warning(
            f'plateau at update {runner.iter + 1}: over the last {WINDOW} updates the content loss '
            f'of {tasks} is {own:.4g}, that of the unchanged input {of_input:.4g}. With only L1 it '
            f'may stay there; remedies: model.step.objective.losses.fft.type=FFTLoss, '
            f'model.backbone.restoration_head=True, or more updates'
        )
