"""Tensors that are divided among processes (FSDP), and whole ones as checkpoints hold them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def is_divided(value: Any) -> bool:
    """Whether each process holds a part of a tensor (a ``DTensor``)."""
    return hasattr(value, 'full_tensor')


def whole(value: Any) -> Any:
    """Divided tensors put together, on the CPU, through dicts and lists; all else as it is.

    All processes must call it.
    """
    if isinstance(value, Mapping):
        return {key: whole(part) for key, part in value.items()}
    if isinstance(value, list):
        return [whole(part) for part in value]
    return value.full_tensor().cpu() if is_divided(value) else value


def divided_like(value: Tensor, example: Tensor) -> Tensor:
    """A whole tensor divided as the example is; the same tensor where the example is not."""
    if is_divided(value) or not is_divided(example):
        return value
    from torch.distributed.tensor import distribute_tensor

    value = value.to(example.device)  # each process has it, and takes its part: nothing is sent
    return distribute_tensor(value, example.device_mesh, example.placements, src_data_rank=None)


def divided_state(
    state: dict[str, Any], groups: Sequence[dict[str, list[torch.nn.Parameter]]]
) -> dict[str, Any]:
    """An optimiser's state dict, whole, divided as the parameters of its groups are."""
    parameters = [parameter for group in groups for parameter in group['params']]
    divided = {
        index: {
            name: divided_like(value, parameters[index])
            if isinstance(value, Tensor) and value.shape == parameters[index].shape
            else value
            for name, value in of_parameter.items()
        }
        for index, of_parameter in state['state'].items()
    }
    return {**state, 'state': divided}
