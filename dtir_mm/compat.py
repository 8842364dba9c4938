"""All patches for upstream bugs.

Each patch names the bug, and when it can be removed. Nothing runs before it is needed: mmagic's
networks are made importable when the first one is named.
"""

import argparse
import importlib
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dtir_mm.versions import MMAGIC, check_versions, installed_version

check_versions()

# Modules with the same LayerNorm2d, a custom autograd function.
_CUSTOM_LAYER_NORMS = (
    'mmagic.models.editors.nafnet.naf_layerNorm2d',
    'spandrel.architectures.NAFNet.__arch.arch_util',
    'spandrel.architectures.KBNet.__arch.kb_utils',
    'spandrel_extra_arches.architectures.M3SNet.__arch.arch_utils',
)

_KBNET = 'spandrel.architectures.KBNet.'

# Restoration networks of mmagic 1.2 that need neither mmcv.ops nor diffusers.
MMAGIC_MODULES: dict[str, str] = {
    'NAFNet': 'mmagic.models.editors.nafnet.nafnet_net',
    'NAFNetLocal': 'mmagic.models.editors.nafnet.nafnet_net',
    'Restormer': 'mmagic.models.editors.restormer.restormer_net',
    'SwinIRNet': 'mmagic.models.editors.swinir.swinir_net',
}
# Its data set of pairs, and the transforms that its restoration configs use.
MMAGIC_DATA_MODULES: dict[str, str] = {
    'BasicImageDataset': 'mmagic.datasets.basic_image_dataset',
    'LoadImageFromFile': 'mmagic.datasets.transforms.loading',
    'SetValues': 'mmagic.datasets.transforms.values',
    'PairedRandomCrop': 'mmagic.datasets.transforms.crop',
    'Flip': 'mmagic.datasets.transforms.aug_shape',
    'RandomTransposeHW': 'mmagic.datasets.transforms.aug_shape',
    'PackInputs': 'mmagic.datasets.transforms.formatting',
}

# Properties (``models/tracing/trace.py``) that mmagic's networks do not declare; SwinIRNet and
# NAFNet pad their input.
_MMAGIC_FACTS: dict[str, dict[str, Any]] = {
    'NAFNet': {'global_skip': True, 'size_multiple': 1},
    'NAFNetLocal': {'global_skip': True, 'size_multiple': 1},
    'Restormer': {'global_skip': True, 'size_multiple': 8},
    'SwinIRNet': {'global_skip': True},
}

# Packages of mmagic whose __init__ imports all of its algorithms.
_EAGER_PACKAGES = (
    'models', 'models.editors', 'models.losses', 'models.archs', 'models.base_models',
    'models.data_preprocessors', 'models.utils', 'models.editors.nafnet',
    'models.editors.restormer', 'models.editors.swinir', 'datasets', 'datasets.transforms',
    'evaluation', 'evaluation.metrics', 'visualization', 'engine', 'engine.hooks',
)  # fmt: skip


def import_mmagic(name: str) -> None:
    """Makes mmagic importable, and imports the module that registers ``name``, if known.

    Raises:
        ImportError: mmagic is not installed; the message tells how to install it.
    """
    if installed_version('mmagic') is None:
        raise ImportError(f'mmagic.{name} needs mmagic: pip install {MMAGIC}')
    _make_mmagic_importable()
    if name in MMAGIC_MODULES:
        network = getattr(importlib.import_module(MMAGIC_MODULES[name]), name)
        for fact, value in _MMAGIC_FACTS[name].items():
            setattr(network, fact, value)
    elif name in MMAGIC_DATA_MODULES:
        importlib.import_module(MMAGIC_DATA_MODULES[name])


def _make_mmagic_importable() -> None:
    """Makes single modules of mmagic 1.2.0 importable.

    Bug: ``import mmagic.models`` imports 61 algorithms, and with them mmcv.ops, diffusers and
    transformers; some use ``numpy.bool8``, which numpy 2 removed. Empty packages with the real
    paths replace the eager ones, unless all of mmagic was imported already. Can be removed when
    mmagic imports its algorithms lazily.
    """
    if 'mmagic.models' in sys.modules:
        return
    vars(np).setdefault('bool8', np.bool_)
    root = importlib.import_module('mmagic').__path__[0]
    for package in _EAGER_PACKAGES:
        placeholder = types.ModuleType(f'mmagic.{package}')
        placeholder.__path__ = [f'{root}/{package.replace(".", "/")}']
        sys.modules[placeholder.__name__] = placeholder


@contextmanager
def names_are_not_imported() -> Iterator[None]:
    """Inside, mmengine's registries only look names up, and do not import them.

    Bug: mmengine tries to import a name that is not registered, also if mmcv looks up a layer
    (``ConvModule(padding_mode='module')``). Our own registries do not (``registry.py``). Can be
    removed when mmengine's do not either.
    """
    from mmengine.registry import registry as module

    originals = module.import_module, module.get_object_from_string

    def imported_before(name: str) -> types.ModuleType:
        if name.endswith('.registry') and name not in sys.modules:
            raise ImportError(f'{name} is not imported for a name in a file')
        return importlib.import_module(name)

    module.import_module, module.get_object_from_string = imported_before, lambda name: None
    try:
        yield
    finally:
        module.import_module, module.get_object_from_string = originals


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W), in native operations."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter, eps: float) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias
        self.eps = eps

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        centred = u - u.mean(1, keepdim=True)
        # u.var(1) takes eight times as long.
        deviation = (centred.square().mean(1, keepdim=True) + self.eps).sqrt()
        return centred / deviation * self.weight[:, None, None] + self.bias[:, None, None]


def mend_custom_functions(network: nn.Module) -> nn.Module:
    """Replaces known custom autograd functions by native operations, in place.

    Bug: the layer norms of NAFNet and similar networks, and KBNet's kernel basis attention, treat
    saved tensors as constants, so that their second derivatives are silently wrong. Can be removed
    when mmagic and spandrel use native operations. Parameters are kept.
    """
    module: Any  # of another package, with attributes that the type nn.Module does not have
    child: Any
    for module in list(network.modules()):
        for name, child in module.named_children():
            kind = type(child)
            if kind.__name__ == 'LayerNorm2d' and kind.__module__ in _CUSTOM_LAYER_NORMS:
                setattr(module, name, LayerNorm2d(child.weight, child.bias, child.eps))
        if type(module).__module__.startswith(_KBNET) and hasattr(module, 'KBA'):
            module.KBA = _kernel_basis_attention
    return network


def _kernel_basis_attention(*arguments: Any) -> Tensor:
    """The native forward of spandrel's ``KBAFunction``, checkpointed to save as much memory."""
    from spandrel.architectures.KBNet.__arch.kb_utils import KBAFunction

    forward = partial(KBAFunction.forward, types.SimpleNamespace())
    return checkpoint(forward, *arguments, use_reentrant=False, preserve_rng_state=False)


def safe_checkpoint_globals() -> list[Any]:
    """Harmless types in other projects' checkpoints, for reading with ``weights_only=True``.

    Bug: since torch 2.6, ``torch.load`` refuses the ``HistoryBuffer`` that mmengine 0.10 stores,
    and the arguments and scores (``Namespace``, numpy scalars) of other training code. Can be
    removed when these store plain data.
    """
    from mmengine.logging import HistoryBuffer

    # Its name depends on the version of numpy.
    reconstruct = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]

    def statistics_method(owner: type, name: str) -> Any:
        """Replaces ``getattr``, which HistoryBuffer's pickles call for its own methods."""
        if owner is not HistoryBuffer or name.startswith('_'):
            raise ValueError(f'refused to look up {name!r} of {owner!r}')
        return getattr(owner, name)

    dtypes = [type(np.dtype(kind)) for kind in ('float32', 'float64', 'int32', 'int64', 'bool')]
    return [
        HistoryBuffer,
        (reconstruct, 'numpy.core.multiarray._reconstruct'),
        (reconstruct, 'numpy._core.multiarray._reconstruct'),
        (scalar, 'numpy.core.multiarray.scalar'),
        (scalar, 'numpy._core.multiarray.scalar'),
        (statistics_method, 'builtins.getattr'),
        argparse.Namespace,
        np.ndarray,
        np.dtype,
        *dtypes,
    ]
