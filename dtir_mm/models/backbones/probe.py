"""Running a network to learn about it, which leaves it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from dtir_mm.models.backbones.size_rule import size_rule


@contextmanager
def left_as_it_was(net: nn.Module) -> Iterator[None]:
    """Afterwards modes and buffers of a network are as before, and so are torch's random numbers.

    Its weights are, if what is done in here does not change them.
    """
    modes = [(module, module.training) for module in net.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in net.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    devices = {parameter.device for parameter in net.parameters() if parameter.is_cuda}
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for module, name, buffer, values in buffers:
                module._buffers[name] = buffer.copy_(values)


@contextmanager
def undisturbed(net: nn.Module) -> Iterator[None]:
    """Inside, the network is in evaluation mode and computes no gradients."""
    with left_as_it_was(net), torch.no_grad():
        net.eval()
        yield


def cause(error: Exception) -> str:
    """What an error of any network says, in a line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines and not isinstance(error, LookupError) else repr(error)


def blank_images(net: nn.Module, batch: int, height: int, width: int) -> Tensor:
    """Images (B, 3, H, W) in the type of the weights, at least of that size."""
    height, width = size_rule(net).enclosing(height, width)
    like = next(net.parameters(), torch.zeros(()))
    return like.new_zeros(batch, 3, height, width)


def output_shapes(net: nn.Module, images: Tensor) -> dict[str, list[torch.Size]]:
    """Shapes of what each module gives, at each of its calls; in the order of the last calls.

    Modules that do not run, or give something else than a tensor, are left out.
    """
    shapes: dict[str, list[torch.Size]] = {}

    def note(name: str, module: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(output, Tensor):
            shapes[name] = [*shapes.pop(name, []), output.shape]

    handles = [
        module.register_forward_hook(partial(note, name)) for name, module in net.named_modules()
    ]
    try:
        with undisturbed(net):
            net(images)
    finally:
        for handle in handles:
            handle.remove()
    return shapes
