"""A trained restorer at one time step as a plain network without time conditioning.

For a fixed t, the time conditioning is folded into the network, and the head's scale c(t) into its
last layer. The result has the parameters of the unconditioned network and merged adapters.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dtir_mm import trust
from dtir_mm.engine.old_checkpoints import upgraded_backbone
from dtir_mm.json_files import parse_json
from dtir_mm.memory_limit import in_proportion_to
from dtir_mm.models.conditioning.folding import fold_time, fold_time_and_scale
from dtir_mm.models.finite import require_finite_output
from dtir_mm.models.matching_weights import require_same_architecture, require_sound
from dtir_mm.models.preprocessor import ImageRange, checked_range
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.tracing.sizes import SizeRule
from dtir_mm.registry import MODELS
from dtir_mm.weights_file import DEPLOYED_FORMAT, read_safetensors, write_safetensors

TOLERANCE = 1e-4
PROBE_SIZE = 64
_MOST_STEPS = 1000  # of a noise schedule


class DeployedStep(NamedTuple):
    """The time step that a network was deployed at, and its task, if they are known."""

    t: int | None
    task: str | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, str], path: str | Path) -> 'DeployedStep':
        """The step in a file's metadata; ValueError if it is invalid."""
        if 't' not in metadata:
            return cls(None)
        text = metadata['t']
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_STEPS):
            raise ValueError(f'{path}: t={text[:9]!r} in its metadata must lie in 1..{_MOST_STEPS}')
        return cls(int(text), metadata.get('task'))

    @property
    def metadata(self) -> dict[str, str]:
        """The entries from which ``of`` reads it."""
        return {name: str(value) for name, value in self._asdict().items() if value is not None}

    def __str__(self) -> str:
        if self.t is None:
            return 'an unknown time step'
        return f't = {self.t}' + ('' if self.task is None else f', for {self.task!r}')


class DeployedNetwork(nn.Module):
    """Restores images in one pass, without a time step.

    Args:
        net: outputs the restored image, or its difference from the degraded one.
        global_skip: whether ``net`` outputs the restored image.
        size_rule: the sizes that it accepts.
        scaled: the range of its images.
        step: the time step, and its task, that it restores at.
    """

    def __init__(
        self,
        net: nn.Module,
        global_skip: bool,
        size_rule: SizeRule,
        scaled: ImageRange,
        step: DeployedStep,
    ) -> None:
        super().__init__()
        self.image_range = scaled
        self.net = net
        self.global_skip = global_skip
        self.size_rule = size_rule
        self.step = step

    def forward(self, image: Tensor) -> Tensor:
        """Degraded RGB images in [0, 1], (B, 3, H, W), to restored ones of that range and shape.

        Raises:
            NotFiniteError: the network outputs NaN or Inf.
        """
        scaled = self.image_range.from_unit_range(image)
        return self.image_range.to_unit_range(self.unclamped(scaled))

    def unclamped(self, degraded: Tensor) -> Tensor:
        """The same in the network's range, not clamped to it."""
        output = self.net(degraded)
        require_finite_output(self, output, lambda: self.net(degraded))
        return output if self.global_skip else degraded + output


@torch.no_grad()
def deploy(restorer: Restorer, t: int, task: str | None = None) -> DeployedNetwork:
    """The network that restores as ``restorer.restore_images`` does at ``t``, on the CPU.

    ``task`` is the task that has this time step, if it is known.

    Raises:
        ValueError: ``t`` is outside 1..T, the adapters cannot be merged, the restorer outputs NaN
            or Inf, or the two differ on a random image: an operation after a norm's scale or the
            last layer cannot be folded.
    """
    if not 1 <= t <= restorer.schedule.num_steps:
        raise ValueError(f't={t} must lie in 1..{restorer.schedule.num_steps}')
    original = copy.deepcopy(restorer).cpu().eval()
    steps = torch.tensor([t])
    height, width = original.backbone.size_rule.enclosing(PROBE_SIZE, PROBE_SIZE)
    image = random_image(1, height, width).to(next(original.parameters()))
    degraded = original.image_range.from_unit_range(image)
    expected = original(degraded, steps)

    scale = original.head.scale(original.schedule, steps).item()
    network = DeployedNetwork(
        fold_time_and_scale(original.backbone, t, scale),
        original.backbone.global_skip,
        original.backbone.size_rule,
        original.image_range,
        DeployedStep(t, task),
    )
    error = relative_error(network.unclamped(degraded), expected)
    if not error <= TOLERANCE:
        raise ValueError(
            f'{type(network.net).__name__} cannot be deployed: without time it differs from the '
            f'restorer by {error:.2g} of the largest value, more than {TOLERANCE:g}. Its last '
            f'layer must be a convolution whose output is used unchanged, and time-conditioned '
            f'modules must end with a scale and shift of each channel, without an adapter right '
            f'behind either'
        )
    return network


def save_deployed(
    network: DeployedNetwork, path: str | Path, backbone: dict[str, Any], checkpoint: str = ''
) -> None:
    """Writes a deployed network as safetensors, from which ``load_deployed`` rebuilds it.

    Args:
        network: from ``deploy``.
        path: the file.
        backbone: config of the restorer's ``ConditionedBackbone``.
        checkpoint: the one that it comes from, for messages.
    """
    metadata = {
        'format': DEPLOYED_FORMAT,
        **network.step.metadata,
        'size_multiple': str(network.size_rule.multiple),
        'image_range': json.dumps(network.image_range),
        'backbone': json.dumps(backbone),
    }
    if checkpoint:
        metadata['checkpoint'] = checkpoint
    write_safetensors(path, network.state_dict(), metadata)


def load_deployed(path: str | Path) -> DeployedNetwork:
    """The deployed network in a file, on the CPU; register your own networks before.

    Raises:
        ValueError: ``save_deployed`` did not write it, or its metadata name code or other files.
        KeyError: its network is not registered.
        CheckpointError: it is missing or damaged, or its weights do not fit the network.
    """
    weights, metadata = read_safetensors(path)
    if metadata.get('format') != DEPLOYED_FORMAT:
        raise ValueError(
            f'{path} has format {metadata.get("format")!r}, but must be a deployed network, '
            f'{DEPLOYED_FORMAT!r}, as dtir-mm deploy writes it'
        )
    values, config = _described(metadata, path)
    step = DeployedStep.of(metadata, path)
    with torch.no_grad(), in_proportion_to(path), trust.building(config, 'backbone', path):
        scaled = checked_range(values)
        backbone = MODELS.build(config)
        net = fold_time(backbone, 1)  # any time step gives the structure
        network = DeployedNetwork(net, backbone.global_skip, backbone.size_rule, scaled, step)
    expected = network.state_dict()
    require_same_architecture(weights, expected, str(path), 'the network of its metadata')
    require_sound(weights, network, str(path))
    network.load_state_dict(weights)
    return network.eval()


def _described(metadata: dict[str, str], path: str | Path) -> tuple[list, dict[str, Any]]:
    """The image range and the config of the backbone in a deployed file's metadata."""
    values = parse_json(metadata.get('image_range', '[-1, 1]'), f'image_range of {path}')
    config = parse_json(metadata.get('backbone', ''), f'the config of the network in {path}')
    if not isinstance(values, list) or not isinstance(config, dict):
        raise ValueError(
            f'{path}: its metadata must have a list image_range and a dict backbone, got '
            f'{type(values).__name__} and {type(config).__name__}'
        )
    trust.refuse_code({'backbone': config}, path)
    return values, upgraded_backbone(config)


def random_image(batch: int, height: int, width: int) -> Tensor:
    """Random images in [0, 1], always the same."""
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def relative_error(result: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value if that exceeds one."""
    return ((result - expected).abs().max() / expected.abs().max().clamp(min=1)).item()
