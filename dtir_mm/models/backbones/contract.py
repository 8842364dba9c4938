"""What a backbone must be, and what is found out about one that does not say it itself.

A backbone is an ``nn.Module`` from (B, 3, H, W) in [-1, 1] to the same. It may state as attributes:

``global_skip: bool``
    whether its output is the restored image, as it is where the input is added to the output,
    ``net(u) = u + b(u)``; False where it is the residual;
``size_multiple: int``, ``size_minimum: int``, ``square_only: bool``
    the sizes that it takes (``size_rule.py``); one of them is enough for the others to be 1;
``conditioning_groups() -> dict[str, list[str]]``
    the norms that time conditions: one group of module names for each FiLM layer.

What is not stated is found: the sizes by trying (``size_search.py``), the global skip by a forward
pass whose last layer is zeroed, the groups by the stages of the module tree (``sites.py``).
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from dtir_mm.models.backbones.probe import blank_images, undisturbed
from dtir_mm.models.backbones.size_rule import size_rule

_PROBE_SIZE = 64


def has_global_skip(net: nn.Module) -> bool:
    """Whether ``net`` adds its input to its output.

    Where the network does not state it, a copy runs with its last executed convolution zeroed: what
    comes out is the input if there is a skip, and zero if there is none.

    Raises:
        ValueError: it is neither; the message asks for the attribute.
    """
    if hasattr(net, 'global_skip'):
        return bool(net.global_skip)
    found = _skip_found(net)
    if found is None:
        raise ValueError(
            f'cannot tell whether {type(net).__name__} adds its input to its output: with its last '
            f'layer zeroed it gives neither the input nor zero. Set global_skip = True or False on '
            f'it'
        )
    return found


def last_convolution(net: nn.Module) -> str:
    """The name of the convolution that ``net`` executes last, without which f(u, t) is zero.

    Raises:
        ValueError: the last layer is no ``nn.Conv2d``, or f is not zero where it gives zero.
    """
    name_of = {module: name for name, module in net.named_modules()}
    with undisturbed(net):
        _, executed = run_layers(net, blank_images(net, 1, _PROBE_SIZE, _PROBE_SIZE))
    last = executed[-1] if executed else net
    refused = f'{type(net).__name__} can have no restoration head of its own: its last executed '
    if not isinstance(last, nn.Conv2d) or is_parametrized(last):
        raise ValueError(
            f'{refused}layer, {name_of[last]!r}, must be an nn.Conv2d, but is {type(last).__name__}'
        )
    if _skip_found(net) is not has_global_skip(net):
        raise ValueError(
            f'{refused}convolution, {name_of[last]!r}, must make all of what is wrong with the '
            f'input, but that is not zero without it'
        )
    return name_of[last]


@torch.no_grad()
def _skip_found(net: nn.Module) -> bool | None:
    """Whether the input comes out with the last layer zeroed; None if it is not zero either."""
    probe = copy.deepcopy(net).float()
    if any(parameter.is_meta for parameter in probe.parameters()):
        _fill(probe.to_empty(device='cpu'))
    probe = probe.cpu().eval()
    height, width = size_rule(net).enclosing(_PROBE_SIZE, _PROBE_SIZE)
    rng = torch.Generator('cpu').manual_seed(0)
    image = torch.rand(1, 3, height, width, generator=rng, device='cpu')
    output, executed = run_layers(probe, image)
    check_output(net, image, output)
    for parameter in nn.ModuleList(executed[-1:]).parameters():
        parameter.zero_()
    output = probe(image)
    if torch.allclose(output, image, atol=1e-6):
        return True
    return False if torch.allclose(output, torch.zeros_like(image), atol=1e-6) else None


@torch.no_grad()
def _fill(net: nn.Module) -> None:
    """Gives a network that was built without weights some; any tell whether there is a skip."""
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.02)
    for buffer in net.buffers():
        buffer.zero_()


def run_layers(net: nn.Module, image: Tensor) -> tuple[Tensor, list[nn.Module]]:
    """What ``net`` makes of an image, and its convolutions and linear layers as executed."""
    executed: list[nn.Module] = []
    handles = [
        module.register_forward_hook(lambda module, *_: executed.append(module))
        for module in net.modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
    ]
    try:
        return net(image), executed
    finally:
        for handle in handles:
            handle.remove()


def scale_last_layer(net: nn.Module, image: Tensor, factor: float) -> None:
    """Multiplies the output of the layer that ``net`` executes last on an image."""
    _, executed = run_layers(net, image)
    for parameter in nn.ModuleList(executed[-1:]).parameters():
        parameter.mul_(factor)


def check_output(net: nn.Module, image: Tensor, output: object) -> None:
    """Raises ValueError unless ``output`` has the shape of ``image``."""
    wrong = what_is_wrong_with(output, image)
    if wrong:
        raise ValueError(f'{type(net).__name__} {wrong}')


def what_is_wrong_with(output: object, image: Tensor) -> str | None:
    """Why an output is not of the shape of the image that it was made of; None where it is."""
    if isinstance(output, Tensor) and output.shape == image.shape:
        return None
    got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    return f'must map {tuple(image.shape)} to the same shape, but gave {got}'
