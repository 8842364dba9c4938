"""A conditioned network at one time step as a plain network, without any conditioning.

For a fixed t the FiLM layers fold into the norms (or convolutions) that they modulate, and the
experts of each adapter merge into one. A restoration head replaces the network's own. Weights that
are computed from others, as under weight norm, become plain weights of the same values.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import remove_weight_norm
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.weight_norm import WeightNorm

from dtir_mm.models.conditioning.activation_checkpointing import keep_activations
from dtir_mm.models.conditioning.conditioned_backbone import ConditionedBackbone
from dtir_mm.models.tracing.sites import Site


class Shift(nn.Module):
    """Adds a value (C,) per channel at ``axis``, after norms that have no bias."""

    def __init__(self, shift: Tensor, axis: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(shift)
        self.axis = axis

    def forward(self, h: Tensor) -> Tensor:
        """Tokens, or a feature map."""
        return h + self.shift.reshape(-1, *(1,) * (h.ndim - 1 - self.axis))


@torch.no_grad()
def fold_time_and_scale(backbone: ConditionedBackbone, t: int, scale: float) -> nn.Module:
    """``fold_time``, with the head's c(t) folded into the last layer as well.

    The output is the restored image if the network has a global skip, else the residual to add to
    the degraded one. ``scale`` is c(t).

    Raises:
        ValueError: see ``fold_time``.
    """
    last = backbone.net.get_submodule(backbone.trace.last_layer or '')
    net = fold_time(backbone, t)
    for parameter in last.parameters():
        parameter.mul_(scale if backbone.global_skip else -scale)
    return net


@torch.no_grad()
def fold_time(backbone: ConditionedBackbone, t: int) -> nn.Module:
    """The backbone's network with time step ``t`` folded in, in place; the backbone is consumed.

    Raises:
        ValueError: the adapters cannot be merged.
    """
    net, head = backbone.net, backbone.restoration_head
    adapters = {} if backbone.adapters is None else backbone.adapters.merged(t)
    _remove_hooks(backbone)
    keep_activations(net)
    _make_weights_plain(net)
    if head is not None:
        replaced = net.get_submodule(backbone.trace.last_layer or '')
        for parameter, restoring in zip(replaced.parameters(), head.parameters(), strict=True):
            parameter.copy_(restoring)
    embedding = backbone.time_embedding(torch.tensor([t]))
    for name, film in backbone.films.items():
        scale, shift = film(embedding)
        for site in backbone.film_sites[name]:
            _fold(net, site, scale[0], shift[0])
    for adapted in sorted(adapters, key=len, reverse=True):  # parts first: names change
        _put_after(net, adapted, adapters[adapted])
    return net


def _remove_hooks(backbone: ConditionedBackbone) -> None:
    """Removes the hooks of the conditioning from the network, but not the network's own."""
    for module in backbone.net.modules():
        for key, hook in list(module._forward_hooks.items()):
            method = hook.func if isinstance(hook, partial) else hook
            if getattr(method, '__self__', None) is backbone:
                del module._forward_hooks[key]


def _make_weights_plain(net: nn.Module) -> None:
    """Removes weight norm and other parametrizations, and keeps the weights that they compute."""
    for module in list(net.modules()):
        if is_parametrized(module):
            # Not remove_parametrizations, which changes the class that copies of a module share.
            computed: Any = module.parametrizations
            plain = {name: getattr(module, name).clone() for name in computed}
            module.__class__ = type(module).__bases__[0]
            del module.parametrizations
            for name, value in plain.items():
                module.register_parameter(name, nn.Parameter(value))
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)


def _fold(net: nn.Module, site: Site, scale: Tensor, shift: Tensor) -> None:
    """Scales and shifts the output of the norm or convolution at ``site``, (C,) each."""
    module = net.get_submodule(site.name)
    weight: Any = module.weight
    bias = getattr(module, 'bias', None)
    if isinstance(module, nn.ConvTranspose2d):
        weight = weight.transpose(0, 1)
    weight.mul_(scale.reshape(-1, *(1,) * (weight.ndim - 1)))
    if 'bias' not in module._parameters:  # it would not use one
        _put_after(net, site.name, Shift(shift.clone(), site.axis))
    elif bias is None:
        module.bias = nn.Parameter(shift.clone())
    else:
        bias.mul_(scale).add_(shift)


def _put_after(net: nn.Module, site: str, module: nn.Module) -> None:
    net.set_submodule(site, nn.Sequential(net.get_submodule(site), module))
