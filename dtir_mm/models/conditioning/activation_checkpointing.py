"""Activation checkpointing: blocks are recomputed in the backward pass.

It is the non-reentrant kind, which ``autograd.grad`` and second derivatives need. Only ``forward``
of each block is wrapped, so that modules and parameters keep their names.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from dtir_mm.models.conditioning.conditioned_backbone import ConditionedBackbone


def checkpoint_blocks(backbone: 'ConditionedBackbone') -> None:
    """Makes each block of a backbone's network keep only its inputs for the backward pass.

    Raises:
        ValueError: the network has no block of more than one layer.
    """
    blocks = backbone.trace.composite_blocks()
    if not blocks:
        raise ValueError(
            f'checkpoint_activations=True: {type(backbone.net).__name__} has no block of more than '
            f'one layer'
        )
    for block in blocks:
        block.forward = partial(_checkpointed, block.forward, backbone)


def keep_activations(net: nn.Module) -> None:
    """Undoes ``checkpoint_blocks``."""
    for module in net.modules():
        wrapped = vars(module).get('forward')
        if isinstance(wrapped, partial) and wrapped.func is _checkpointed:
            del module.forward


def _checkpointed(
    forward: Callable[..., Any], backbone: 'ConditionedBackbone', *args: Any, **kwargs: Any
) -> Any:
    """A block's own forward, recomputed under the same conditions."""
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    conditions = backbone.conditions

    def conditioned(*args: Any, **kwargs: Any) -> Any:
        with backbone.conditioned_on(conditions):
            return forward(*args, **kwargs)

    return checkpoint(conditioned, *args, use_reentrant=False, **kwargs)
