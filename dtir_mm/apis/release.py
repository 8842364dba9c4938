"""A whole restorer as one file of half-precision weights, to be given away.

It has the network with its time conditioning, the classifier, the time steps and the config of the
model; what only training needs (optimiser, importance, config of the data) is left out. It is read
as a checkpoint is (``weights_file.py``).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dtir_mm.analysis.summary import code_version
from dtir_mm.engine.checkpoint import Checkpoint, config_to_json
from dtir_mm.models.backbones.zoo import self_contained
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.weights_file import RELEASE_FORMAT, write_safetensors

# Of the meta of the checkpoint.
_STATED = ('ema_decay', 'global_batch', 'iter', 'objective', 'precision', 'seed')
_ONLY_FOR_TRAINING = ('step', 'freeze')
_TOLERANCE = 2**-10  # of a tensor's largest value; half precision rounds to 2**-11 of each value


def save_release(
    restorer: Restorer,
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    path: str | Path,
    license_text: str | None = None,
) -> list[str]:
    """Writes a release file, from which ``load_checkpoint`` and ``load_restorer`` read.

    Args:
        restorer: of the checkpoint, with its averaged weights (EMA) if there are any.
        checkpoint: where it comes from.
        config: the whole config that it was built from.
        path: the file, ``.safetensors``.
        license_text: of the weights, for the file's metadata.

    Returns:
        the names of the tensors that stay in single precision, because half precision overflows or
        is too coarse for values so small.
    """
    weights = restorer.state_dict()
    halves = {name: in_half_precision(value) for name, value in weights.items()}
    meta = {name: getattr(checkpoint.meta, name) for name in _STATED}
    meta = {name: value for name, value in meta.items() if value is not None}
    meta |= {
        'tasks': list(checkpoint.meta.tasks),
        'timesteps': dict(restorer.timesteps.by_task),
        'fixed_timestep': restorer.timesteps.fixed,
    }
    about = {
        'format': RELEASE_FORMAT,
        'meta': json.dumps(meta),
        'config': config_to_json(_restoring(config, restorer)),
        'checkpoint': checkpoint.origin,
        'commit': code_version(),  # of the code that writes the file
        'license': license_text,
    }
    write_safetensors(path, halves, {key: text for key, text in about.items() if text})
    return [n for n, value in weights.items() if value.is_floating_point() and halves[n] is value]


def in_half_precision(tensor: Tensor) -> Tensor:
    """A tensor in half precision, or itself if that is not close, or it holds integers."""
    if not tensor.is_floating_point() or not tensor.numel():
        return tensor
    half = tensor.half()
    error = (half.to(tensor.dtype) - tensor).abs().max()
    return half if error <= _TOLERANCE * tensor.abs().max() else tensor


def _restoring(config: Mapping[str, Any], restorer: Restorer) -> dict[str, Any]:
    """The part of a config that restoring needs."""
    model = {key: v for key, v in config['model'].items() if key not in _ONLY_FOR_TRAINING}
    fixed, by_task = restorer.timesteps.fixed, restorer.timesteps.by_task
    model['timesteps'] = dict(by_task) if fixed is None else f'fixed:{fixed}'
    imports = {key: v for key, v in config.items() if key == 'custom_imports'}
    return {'model': self_contained(model), **imports}
