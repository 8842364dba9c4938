"""A visualizer that records scalars, images and configs without importing matplotlib."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.logging import print_log
from mmengine.visualization import Visualizer, WandbVisBackend

from dtir_mm.registry import VISUALIZERS


@VISUALIZERS.register_module()
class ScalarVisualizer(Visualizer):
    """mmengine's ``Visualizer`` without the two figures that it opens when it is built.

    Non-finite values are left out (JSON has none), and a backend that cannot write is reported
    once, so that recording never ends a run. Scalars are recorded with their iteration as ``iter``,
    because Weights & Biases counts calls, not updates.
    """

    _failed: frozenset[str] = frozenset()

    @master_only
    def add_config(self, config: Config) -> None:
        """See mmengine."""
        for backend in self._vis_backends.values():
            if isinstance(backend, WandbVisBackend):
                # Its own method also uploads every Python file below the working directory.
                backend.experiment.config.update(config.to_dict(), allow_val_change=True)
            else:
                backend.add_config(config)

    @master_only
    def add_scalars(
        self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None
    ) -> None:
        """See mmengine."""
        finite = {name: value for name, value in scalar_dict.items() if _is_finite(value)}
        finite['iter'] = step
        self._record('scalars', lambda backend: backend.add_scalars(finite, step, file_path))

    @master_only
    def add_image(self, name: str, image: np.ndarray, step: int = 0) -> None:
        """See mmengine; ``image`` is uint8 RGB (H, W, 3)."""
        self._record('images', lambda backend: backend.add_image(name, image, step))

    def _record(self, what: str, write: Callable[[Any], None]) -> None:
        for name, backend in self._vis_backends.items():
            try:
                write(backend)
            except OSError as error:
                self._report(f'{name} cannot record {what}', error)

    def _report(self, failure: str, error: OSError) -> None:
        if failure not in self._failed:
            self._failed |= {failure}
            print_log(f'{failure}: {error}', 'current', logging.WARNING)

    def _initialize_fig(self, fig_cfg: dict[str, Any]) -> tuple:
        return None, _NoFigure(), None


def folder_to_continue(work_dir: str | Path) -> Path | None:
    """The folder with ``vis_data`` of the latest run in a work directory; None if there is none."""
    folders = sorted(path.parent for path in Path(work_dir).glob('*/vis_data'))
    return folders[-1] if folders else None


def mark_resumed(visualizer: Visualizer, iteration: int) -> None:
    """Makes TensorBoard drop what a run had recorded after the iteration that it resumes from."""
    backend = visualizer.get_backend('TensorboardVisBackend')
    if backend is not None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        start = SessionLog(status=SessionLog.START)
        backend.experiment.file_writer.add_event(Event(step=iteration + 1, session_log=start))


def _is_finite(value: Any) -> bool:
    return not hasattr(value, '__float__') or math.isfinite(value)


class _NoFigure:
    """Has the one method of a figure that ``Visualizer.__init__`` calls."""

    def get_dpi(self) -> float:
        return 100.0
