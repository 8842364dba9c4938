"""Networks of spandrel as backbones, by name or from a public weights file.

``type='spandrel.RetinexFormer'`` takes the arguments of that network's constructor;
``type='PublicNetwork', file=...`` recovers architecture and arguments from the file. spandrel is
imported only when such a name is used.
"""

import importlib.util
import inspect
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn

from dtir_mm.memory_limit import in_proportion_to
from dtir_mm.models.backbones.public_xrestormer import XRestormerArchitecture
from dtir_mm.models.matching_weights import require_sound
from dtir_mm.models.wrapped_weights import candidates, described
from dtir_mm.registry import MODELS, Registry
from dtir_mm.weights_file import read_weights_file

# Restoration networks of spandrel_extra_arches.
_EXTRA = ('M3SNet', 'MIRNet2', 'MPRNet', 'Restormer')
_INSTALL_EXTRA = 'pip install spandrel_extra_arches. The licences of some forbid commercial use'
_NOISE_LEVEL = 15 / 255

Call = Callable[['_Native', Tensor], Tensor]


class SpandrelRegistry(Registry):
    """The networks of spandrel by the names that it exports, filled on the first request."""

    def get(self, key: str) -> type | None:
        """The backbone of that name, or None.

        Raises:
            ImportError: spandrel is not installed, or the package that contains this network.
        """
        self.fill()
        if key in _EXTRA and key not in self.module_dict:
            raise ImportError(f'spandrel.{key} needs spandrel_extra_arches: {_INSTALL_EXTRA}')
        return self.module_dict.get(key)

    def fill(self) -> None:
        """Registers the networks, once.

        Raises:
            ImportError: spandrel is not installed.
        """
        if not self.module_dict:
            for support in _architectures():
                self._register_networks(support.architecture)

    def _register_networks(self, architecture: Any) -> None:
        package = importlib.import_module(type(architecture).__module__)
        for name in package.__all__:
            network = getattr(package, name)
            if inspect.isclass(network) and issubclass(network, nn.Module):
                about = dict(network=network, architecture=architecture)
                about['registered'] = f'{self.scope}.{name}'
                backbone = type(network.__name__, (Restoring, network), about)
                self.register_module(name=name, module=backbone)


SPANDREL = SpandrelRegistry(ROOT_MODELS.name, parent=ROOT_MODELS, scope='spandrel')


class Restoring(nn.Module):
    """Mixin that makes a network of spandrel a backbone.

    Spandrel's networks restore images in [0, 1], a backbone in [-1, 1]. Parameters keep their
    names.

    Args:
        hyperparameters: those of the network.

    Raises:
        ValueError: with these hyperparameters it does not restore RGB images, or spandrel does not
            recognise it.
    """

    network: type[nn.Module]
    architecture: Any  # spandrel's description of it
    registered: str
    global_skip = True

    def __init__(self, **hyperparameters: Any) -> None:
        super().__init__(**hyperparameters)
        self.hyperparameters = hyperparameters
        try:
            found = self.architecture.load(self.state_dict())
        except (KeyError, ValueError, RuntimeError) as error:
            raise ValueError(
                f'{self.registered} with {hyperparameters} is not recognised by spandrel, so '
                f'the sizes that it takes are unknown: {error}'
            ) from error
        _require_restoration(self.registered, found)
        self.size_multiple = found.size_requirements.multiple_of
        self.size_minimum = max(found.size_requirements.minimum, 1)
        self.square_only = found.size_requirements.square
        # The descriptor's own call is for inference: it clamps, and computes no gradients.
        self._restore = _CALLS.get(self.architecture.id) or partial(_unit_range, found._call_fn)

    def forward(self, image: Tensor) -> Tensor:
        """Degraded images in [-1, 1], (B, 3, H, W), to restored ones."""
        return self._restore(_Native(self), image)

    def config(self) -> dict[str, Any]:
        """The config that builds this network, without its weights."""
        defaults = {n: p.default for n, p in inspect.signature(self.network).parameters.items()}
        changed = {n: v for n, v in self.hyperparameters.items() if v != defaults[n]}
        return {'type': self.registered, **changed}


class _Native:
    """A network as spandrel's call functions know it: its own forward, and its attributes."""

    def __init__(self, net: Restoring) -> None:
        self._net = net

    def __call__(self, image: Tensor) -> Tensor:
        return self._net.network.forward(self._net, image)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._net, name)


def _unit_range(call: Call, native: _Native, image: Tensor) -> Tensor:
    return 2 * call(native, (image + 1) / 2) - 1


def _with_noise_level(native: _Native, image: Tensor) -> Tensor:
    """DRUNet takes the level of the noise as a fourth channel; the value is spandrel's."""
    level = torch.full_like(image[:, :1], _NOISE_LEVEL)
    return native(torch.cat([image, level], dim=1))


# Replacements for spandrel's own calls. MixDehazeNet works in [-1, 1], but spandrel 0.4 feeds it
# [0, 1] (AmeryXiong/MixDehazeNet, datasets/loader.py).
_CALLS: dict[str, Call] = {
    'DRUNet': partial(_unit_range, _with_noise_level),
    'MixDehazeNet': lambda native, image: native(image),
}


@MODELS.register_module(name='PublicNetwork')
def public_network(file: str) -> nn.Module:
    """The network of a public weights file, with these weights; its config is logged.

    Raises:
        CheckpointError: there is no such file, it holds no weights, or a value is not finite.
        ValueError: it holds no known network, or one that does not restore RGB images.
    """
    return network_in(read_weights_file(file), file)


def network_in(content: Any, file: str | Path) -> nn.Module:
    """The same from the content of the file."""
    config, weights = _recovered(content, file)
    network = MODELS.build(config)
    require_sound(weights, network, str(file))
    network.load_state_dict(weights)
    print_log(f'{file} holds {config}', 'current')
    return network


def _recovered(content: Any, file: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config of the network in a public weights file, and the weights."""
    SPANDREL.fill()
    with in_proportion_to(file):
        found = _recognised(content, str(file))
        _require_restoration(str(file), found)
        known = {backbone.network: backbone for backbone in SPANDREL.module_dict.values()}
        network = known[type(found.model)](**found.model.hyperparameters)
    return network.config(), found.model.state_dict()


def _recognised(content: Any, file: str) -> Any:
    """Spandrel's ``ModelDescriptor`` of the first weights in a file that it recognises."""
    import spandrel

    loader = spandrel.ModelLoader(registry=_architectures())
    found = list(candidates(content, file))
    for candidate in found:
        try:
            return loader.load_from_state_dict(dict(candidate.weights))
        except spandrel.UnsupportedModelError:
            continue
        except Exception as error:  # its look-ups may fail in any way
            reason = ' '.join(str(error).split())
            raise ValueError(
                f'{file} almost holds the weights of a public network; spandrel fails with '
                f'{type(error).__name__}: {reason[:200]}'
            ) from error
    if any(name.startswith('backbone.net.') for name in found[0].weights):
        raise ValueError(
            f'{file} holds weights of a restorer of dtir_mm, but not its training config: pass '
            f'one with --config'
        )
    known = 'that is known here'
    if not set(_EXTRA) & set(SPANDREL.module_dict):
        known += f', where spandrel_extra_arches ({", ".join(_EXTRA)}) is not installed'
    raise ValueError(
        f'{file} holds the weights of no public network {known}; its {len(found[0].weights)} '
        f'tensors are {described(found[0].weights)}. If you have a config of their network, '
        f'pass it with --config'
    )


def self_contained(config: Any) -> Any:
    """A config that builds the network without the public weights file.

    Raises:
        CheckpointError, ValueError: see ``public_network``.
    """
    if isinstance(config, dict):
        if config.get('type') in ('PublicNetwork', 'dtir_mm.PublicNetwork'):
            return _recovered(read_weights_file(config['file']), config['file'])[0]
        return {key: self_contained(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(self_contained(value) for value in config)
    return config


def _require_restoration(name: str, found: Any) -> None:
    """Raises ValueError unless spandrel's ``ModelDescriptor`` is of a network that restores RGB."""
    channels = (found.input_channels, found.output_channels)
    if found.purpose != 'Restoration' or found.scale != 1 or channels != (3, 3):
        raise ValueError(
            f'{name} is {found.architecture.name} for {found.purpose}, from {channels[0]} to '
            f'{channels[1]} channels at scale {found.scale}; a backbone must be for Restoration, '
            f'from 3 to 3 at scale 1'
        )


def _architectures() -> Any:
    """Spandrel's registry of architectures, with X-Restormer, and the extra ones if installed.

    Raises:
        ImportError: spandrel is not installed.
    """
    try:
        import spandrel
    except ImportError as error:
        raise ImportError('public networks need spandrel: pip install spandrel') from error
    registry = spandrel.MAIN_REGISTRY.copy()
    ours = XRestormerArchitecture()
    registry.add(spandrel.ArchSupport(ours, ours.detect))
    if importlib.util.find_spec('spandrel_extra_arches') is not None:
        with warnings.catch_warnings():
            # Version 0.2 calls torch.jit.script on import (CodeFormer), which torch deprecates.
            warnings.filterwarnings('ignore', '`torch.jit.script` is', FutureWarning)
            extra = importlib.import_module('spandrel_extra_arches')
        registry.add(*extra.EXTRA_REGISTRY, ignore_duplicates=True)
    return registry
