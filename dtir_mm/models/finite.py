"""Errors for NaN and infinity in images, which name the layer that they come from.

Clamping would turn infinity into white, and conversion to bytes NaN into black.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn


class NotFiniteError(ValueError):
    """The values of an image are NaN or infinite."""


def is_finite(values: Tensor) -> bool:
    """Whether all values are finite; always True in tracing, which cannot depend on values."""
    return torch.jit.is_tracing() or bool(torch.isfinite(values).all())


def require_finite(values: Tensor, what: str) -> None:
    """Raises NotFiniteError, which names ``what`` the values are, unless all are finite."""
    if not is_finite(values):
        raise NotFiniteError(f'{what} holds NaN or infinity')


def require_finite_output(net: nn.Module, output: Tensor, run: Callable[[], object]) -> None:
    """Checks a network's output; if it is not finite, runs the network again to find the layer.

    ``run`` runs it on the same images.

    Raises:
        NotFiniteError: it is not finite; the message names the first layer whose output is not.
    """
    if not is_finite(output):
        raise NotFiniteError(f'the network gives NaN or infinity: {_blame(net, run)}')


@contextmanager
def naming(files: Iterable[str]) -> Iterator[None]:
    """Adds the names of the files to a ``NotFiniteError`` raised inside."""
    try:
        yield
    except NotFiniteError as error:
        raise NotFiniteError(f'{", ".join(dict.fromkeys(files))}: {error}') from error


def _blame(net: nn.Module, run: Callable[[], object]) -> str:
    """Describes the first layer whose output is not finite, and the cause."""
    if any(hasattr(parameter, 'full_tensor') for parameter in net.parameters()):
        return 'its weights are sharded over processes, so the layer was not searched for'
    found: list[str] = []

    def note(name: str, module: nn.Module, inputs: tuple, output: object) -> None:
        if not found and isinstance(output, Tensor) and not torch.isfinite(output).all():
            found.append(f'{name} ({type(module).__name__}) is the first layer, {_why(module)}')

    handles = [
        module.register_forward_hook(partial(note, name)) for name, module in net.named_modules()
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else 'no layer does, but an operation on their outputs'


def _why(module: nn.Module) -> str:
    weights = [value for value in module.state_dict().values() if value.is_floating_point()]
    broken = sum(int((~torch.isfinite(value)).sum()) for value in weights)
    if broken:
        return f'with {broken} of {sum(value.numel() for value in weights)} weights not finite'
    largest = max((value.abs().max().item() for value in weights if value.numel()), default=0.0)
    return f'whose weights are finite and at most {largest:.3g}: its values overflow'
