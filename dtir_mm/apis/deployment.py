"""A trained restorer at one time step as a plain network without time conditioning.

For a fixed t, the time conditioning is folded into the network, and the head's scale c(t) into its
last layer. The result has the parameters of the unconditioned network and merged adapters.
"""

import copy
import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dtir_mm import trust
from dtir_mm.engine.old_checkpoints import upgraded_backbone
from dtir_mm.files import replacing
from dtir_mm.json_files import parse_json
from dtir_mm.memory_limit import in_proportion_to
from dtir_mm.models.conditioning.folding import fold_time, fold_time_and_scale
from dtir_mm.models.finite import require_finite_output
from dtir_mm.models.matching_weights import require_same_architecture, require_sound
from dtir_mm.models.preprocessor import ImageRange, checked_range
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.tracing.sizes import SizeRule
from dtir_mm.registry import MODELS
from dtir_mm.weights_file import DEPLOYED_FORMAT, read_safetensors

_TOLERANCE = 1e-4
_PROBE_SIZE = 64


class DeployedNetwork(nn.Module):
    """Restores images in one pass, without a time step.

    Args:
        net: outputs the restored image, or its difference from the degraded one.
        global_skip: whether ``net`` outputs the restored image.
        size_rule: the sizes that it accepts.
        scaled: the range of its images.
    """

    def __init__(
        self, net: nn.Module, global_skip: bool, size_rule: SizeRule, scaled: ImageRange
    ) -> None:
        super().__init__()
        self.image_range = scaled
        self.net = net
        self.global_skip = global_skip
        self.size_rule = size_rule

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
def deploy(restorer: Restorer, t: int) -> DeployedNetwork:
    """The network that restores as ``restorer.restore_images`` does at ``t``, on the CPU.

    Raises:
        ValueError: ``t`` is outside 1..T, the adapters cannot be merged, the restorer outputs NaN
            or Inf, or the two differ on a random image: an operation after a norm's scale or the
            last layer cannot be folded.
    """
    if not 1 <= t <= restorer.schedule.num_steps:
        raise ValueError(f't={t} must lie in 1..{restorer.schedule.num_steps}')
    original = copy.deepcopy(restorer).cpu().eval()
    steps = torch.tensor([t])
    height, width = original.backbone.size_rule.enclosing(_PROBE_SIZE, _PROBE_SIZE)
    image = _random_image(1, height, width).to(next(original.parameters()))
    degraded = original.image_range.from_unit_range(image)
    expected = original(degraded, steps)

    scale = original.head.scale(original.schedule, steps).item()
    network = DeployedNetwork(
        fold_time_and_scale(original.backbone, t, scale),
        original.backbone.global_skip,
        original.backbone.size_rule,
        original.image_range,
    )
    error = _relative_error(network.unclamped(degraded), expected)
    if not error <= _TOLERANCE:
        raise ValueError(
            f'{type(network.net).__name__} cannot be deployed: without time it differs from the '
            f'restorer by {error:.2g} of the largest value, more than {_TOLERANCE:g}. Its last '
            f'layer must be a convolution whose output is used unchanged, and time-conditioned '
            f'modules must end with a scale and shift of each channel, without an adapter right '
            f'behind either'
        )
    return network


def save_deployed(
    network: DeployedNetwork, path: str | Path, backbone: dict[str, Any], **about: Any
) -> None:
    """Writes a deployed network as safetensors, from which ``load_deployed`` rebuilds it.

    Args:
        network: from ``deploy``.
        path: the file.
        backbone: config of the restorer's ``ConditionedBackbone``.
        about: further metadata, such as ``task`` and ``t``.
    """
    from safetensors.torch import save

    metadata = {
        'format': DEPLOYED_FORMAT,
        'size_multiple': network.size_rule.multiple,
        'image_range': json.dumps(network.image_range),
        'backbone': json.dumps(backbone),
        **about,
    }
    # Not save_file, whose files only their owner may read.
    content = save(network.state_dict(), {k: str(v) for k, v in metadata.items()})
    with replacing(path, lambda: len(content)) as temporary:
        temporary.write_bytes(content)


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
            f'{DEPLOYED_FORMAT!r}, as tools/deploy.py writes it'
        )
    values, config = _described(metadata, path)
    with torch.no_grad(), in_proportion_to(path), trust.building(config, 'backbone', path):
        scaled = checked_range(values)
        backbone = MODELS.build(config)
        net = fold_time(backbone, 1)  # any time step gives the structure
        network = DeployedNetwork(net, backbone.global_skip, backbone.size_rule, scaled)
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


def require_onnx() -> None:
    """Raises ImportError if a package that ``export_onnx`` needs is missing."""
    missing = [name for name in ('onnx', 'onnxruntime') if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f'ONNX needs {" and ".join(missing)}: pip install -r requirements/optional.txt'
        )


@torch.no_grad()
def export_onnx(network: DeployedNetwork, path: str | Path) -> int:
    """Writes ONNX from "image" to "restored" for any batch, height and width, and checks it.

    Returns:
        the multiple that heights and widths must be. It is larger than
        ``network.size_rule.multiple`` if the network pads images, which tracing does not keep.

    Raises:
        ValueError: onnxruntime computes another image than the network.
    """
    import onnxruntime

    height, width = network.size_rule.enclosing(_PROBE_SIZE, _PROBE_SIZE)
    axes = {0: 'batch', 2: 'height', 3: 'width'}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # some sizes are expected to fail
    with replacing(path) as temporary:
        with warnings.catch_warnings():
            # It warns of sizes that become constants, which is tested below, and that it is
            # deprecated; its successor takes twenty times as long.
            warnings.simplefilter('ignore')
            torch.onnx.export(
                network,
                (_random_image(1, height, width),),
                str(temporary),
                dynamo=False,
                input_names=['image'],
                output_names=['restored'],
                dynamic_axes={'image': axes, 'restored': axes},
            )
        session = onnxruntime.InferenceSession(
            str(temporary), options, providers=['CPUExecutionProvider']
        )
        for multiple in (network.size_rule.multiple * 2**i for i in range(7)):
            if _agrees(session, network, multiple):
                return multiple
        raise ValueError(
            f'{type(network.net).__name__} cannot be exported: onnxruntime computes another image '
            f'than the network. Its operations must not depend on the size of the image'
        )


def _agrees(session: Any, network: DeployedNetwork, multiple: int) -> bool:
    """Whether an ONNX session restores odd multiples in size as the network does."""
    height = multiple * (_PROBE_SIZE // 2 // multiple | 1)
    image = _random_image(2, *network.size_rule.enclosing(height, height + 2 * multiple))
    try:
        (restored,) = session.run(None, {'image': image.numpy()})
    except Exception:  # onnxruntime's errors share no other base
        return False
    expected = network(image)
    if restored.shape != expected.shape:
        return False
    return _relative_error(torch.from_numpy(restored), expected) <= _TOLERANCE


def _random_image(batch: int, height: int, width: int) -> Tensor:
    """Random images in [0, 1], always the same."""
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def _relative_error(result: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value if that exceeds one."""
    return ((result - expected).abs().max() / expected.abs().max().clamp(min=1)).item()
