"""Deployed networks as ONNX files, run by onnxruntime on the CPU."""

import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dtir_mm.apis.deployment import (
    PROBE_SIZE,
    TOLERANCE,
    DeployedNetwork,
    DeployedStep,
    random_image,
    relative_error,
)
from dtir_mm.files import replacing
from dtir_mm.models.preprocessor import ImageRange
from dtir_mm.models.tracing.sizes import SizeRule, cause, size_rule
from dtir_mm.weights_file import DEPLOYED_FORMAT, CheckpointError

_UNIT_RANGE = ImageRange(0.0, 1.0)
_LARGEST = 4096  # pixels, of a size rule
_ACCEPTED = 'one input and one output of 32-bit floats (B, 3, H, W), RGB in [0, 1]'


class OnnxNetwork(nn.Module):
    """Restores images with an ONNX session, one at a time.

    The files of ``export_onnx`` clamp what they output: where tiles overlap, and in an ensemble,
    clamped images are averaged.

    Args:
        session: of onnxruntime.
        step: the time step that it was deployed at.
    """

    image_range = _UNIT_RANGE
    size_rule = SizeRule()

    def __init__(self, session: Any, step: DeployedStep) -> None:
        super().__init__()
        # As the weights of other networks, it has the device and type of the images.
        self.device = nn.Parameter(torch.empty(0), requires_grad=False)
        self.step = step
        self._session = session
        self._input = session.get_inputs()[0].name

    def forward(self, image: Tensor) -> Tensor:
        """Degraded RGB images in [0, 1], (B, 3, H, W), to restored ones.

        Raises:
            RuntimeError: onnxruntime fails, as for a size that the network does not accept.
        """
        parts = [part.float().cpu().numpy() for part in image.split(1)]
        try:
            results = [self._session.run(None, {self._input: part})[0] for part in parts]
        except Exception as error:  # onnxruntime's errors share no other base
            raise RuntimeError(f'onnxruntime: {cause(error)}') from error
        return torch.cat([torch.from_numpy(result) for result in results]).to(image)

    unclamped = forward


def load_onnx(path: str | Path) -> OnnxNetwork:
    """The network in an ONNX file, with as many threads as torch has.

    For a file that ``export_onnx`` did not write, the accepted sizes are found by trying.

    Raises:
        ImportError: onnxruntime is not installed.
        CheckpointError: the file is damaged, or has operations that onnxruntime lacks.
        ValueError: it does not map images to images, its sizes are fixed, or its metadata is wrong.
    """
    if importlib.util.find_spec('onnxruntime') is None:
        raise ImportError(f'{path} needs onnxruntime: pip install onnxruntime')
    try:
        session = _session(path)
    except Exception as error:  # onnxruntime's errors share no other base
        raise CheckpointError(
            f'{path} is no ONNX network that onnxruntime can load: it is damaged, or has '
            f'operations unknown here: {cause(error)[:200]}'
        ) from error
    _require_images(session, path)
    metadata = session.get_modelmeta().custom_metadata_map
    network = OnnxNetwork(session, DeployedStep.of(metadata, path)).eval()
    if metadata.get('format') == DEPLOYED_FORMAT:
        network.size_rule = _stated_rule(metadata, path)
        return network
    try:
        network.size_rule = size_rule(network)
    except ValueError as error:
        raise ValueError(f'{path} must have {_ACCEPTED}, of the same size: {error}') from error
    return network


def require_onnx() -> None:
    """Raises ImportError if a package that ``export_onnx`` needs is missing."""
    missing = [name for name in ('onnx', 'onnxruntime') if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'ONNX needs {" and ".join(missing)}: pip install onnx onnxruntime')


@torch.no_grad()
def export_onnx(network: DeployedNetwork, path: str | Path, checkpoint: str = '') -> int:
    """Writes ONNX from "image" to "restored" for any batch, height and width, and checks it.

    Its metadata name the accepted sizes, the time step, the task and the checkpoint.

    Returns:
        the multiple that heights and widths must be. It is larger than
        ``network.size_rule.multiple`` if the network pads images, which tracing does not keep.

    Raises:
        ValueError: onnxruntime computes another image than the network.
    """
    rule = network.size_rule
    axes = {0: 'batch', 2: 'height', 3: 'width'}
    with replacing(path) as temporary:
        with warnings.catch_warnings():
            # It warns of sizes that become constants, which is tested below, and that it is
            # deprecated; its successor takes twenty times as long.
            warnings.simplefilter('ignore')
            torch.onnx.export(
                network,
                (random_image(1, *rule.enclosing(PROBE_SIZE, PROBE_SIZE)),),
                str(temporary),
                dynamo=False,
                input_names=['image'],
                output_names=['restored'],
                dynamic_axes={'image': axes, 'restored': axes},
            )
        session = _session(temporary)
        multiples = (rule.multiple * 2**i for i in range(7))
        multiple = next((m for m in multiples if _agrees(session, network, m)), None)
        if multiple is None:
            raise ValueError(
                f'{type(network.net).__name__} cannot be exported: onnxruntime computes another '
                f'image than the network. Its operations must not depend on the size of the image'
            )
        exported = SizeRule(multiple, rule.minimum, rule.square)
        _add_metadata(temporary, exported, network.step, checkpoint)
    return multiple


def _session(path: str | Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # its errors are raised as well, and some are expected
    return onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])


def _require_images(session: Any, path: str | Path) -> None:
    """Raises ValueError unless a session maps images of any size to one tensor."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = ', '.join(f'{each.name} {each.type} {each.shape}' for each in (*inputs, *outputs))
    shape = inputs[0].shape if len(inputs) == len(outputs) == 1 else []
    fixed = [isinstance(length, int) for length in shape]
    is_image = len(shape) == 4 and (shape[1] == 3 or not fixed[1])
    if not is_image or inputs[0].type != 'tensor(float)':
        raise ValueError(f'{path} must have {_ACCEPTED}; its inputs and outputs are {found[:200]}')
    sides = shape[2:]
    if any(fixed[2:]):
        raise ValueError(
            f'{path} takes only images of {sides[0]} x {sides[1]} pixels: export it for any height '
            f'and width (dynamic_axes of torch.onnx.export)'
        )


def _agrees(session: Any, network: DeployedNetwork, multiple: int) -> bool:
    """Whether an ONNX session restores odd multiples in size as the network does."""
    height = multiple * (PROBE_SIZE // 2 // multiple | 1)
    image = random_image(2, *network.size_rule.enclosing(height, height + 2 * multiple))
    try:
        (restored,) = session.run(None, {'image': image.numpy()})
    except Exception:  # onnxruntime's errors share no other base
        return False
    expected = network(image)
    if restored.shape != expected.shape:
        return False
    return relative_error(torch.from_numpy(restored), expected) <= TOLERANCE


def _add_metadata(path: Path, rule: SizeRule, step: DeployedStep, checkpoint: str) -> None:
    import onnx

    model = onnx.load(str(path))
    metadata = {
        'format': DEPLOYED_FORMAT,
        **step.metadata,
        'size_multiple': str(rule.multiple),
        'size_minimum': str(rule.minimum),
        'square_only': str(rule.square),
        'image_range': str(list(_UNIT_RANGE)),
        'checkpoint': checkpoint,
    }
    onnx.helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())


def _stated_rule(metadata: Mapping[str, str], path: str | Path) -> SizeRule:
    """The sizes in the metadata of a file of ours."""
    numbers = [metadata.get(name, '') for name in ('size_multiple', 'size_minimum')]
    if not all(n.isascii() and n.isdigit() and 1 <= int(n[:9]) <= _LARGEST for n in numbers):
        raise ValueError(
            f'{path}: size_multiple and size_minimum in its metadata must lie in 1..{_LARGEST}, '
            f'got {[number[:9] for number in numbers]}'
        )
    multiple, minimum = map(int, numbers)
    return SizeRule(multiple, minimum, metadata.get('square_only') == 'True')
