"""A visualizer that records scalars and configs without importing matplotlib."""

import logging
import math
from typing import Any

from mmengine.dist import master_only
from mmengine.logging import print_log
from mmengine.visualization import Visualizer

from dtir_mm.registry import VISUALIZERS


@VISUALIZERS.register_module()
class ScalarVisualizer(Visualizer):
    """mmengine's ``Visualizer`` without the two figures that it opens when it is built.

    Non-finite values are left out (JSON has none), and a backend that cannot write is reported
    once, so that recording never ends a run.
    """

    _failed: frozenset[str] = frozenset()

    @master_only
    def add_scalars(
        self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None
    ) -> None:
        """See mmengine."""
        finite = {name: value for name, value in scalar_dict.items() if _is_finite(value)}
        for name, backend in self._vis_backends.items():
            try:
                backend.add_scalars(finite, step, file_path)
            except OSError as error:
                self._report(name, error)

    def _report(self, name: str, error: OSError) -> None:
        if name not in self._failed:
            self._failed |= {name}
            print_log(f'{name} cannot record scalars: {error}', 'current', logging.WARNING)

    def _initialize_fig(self, fig_cfg: dict[str, Any]) -> tuple:
        return None, _NoFigure(), None


def _is_finite(value: Any) -> bool:
    return not hasattr(value, '__float__') or math.isfinite(value)


class _NoFigure:
    """Has the one method of a figure that ``Visualizer.__init__`` calls."""

    def get_dpi(self) -> float:
        return 100.0
