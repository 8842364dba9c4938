"""Gathers tensors that are sharded over processes (FSDP) for checkpoints, and shards them again."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def is_sharded(value: Any) -> bool:
    """Whether each process holds a part of a tensor (a ``DTensor``)."""
    return hasattr(value, 'full_tensor')


def gather_full(value: Any) -> Any:
    """Gathers sharded tensors in dicts and lists on the CPU; all processes must call it."""
    if isinstance(value, Mapping):
        return {key: gather_full(part) for key, part in value.items()}
    if isinstance(value, list):
        return [gather_full(part) for part in value]
    return value.full_tensor().cpu() if is_sharded(value) else value


def shard_like(value: Tensor, example: Any) -> Tensor:
    """A full tensor sharded like the example; unchanged if the example is not sharded."""
    if is_sharded(value) or not is_sharded(example):
        return value
    from torch.distributed.tensor import distribute_tensor

    value = value.to(example.device)  # each process takes its part of it, without communication
    return distribute_tensor(value, example.device_mesh, example.placements, src_data_rank=None)


def sharded_state(
    state: dict[str, Any], groups: Sequence[dict[str, list[torch.nn.Parameter]]]
) -> dict[str, Any]:
    """An optimiser's full state dict, sharded like the parameters of its groups."""
    parameters = [parameter for group in groups for parameter in group['params']]
    sharded = {
        index: {
            name: shard_like(value, parameters[index])
            if isinstance(value, Tensor) and value.shape == parameters[index].shape
            else value
            for name, value in of_parameter.items()
        }
        for index, of_parameter in state['state'].items()
    }
    return {**state, 'state': sharded}
