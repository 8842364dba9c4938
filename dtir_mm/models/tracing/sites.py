"""Where FiLM layers and adapters act in a network, from its trace."""

import contextlib
import difflib
import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch
from torch import nn

from dtir_mm.models.tracing.trace import BATCH, NetworkTrace, is_composite

_CHANNELS_LAST = (nn.LayerNorm, nn.RMSNorm, nn.Linear)
_CHANNELS_FIRST = (nn.GroupNorm, nn.modules.batchnorm._NormBase)  # includes instance norm


class Site(NamedTuple):
    """A module whose output a FiLM layer modulates; its ``channels`` are at ``axis``."""

    name: str
    channels: int
    axis: int


def is_affine_norm(module: nn.Module) -> bool:
    """Whether a module is a normalization layer with a learned scale per channel."""
    weight = getattr(module, 'weight', None)
    named_norm = 'norm' in type(module).__name__.lower()
    return named_norm and isinstance(weight, nn.Parameter) and weight.ndim == 1


def stage_of(net: nn.Module, name: str) -> str:
    """The stage of the module ``name``: the first part of its path that is not a ``ModuleList``.

    For ``encoders.2.0.norm1`` this is ``encoders.2`` if ``encoders`` is a ``ModuleList``.
    """
    module, path = net, []
    for part in name.split('.'):
        module = module.get_submodule(part)
        path.append(part)
        if not isinstance(module, nn.ModuleList):
            break
    return '.'.join(path)


def conditioning_sites(
    trace: NetworkTrace, patterns: Sequence[str] | None = None
) -> dict[str, list[Site]]:
    """The modules whose outputs are conditioned on time, one group for each FiLM layer.

    The first of these that exists: what matches ``patterns``; the groups that the network declares
    (``conditioning_groups``); its affine norms; its convolutions to feature maps, except the last.
    Norms whose output has another batch size (windows) are skipped. Unless declared, there is a
    group for each stage and number of channels.

    Args:
        trace: the network's trace.
        patterns: names of modules, with wildcards as in file names; None for no patterns.

    Raises:
        ValueError: a named module cannot be conditioned, a pattern matches none, or no site is
            found.
    """
    net = trace.net
    if patterns is not None:
        return _by_stage(net, [_site(trace, name) for name in _matching(net, patterns)])
    declared = getattr(net, 'conditioning_groups', None)
    if declared is not None:
        groups: dict[str, list[str]] = declared()
        return {group: [_site(trace, name) for name in names] for group, names in groups.items()}
    norms = [name for name, module in net.named_modules() if is_affine_norm(module)]
    sites = _usable(trace, norms) or _usable(trace, _convolutions(trace))
    if not sites:
        raise ValueError(
            f'{type(net).__name__} has no affine norm that keeps the batch, nor two convolutions '
            f'that time could condition; name some of its modules by conditioning=[...] of '
            f'ConditionedBackbone, or give it a method conditioning_groups()'
        )
    return _by_stage(net, sites)


def encoder_and_middle(trace: NetworkTrace) -> list[str]:
    """The stages up to the last one at the smallest resolution, in the order of execution.

    Raises:
        ValueError: no stage outputs a feature map.
    """
    stages, last = _stages(trace)
    return _require_stages(trace, stages[: last + 1], 'no stage')


def decoder(trace: NetworkTrace) -> list[str]:
    """The stages after the last one at the smallest resolution, in the order of execution.

    Raises:
        ValueError: no such stage outputs a feature map.
    """
    stages, last = _stages(trace)
    return _require_stages(trace, stages[last + 1 :], 'no stage behind the smallest resolution')


def channels_at(trace: NetworkTrace, sites: Sequence[str]) -> dict[str, int]:
    """Channels of the feature maps (B, C, H, W) at sites of adapters.

    Raises:
        ValueError: there are no sites, or one does not exist or outputs no feature map.
    """
    if not sites:
        raise ValueError('sites=[] of the adapters must name at least one module, or be None')
    maps = _feature_maps(trace)
    for site in sites:
        if site not in maps:
            raise ValueError(
                f'site {site!r} is no module of {type(trace.net).__name__} that has parameters and '
                f'gives a feature map (B, C, H, W). These do: {_outermost(maps)}, and parts of them'
            )
    return {site: maps[site][1] for site in sites}


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


def _convolutions(trace: NetworkTrace) -> list[str]:
    """Convolutions to feature maps, without the one that runs last."""
    return [
        name
        for name, module in trace.net.named_modules()
        if isinstance(module, nn.Conv2d) and name != trace.last_convolution and name in trace.shapes
        if all(min(shape[2:], default=1) > 1 for shape in trace.shapes[name])
    ]


def _usable(trace: NetworkTrace, names: list[str]) -> list[Site]:
    sites = []
    for name in names:
        with contextlib.suppress(ValueError):
            sites.append(_site(trace, name))
    return sites


def _site(trace: NetworkTrace, name: str) -> Site:
    """Raises ValueError if the module cannot be conditioned; the message says why."""
    module = trace.net.get_submodule(name)
    refused = f'cannot condition module {name!r} ({type(module).__name__}): '
    if name not in trace.shapes:
        raise ValueError(f'{refused}it does not run, or gives no tensor')
    for shape in trace.shapes[name]:
        if shape[:1] != (BATCH,) or len(shape) < 2:
            raise ValueError(
                f'{refused}its output {tuple(shape)} does not have the batch size of the images, '
                f'{BATCH}. Name modules whose output has it'
            )
    shape = trace.shapes[name][0]
    axis = _channel_axis(module, shape)
    if axis is None:
        raise ValueError(
            f'{refused}no axis of its output {tuple(shape)} has the {_channels(module)} channels '
            f'of its weight'
        )
    return Site(name, shape[axis], axis)


def _channel_axis(module: nn.Module, shape: torch.Size) -> int | None:
    """The axis of an output's channels: known for torch's layers, else by the weight's size."""
    last = len(shape) - 1
    if isinstance(module, _CHANNELS_LAST):
        return last
    if isinstance(module, _CHANNELS_FIRST) or not is_affine_norm(module):
        return 1
    fitting = [axis for axis in (1, last) if shape[axis] == _channels(module)]
    tokens_first = fitting[::-1] if len(shape) == 3 else fitting
    return tokens_first[0] if tokens_first else None


def _channels(norm: nn.Module) -> int:
    return norm.get_parameter('weight').numel()


def _feature_maps(trace: NetworkTrace) -> dict[str, torch.Size]:
    """Shapes (B, C, H, W) of the outputs of modules with parameters, in the order of execution."""
    return {
        name: shapes[0]
        for name, shapes in trace.shapes.items()
        if name
        and next(trace.net.get_submodule(name).parameters(), None) is not None
        and _is_feature_map(shapes[0], trace.image_shape)
    }


def _is_feature_map(shape: torch.Size, image: torch.Size) -> bool:
    """Whether an output is (B, C, H, W), rather than (B, H, W, C): by the image's aspect ratio."""
    if len(shape) != 4 or shape[0] != image[0] or 0 in shape:
        return False
    expected = math.log(image[2] / image[3])
    channels_first = abs(math.log(shape[2] / shape[3]) - expected)
    channels_last = abs(math.log(shape[1] / shape[2]) - expected)
    return channels_first <= min(channels_last, 0.5)


def _outermost(maps: dict[str, torch.Size]) -> list[str]:
    return [name for name in maps if not any(name.startswith(f'{other}.') for other in maps)]


def _stages(trace: NetworkTrace) -> tuple[list[str], int]:
    """The stages in the order of execution, and the index of the last at the smallest resolution.

    A single norm or convolution (stem, head, change of resolution) is no stage.
    """
    net, maps = trace.net, _feature_maps(trace)
    named = dict(net.named_modules())
    norms = [name for name, module in named.items() if is_affine_norm(module)]
    convolutions = [name for name, module in named.items() if isinstance(module, nn.Conv2d)]
    candidates = {stage_of(net, name) for name in norms or convolutions}
    stages = [name for name in maps if name in candidates and is_composite(named[name])]
    sizes = [maps[name][2] for name in stages]
    last = max((i for i, size in enumerate(sizes) if size == min(sizes)), default=-1)
    return stages, last


def _require_stages(trace: NetworkTrace, stages: list[str], missing: str) -> list[str]:
    if not stages:
        raise ValueError(
            f'{missing} of {type(trace.net).__name__} gives a feature map (B, C, H, W). Name some '
            f'of its modules that do as sites: {_outermost(_feature_maps(trace))}, or parts of them'
        )
    return stages
