"""Restorers of networks without time conditioning: deployed ones, and public weights."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dtir_mm.apis.deployment import DeployedNetwork, DeployedStep, load_deployed
from dtir_mm.apis.onnx_network import OnnxNetwork, load_onnx
from dtir_mm.models.backbones.zoo import network_in
from dtir_mm.models.preprocessor import ImageRange
from dtir_mm.models.tracing.sizes import size_rule
from dtir_mm.weights_file import is_onnx

_DEFAULT_STEPS = 50  # of a schedule
_ANY_STEP = 1  # of a network whose time step is unknown


class DeployedBackbone(nn.Module):
    """A network without time, with what restoring calls on a ``ConditionedBackbone``.

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
        if task in (None, step.task) and t in (None, step.t):
            return
        asked = f't = {t}' if task is None else f'the task {task!r}'
        if step.t is None:
            raise ValueError(
                f'{self.source} has no time conditioning for {asked}: name no task or time step'
            )
        raise ValueError(
            f'{self.source} was deployed at {step}, and has no time conditioning for {asked}: name '
            f'the checkpoint that it was made from'
        )

    def predict_residual(self, u: Tensor, t: Tensor, restoring: bool = True) -> Tensor:
        """The degradation in ``u``, (B, 3, H, W), at the network's own time step (B,).

        Raises:
            ValueError: ``t`` is another step, or the residual is not for ``restoring``.
        """
        for step in set(t.tolist()) - {self.t}:
            self.require(None, step)
        if not restoring:
            raise ValueError(f'{self.source} has no time conditioning: it can only restore')
        return u - self.network.unclamped(u)


def deployed_restorer_config(path: str | Path) -> dict[str, Any]:
    """The config of the restorer that computes what a deployed network does.

    Its only time step is the one that the network was deployed at.

    Raises:
        See ``load_deployed`` and ``load_onnx``.
    """
    return _restorer_config(load_onnx(path) if is_onnx(path) else load_deployed(path), path)


def public_restorer_config(content: Any, path: str | Path) -> dict[str, Any]:
    """The config of the restorer that computes what the network of public weights does.

    Args:
        content: of the file.
        path: its name in messages.

    Raises:
        See ``network_in``.
    """
    net = network_in(content, path).eval()
    network = DeployedNetwork(net, True, size_rule(net), ImageRange(-1.0, 1.0), DeployedStep(None))
    return _restorer_config(network.eval(), path)


def _restorer_config(network: DeployedNetwork | OnnxNetwork, path: str | Path) -> dict[str, Any]:
    backbone = DeployedBackbone(network, path)

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
