"""A visualizer that records scalars and configs, and does not import matplotlib."""

from typing import Any

from mmengine.visualization import Visualizer

from dtir_mm.registry import VISUALIZERS


@VISUALIZERS.register_module()
class ScalarVisualizer(Visualizer):
    """mmengine's ``Visualizer`` opens two figures when it is built; training draws none."""

    def _initialize_fig(self, fig_cfg: dict[str, Any]) -> tuple:
        return None, _NoFigure(), None


class _NoFigure:
    """Answers the one question that ``Visualizer.__init__`` asks its figure."""

    def get_dpi(self) -> float:
        return 100.0
