"""Gradients as flat vectors: summed over micro-batches, and over processes.

Everything that is not linear in a gradient (norms, cosines, projections, clipping) belongs behind
``sum_over_processes``; so does the optimiser step.
"""

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn


def flat_gradient(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """d loss / d parameters as one vector (P,); zero where a parameter has no part in the loss."""
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(parameter).flatten() if gradient is None else gradient.flatten()
            for gradient, parameter in zip(gradients, parameters, strict=True)
        ]
    )


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, in place; the tensor itself where there is one."""
    all_reduce(values, op='sum')
    return values


def write_gradient(gradient: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Makes a flat gradient (P,) the ``.grad`` of the parameters, as views of it."""
    chunks = gradient.split([parameter.numel() for parameter in parameters])
    for parameter, chunk in zip(parameters, chunks, strict=True):
        parameter.grad = chunk.view_as(parameter)
