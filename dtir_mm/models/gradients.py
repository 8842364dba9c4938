"""Gradients as flat vectors, summed over micro-batches and processes.

Nonlinear functions of gradients (norms, cosines, projections, clipping) and the optimiser step must
come after ``sum_over_processes``.
"""

import itertools
from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn


def flat_gradient(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """The gradient of a loss as one vector (P,), zero for parameters that it does not depend on."""
    gradients = _gradients(loss, parameters)
    parts = zip(gradients, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in parts])


def hessian_vector_product(
    loss: Tensor, parameters: Sequence[nn.Parameter], vector: Tensor, reached: Sequence[bool]
) -> Tensor:
    """``(d^2 loss / d parameters^2) vector``, (P,), by differentiating twice.

    Parameters that are not ``reached`` are constants: their parts of the vector are ignored, and
    those of the product are zero.
    """
    chosen = list(itertools.compress(parameters, reached))
    gradients = _gradients(loss, chosen, create_graph=True)
    parts = itertools.compress(_parts(vector, parameters), reached)
    product = sum(
        gradient.flatten() @ part
        for gradient, part in zip(gradients, parts, strict=True)
        if gradient is not None and gradient.requires_grad
    )
    del gradients  # as large as the network; the second pass frees them one by one
    if not isinstance(product, Tensor):
        return torch.zeros_like(vector)
    products = torch.autograd.grad(product, chosen, allow_unused=True)
    result = torch.zeros_like(vector)  # not earlier, since it is as large as the network
    filled = itertools.compress(_parts(result, parameters), reached)
    for part, values in zip(filled, products, strict=True):
        if values is not None:
            part.copy_(values.flatten())
    return result


def per_sample_gradients(losses: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """The gradient of each loss (n,) as a row of (n, P), differentiable again."""
    gradients = torch.autograd.grad(
        losses,
        parameters,
        grad_outputs=torch.eye(len(losses)).to(losses),
        is_grads_batched=True,
        create_graph=True,
        allow_unused=True,
    )
    rows = [
        losses.new_zeros(len(losses), p.numel()) if gradient is None else gradient.flatten(1)
        for gradient, p in zip(gradients, parameters, strict=True)
    ]
    return torch.cat(rows, dim=1)


def refuse_custom_functions(loss: Tensor) -> None:
    """Raises TypeError for losses with custom autograd functions, and names these.

    Their second derivatives may be silently wrong, which cannot be checked from outside: a backward
    may treat intermediate results as constants (mmagic's NAFNet LayerNorm2d is 45 % off).
    """
    names: set[str] = set()
    seen: set[torch.autograd.graph.Node] = set()
    stack = [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            names.add(type(node).__name__.removesuffix('Backward'))
        stack += [before for before, _ in node.next_functions]
    if names:
        raise TypeError(
            f'the network uses custom autograd functions ({", ".join(sorted(names))}), whose '
            f'second derivative may be silently wrong. Write them in native operations, as '
            f'F.layer_norm is, or set model.step.regularizers.orthogonality=None and '
            f'model.step.regularizers.projection.type=GradientProjection, which needs only first '
            f'derivatives'
        )


def sum_over_processes(values: Tensor) -> Tensor:
    """Sums a tensor over all processes, in place."""
    all_reduce(values, op='sum')
    return values


def scale_parts(vector: Tensor, factors: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Multiplies the part of parameter k in a vector (P,) by ``factors[k]``, in place."""
    for part, factor in zip(_parts(vector, parameters), factors.tolist(), strict=True):
        if factor != 1:
            part.mul_(factor)
    return vector


def capped_parts(
    vector: Tensor, reference: Tensor, share: float, parameters: Sequence[nn.Parameter]
) -> Tensor:
    """Shrinks the part of each parameter to ``share`` of the reference's norm, in place.

    Parts in which the reference is zero are left unchanged.
    """
    pairs = zip(_parts(vector, parameters), _parts(reference, parameters), strict=True)
    for part, other in pairs:
        norm, limit = part.norm(), share * other.norm()
        if norm > limit > 0:
            part.mul_(limit / norm)
    return vector


def write_gradient(gradient: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Sets the parameters' ``.grad`` to views of a flat gradient (P,)."""
    for parameter, part in zip(parameters, _parts(gradient, parameters), strict=True):
        parameter.grad = part.view_as(parameter)


def flatten(parameters: Sequence[nn.Parameter]) -> Tensor:
    """A copy of the parameters' values as one vector (P,)."""
    return torch.cat([parameter.detach().flatten() for parameter in parameters])


def to_named(vector: Tensor, named: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Splits a vector (P,) into named tensors of the parameters' shapes, on the CPU."""
    parts = _parts(vector, list(named.values()))
    return {
        name: part.view_as(parameter).cpu().clone()
        for (name, parameter), part in zip(named.items(), parts, strict=True)
    }


def from_named(values: Mapping[str, Tensor], default: Mapping[str, Tensor]) -> Tensor:
    """Joins named tensors to one vector (P,), in the order of ``default``, which fills gaps.

    Raises:
        ValueError: names or shapes differ from ``default``; the message lists them.
    """
    problems = [name for name in values if name not in default]
    problems += [
        f'{name}: {tuple(values[name].shape)} instead of {tuple(tensor.shape)}'
        for name, tensor in default.items()
        if name in values and values[name].shape != tensor.shape
    ]
    if problems:
        raise ValueError(f'of another network: {"; ".join(problems[:10])}')
    return torch.cat([values.get(n, d).detach().to(d).flatten() for n, d in default.items()])


def _gradients(
    loss: Tensor, parameters: Sequence[nn.Parameter], create_graph: bool = False
) -> tuple[Tensor | None, ...]:
    """The gradients; None for parameters that the loss does not depend on."""
    if not (parameters and loss.requires_grad):
        return (None,) * len(parameters)
    return torch.autograd.grad(loss, parameters, create_graph=create_graph, allow_unused=True)


def _parts(vector: Tensor, parameters: Sequence[nn.Parameter]) -> tuple[Tensor, ...]:
    return vector.split([parameter.numel() for parameter in parameters])
