"""Where adapters go in a network: behind its stages, found by one forward pass."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from dtir_mm.models.backbones import depth
from dtir_mm.models.backbones.sites import is_affine_norm, stage_of


def encoder_and_middle(net: nn.Module, sites: Sequence[str] | None = None) -> dict[str, int]:
    """Channels behind the stages up to the last one at the smallest resolution, or at ``sites``.

    Raises:
        ValueError: a site does not exist or gives no feature map, or there is no stage that does.
    """
    maps = _feature_maps(net)
    if sites is None:
        sites, _ = _stages(net, maps)
    return _channels(net, sites, maps, 'no stage')


def decoder(net: nn.Module, sites: Sequence[str] | None = None) -> dict[str, int]:
    """Channels behind the stages that follow the last one at the smallest resolution; or ``sites``.

    Raises:
        ValueError: a site does not exist or gives no feature map, or there is no stage that does.
    """
    maps = _feature_maps(net)
    if sites is None:
        _, sites = _stages(net, maps)
    return _channels(net, sites, maps, 'no stage behind the smallest resolution')


def _channels(
    net: nn.Module, sites: Sequence[str], maps: dict[str, torch.Size], none: str
) -> dict[str, int]:
    outermost = [name for name in maps if not any(name.startswith(f'{m}.') for m in maps)]
    if not sites:
        raise ValueError(
            f'{none} of {type(net).__name__} gives a feature map (B, C, H, W). Name some of its '
            f'modules that do as sites: {outermost}, or parts of them'
        )
    for site in sites:
        if site not in maps:
            raise ValueError(
                f'site {site!r} is no module of {type(net).__name__} that has parameters and gives '
                f'a feature map (B, C, H, W). These do: {outermost}, and parts of them'
            )
    return {site: maps[site][1] for site in sites}


def _feature_maps(net: nn.Module) -> dict[str, torch.Size]:
    """Shapes (1, C, S, S) of what modules give for a square image, in the order of execution.

    Modules without parameters are left out: they belong to no block.
    """
    maps: dict[str, torch.Size] = {}

    def note(name: str, module: nn.Module, inputs: tuple, output: object) -> None:
        # A square image shows tokens in the layout (1, S, S, C) for what they are.
        if isinstance(output, Tensor) and output.ndim == 4:
            if output.shape[0] == 1 and output.shape[2] == output.shape[3]:
                maps.setdefault(name, output.shape)

    handles = [
        module.register_forward_hook(partial(note, name))
        for name, module in net.named_modules()
        if name and next(module.parameters(), None) is not None
    ]
    try:
        depth.execution_order(net)
    finally:
        for handle in handles:
            handle.remove()
    return maps


def _stages(net: nn.Module, maps: dict[str, torch.Size]) -> tuple[list[str], list[str]]:
    """The stages up to the last one at the smallest resolution, and the others, as executed.

    A lone norm or convolution (stem, head, change of resolution) is no stage.
    """
    named = dict(net.named_modules())
    norms = [name for name, module in named.items() if is_affine_norm(module)]
    convolutions = [name for name, module in named.items() if isinstance(module, nn.Conv2d)]
    candidates = {stage_of(net, name) for name in norms or convolutions}
    stages = [name for name in maps if name in candidates and depth.is_composite(named[name])]
    sizes = [maps[name][2] for name in stages]
    last = max((i for i, size in enumerate(sizes) if size == min(sizes)), default=-1)
    return stages[: last + 1], stages[last + 1 :]
