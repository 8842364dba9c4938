"""Where time enters a network: behind its norms, found by one forward pass."""

import contextlib
import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch
from torch import nn

from dtir_mm.models.backbones.probe import blank_images, cause, output_shapes

_BATCH = 2
# No level of a U-Net has a side here that is a usual number of channels.
_HEIGHT, _WIDTH = 72, 104
_CHANNELS_LAST = (nn.LayerNorm, nn.RMSNorm, nn.Linear)
_CHANNELS_FIRST = (nn.GroupNorm, nn.modules.batchnorm._NormBase)  # of instance norm too


class Site(NamedTuple):
    """A module behind which a FiLM layer scales and shifts ``channels``, which lie at ``axis``."""

    name: str
    channels: int
    axis: int


def is_affine_norm(module: nn.Module) -> bool:
    """True for a normalisation layer with a learnt scale of one value a channel."""
    weight = getattr(module, 'weight', None)
    named_norm = 'norm' in type(module).__name__.lower()
    return named_norm and isinstance(weight, nn.Parameter) and weight.ndim == 1


def stage_of(net: nn.Module, name: str) -> str:
    """The stage that the module ``name`` belongs to: the first part of its path that is not a list.

    ``encoders.2.0.norm1`` lies in stage ``encoders.2`` when ``encoders`` is a ``ModuleList``.
    """
    module, path = net, []
    for part in name.split('.'):
        module = module.get_submodule(part)
        path.append(part)
        if not isinstance(module, nn.ModuleList):
            break
    return '.'.join(path)


def conditioning_sites(
    net: nn.Module, patterns: Sequence[str] | None = None
) -> dict[str, list[Site]]:
    """The modules behind which time enters, one group for each FiLM layer.

    The first of these that there is: what matches ``patterns``; the groups that the network states
    (``contract.py``); its affine norms; its convolutions to feature maps, except the last. Norms
    whose output has lost the batch (windows that count as samples) are passed over. Groups that are
    not stated are one a stage and channel width.

    Args:
        net: the network; it runs once on a small blank image.
        patterns: names of modules, with wildcards as in file names.

    Raises:
        ValueError: the network fails, time cannot enter behind a module that is named, a pattern
            matches none, or none is found.
    """
    named = dict(net.named_modules())
    images = blank_images(net, _BATCH, _HEIGHT, _WIDTH)
    try:
        shapes = output_shapes(net, images)
    except Exception as error:  # a network of the user's own may raise anything
        raise ValueError(
            f'{type(net).__name__} cannot be run on {tuple(images.shape)} to find where time '
            f'enters: {cause(error)}. Does it take other sizes than it states (contract.py)?'
        ) from error
    if patterns is not None:
        names = _matching(net, patterns)
        return _by_stage(net, [_site(named[name], name, shapes) for name in names])
    if hasattr(net, 'conditioning_groups'):
        return {
            group: [_site(net.get_submodule(name), name, shapes) for name in names]
            for group, names in net.conditioning_groups().items()
        }
    norms = [name for name, module in named.items() if is_affine_norm(module)]
    sites = _usable(net, norms, shapes) or _usable(net, _convolutions(net, shapes), shapes)
    if not sites:
        raise ValueError(
            f'{type(net).__name__} has no affine norm that keeps the batch, nor two convolutions '
            f'that time could condition; name some of its modules by conditioning=[...] of '
            f'ConditionedBackbone, or give it a method conditioning_groups()'
        )
    return _by_stage(net, sites)


def _by_stage(net: nn.Module, sites: Iterable[Site]) -> dict[str, list[Site]]:
    groups: dict[str, list[Site]] = {}
    for site in sites:
        groups.setdefault(f'{stage_of(net, site.name)}/{site.channels}', []).append(site)
    return groups


def _matching(net: nn.Module, patterns: Sequence[str]) -> list[str]:
    names = [name for name, _ in net.named_modules() if name]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            close = difflib.get_close_matches(pattern, names, n=3, cutoff=0.3)
            raise ValueError(
                f'conditioning: {pattern!r} matches no module of {type(net).__name__}. Closest: '
                f'{", ".join(close)}'
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _convolutions(net: nn.Module, shapes: dict[str, list[torch.Size]]) -> list[str]:
    """Convolutions to feature maps, without the one that runs last."""
    convolutions = {name for name, m in net.named_modules() if isinstance(m, nn.Conv2d)}
    last = [name for name in shapes if name in convolutions][-1:]
    maps = {name for name in shapes if all(min(shape[2:], default=1) > 1 for shape in shapes[name])}
    return [name for name, _ in net.named_modules() if name in (convolutions & maps) - {*last}]


def _usable(net: nn.Module, names: list[str], shapes: dict[str, list[torch.Size]]) -> list[Site]:
    sites = []
    for name in names:
        with contextlib.suppress(ValueError):
            sites.append(_site(net.get_submodule(name), name, shapes))
    return sites


def _site(module: nn.Module, name: str, shapes: dict[str, list[torch.Size]]) -> Site:
    """Raises ValueError where time cannot enter behind the module; the message says why."""
    refused = f'cannot condition module {name!r} ({type(module).__name__}): '
    if name not in shapes:
        raise ValueError(f'{refused}it does not run, or gives no tensor')
    for shape in shapes[name]:
        if shape[:1] != (_BATCH,) or len(shape) < 2:
            raise ValueError(
                f'{refused}its output {tuple(shape)} has not the batch of {_BATCH} that the '
                f'images have. Name modules whose output has'
            )
    axis = _channel_axis(module, shapes[name][0])
    if axis is None:
        raise ValueError(
            f'{refused}no axis of its output {tuple(shapes[name][0])} has the '
            f'{module.weight.numel()} channels of its weight'
        )
    return Site(name, shapes[name][0][axis], axis)


def _channel_axis(module: nn.Module, shape: torch.Size) -> int | None:
    """Where channels lie in an output: known of torch's layers, for other norms by their weight."""
    last = len(shape) - 1
    if isinstance(module, _CHANNELS_LAST):
        return last
    if isinstance(module, _CHANNELS_FIRST) or not is_affine_norm(module):
        return 1
    fitting = [axis for axis in (1, last) if shape[axis] == module.weight.numel()]
    tokens_first = fitting[::-1] if len(shape) == 3 else fitting
    return tokens_first[0] if tokens_first else None
