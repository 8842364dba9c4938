"""Restorers of deployed networks, which have no time conditioning."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dtir_mm.apis.deployment import DeployedNetwork, load_deployed
from dtir_mm.apis.onnx_network import OnnxNetwork, load_onnx
from dtir_mm.weights_file import is_onnx

_DEFAULT_STEPS = 50  # of a schedule
_ANY_STEP = 1  # of a network whose time step is unknown


class DeployedBackbone(nn.Module):
    """A deployed network, with what restoring calls on a ``ConditionedBackbone``.

    Args:
        network: the network.
        source: its file, for messages.
    """

    def __init__(self, network: DeployedNetwork | OnnxNetwork, source: str | Path) -> None:
        super().__init__()
        self.network = network
        self.size_rule = network.size_rule
        self.t = network.step.t or _ANY_STEP
        self.source = source

    def require(self, task: str | None, t: int | None) -> None:
        """Raises ValueError if a task or time step is given that is not the network's."""
        step = self.network.step
        if task not in (None, step.task) or t not in (None, self.t):
            asked = f't = {t}' if task is None else f'the task {task!r}'
            raise ValueError(
                f'{self.source} was deployed at {step}, and has no time conditioning for {asked}: '
                f'name the checkpoint that it was deployed from'
            )

    def predict_residual(self, u: Tensor, t: Tensor, restoring: bool = True) -> Tensor:
        """The degradation in ``u``, (B, 3, H, W), at the network's own time step (B,).

        Raises:
            ValueError: ``t`` is another step, or the residual is not for ``restoring``.
        """
        for step in t.tolist():
            self.require(None, step)
        if not restoring:
            raise ValueError(f'{self.source} is a deployed network, which only restores')
        return u - self.network.unclamped(u)


def deployed_restorer_config(path: str | Path) -> dict[str, Any]:
    """The config of the restorer that computes what a deployed network does.

    Its only time step is the one that the network was deployed at.

    Raises:
        See ``load_deployed`` and ``load_onnx``.
    """
    backbone = DeployedBackbone(load_onnx(path) if is_onnx(path) else load_deployed(path), path)

    def built() -> nn.Module:
        return backbone

    task, t = backbone.network.step.task, backbone.t
    return {
        'type': 'Restorer',
        'backbone': {'type': built},
        'schedule': {'type': 'VariancePreserving', 'num_steps': max(t, _DEFAULT_STEPS)},
        'head': {'type': 'NoiseHead', 'residual_scale': 'one'},
        'image_range': backbone.network.image_range,
        'timesteps': f'fixed:{t}' if task is None else {task: t},
    }
