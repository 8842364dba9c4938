"""Activation checkpointing: what a block computes is computed again in backward, and not kept.

It is torch's own, without re-entrance, which ``autograd.grad`` and second derivatives need. Modules
and parameters keep their places and names: only ``forward`` of each block is wrapped.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from dtir_mm.models.backbones import depth


class PresentConditions:
    """What conditions layers in the forward pass under way; in this context it does so again.

    What the layers have noted of the latest forward pass is the same afterwards. The context can be
    entered any number of times: a second derivative computes a block twice again.

    Args:
        layers: modules that name the attributes of one forward pass, ``given`` and ``noted``.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.layers = layers
        self._held = [_values(layer, layer.given) for layer in layers]
        self._replaced: list[list[dict[str, Any]]] = []

    def __enter__(self) -> None:
        self._replaced.append([_values(layer, layer.given + layer.noted) for layer in self.layers])
        self._set(self._held)

    def __exit__(self, *_: object) -> None:
        self._set(self._replaced.pop())

    def _set(self, values: list[dict[str, Any]]) -> None:
        for layer, of_layer in zip(self.layers, values, strict=True):
            for name, value in of_layer.items():
                setattr(layer, name, value)


def checkpoint_blocks(net: nn.Module, conditions: Callable[[], PresentConditions]) -> None:
    """Makes each block of a network keep its inputs only, wherever gradients are computed.

    Args:
        net: the network.
        conditions: gives what the forward pass under way is conditioned on.

    Raises:
        ValueError: the network has no block of more than one layer.
    """
    blocks = depth.composite_blocks(net)
    if not blocks:
        raise ValueError(
            f'checkpoint_activations=True: {type(net).__name__} has no block of more than one layer'
        )
    for module in blocks:
        module.forward = partial(_checkpointed, module.forward, conditions)


def keep_activations(net: nn.Module) -> None:
    """Undoes ``checkpoint_blocks``."""
    for module in net.modules():
        wrapped = vars(module).get('forward')
        if isinstance(wrapped, partial) and wrapped.func is _checkpointed:
            del module.forward


def _checkpointed(
    forward: Callable[..., Any],
    conditions: Callable[[], PresentConditions],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """A block's own forward, whose activations are not kept."""
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(
        forward,
        *args,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), conditions()),
        **kwargs,
    )


def _values(layer: nn.Module, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in names}
