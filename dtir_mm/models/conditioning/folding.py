"""A conditioned network at one time step as a plain network, which knows nothing of time.

For a fixed t the FiLM layers fold into the norms (or convolutions) behind which they hang, and the
experts of each adapter merge into one. A restoration head takes the place of the network's own.
"""

from functools import partial

import torch
from torch import Tensor, nn

from dtir_mm.models.backbones import contract
from dtir_mm.models.backbones.sites import Site
from dtir_mm.models.conditioning.activation_checkpointing import keep_activations
from dtir_mm.models.conditioning.conditioned_backbone import ConditionedBackbone
from dtir_mm.models.conditioning.restoration_head import RestorationHead


class Shift(nn.Module):
    """Adds one value a channel, behind norms that have no bias.

    Args:
        shift: the values, (C,).
        axis: where channels lie.
    """

    def __init__(self, shift: Tensor, axis: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(shift)
        self.axis = axis

    def forward(self, h: Tensor) -> Tensor:
        """Tokens, or a feature map."""
        return h + self.shift.reshape(-1, *(1,) * (h.ndim - 1 - self.axis))


@torch.no_grad()
def fold_time_and_scale(
    backbone: ConditionedBackbone, t: int, scale: float, image: Tensor
) -> nn.Module:
    """``fold_time``, and the head's c(t) in the last layer: what is left restores without either.

    Its output is the restored image where the network has a global skip, else what to add to the
    degraded one.

    Args:
        backbone: it is used up.
        t: the time step.
        scale: c(t) of the head (``restorers/head.py``).
        image: (1, 3, H, W) of a size that the network takes, on which its last layer is found.

    Raises:
        ValueError: see ``fold_time``.
    """
    net = fold_time(backbone, t)
    contract.scale_last_layer(net, image, scale if backbone.global_skip else -scale)
    return net


@torch.no_grad()
def fold_time(backbone: ConditionedBackbone, t: int) -> nn.Module:
    """The backbone's own network with time step ``t`` folded in, in place; it is used up.

    Raises:
        ValueError: the adapters cannot be merged.
    """
    net = backbone.net
    adapters = {} if backbone.adapters is None else backbone.adapters.merged(t)
    _remove_hooks(backbone)
    keep_activations(net)
    if backbone.restoration_head is not None:
        _put_in_place(net, backbone.restoration_head)
    embedding = backbone.time_embedding(torch.tensor([t]))
    for name, film in backbone.films.items():
        scale, shift = film.scale_and_shift(embedding)
        for site in backbone.film_sites[name]:
            _fold(net, site, scale[0], shift[0])
    for site in sorted(adapters, key=len, reverse=True):  # a part before the whole: names change
        _put_behind(net, site, adapters[site])
    return net


def _remove_hooks(backbone: ConditionedBackbone) -> None:
    """Takes the hooks of FiLM, adapters and head off the network, and leaves it its own."""
    conditioning = set(backbone.modules()) - set(backbone.net.modules())
    for module in backbone.net.modules():
        for key, hook in list(module._forward_hooks.items()):
            method = hook.func if isinstance(hook, partial) else hook
            if getattr(method, '__self__', None) in conditioning:
                del module._forward_hooks[key]


def _put_in_place(net: nn.Module, head: RestorationHead) -> None:
    """Gives the convolution that a restoration head replaces the head's weights."""
    last = net.get_submodule(head.site)
    for parameter, restoring in zip(last.parameters(), head.parameters(), strict=True):
        parameter.copy_(restoring)


def _fold(net: nn.Module, site: Site, scale: Tensor, shift: Tensor) -> None:
    """Scales and shifts what the norm or convolution at ``site`` puts out, (C,) each."""
    module = net.get_submodule(site.name)
    weight = module.weight
    if isinstance(module, nn.ConvTranspose2d):
        weight = weight.transpose(0, 1)
    weight.mul_(scale.reshape(-1, *(1,) * (weight.ndim - 1)))
    if 'bias' not in module._parameters:  # it would not use one
        _put_behind(net, site.name, Shift(shift.clone(), site.axis))
    elif module.bias is None:
        module.bias = nn.Parameter(shift.clone())
    else:
        module.bias.mul_(scale).add_(shift)


def _put_behind(net: nn.Module, site: str, module: nn.Module) -> None:
    net.set_submodule(site, nn.Sequential(net.get_submodule(site), module))
