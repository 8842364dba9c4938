"""What a backbone must be, and what is found out about one that does not say it itself.

A backbone is an ``nn.Module`` from (B, 3, H, W) to (B, 3, H, W). It may state, as attributes:

``global_skip: bool``
    whether it adds its input to its output, ``net(u) = u + b(u)``;
``size_multiple: int``
    heights and widths must be multiples of it (1 where it pads by itself);
``conditioning_groups() -> dict[str, list[str]]``
    the norms that time conditions: one group of module names for each FiLM layer.

What is not stated is found: the global skip by a forward pass whose last layer is zeroed, the
groups by the stages of the module tree.
"""

import copy

import torch
from torch import Tensor, nn

_PROBE_SIZE = 64


def size_multiple(net: nn.Module) -> int:
    """What heights and widths must be multiples of; 1 where the network does not say."""
    return int(getattr(net, 'size_multiple', 1))


def is_affine_norm(module: nn.Module) -> bool:
    """True for a normalisation layer with a learnt scale of one value a channel."""
    weight = getattr(module, 'weight', None)
    named_norm = 'norm' in type(module).__name__.lower()
    return named_norm and isinstance(weight, nn.Parameter) and weight.ndim == 1


def stage_of(net: nn.Module, name: str) -> str:
    """The stage that the module ``name`` belongs to: the first part of its path that is not a list.

    ``encoders.2.0.norm1`` lies in stage ``encoders.2`` when ``encoders`` is a ``ModuleList``.
    """
    module, path = net, []
    for part in name.split('.'):
        module = module.get_submodule(part)
        path.append(part)
        if not isinstance(module, nn.ModuleList):
            break
    return '.'.join(path)


def conditioning_groups(net: nn.Module) -> dict[str, list[str]]:
    """Names of the modules behind which time enters, one group for each FiLM layer.

    A network that does not state its groups gets one a stage and channel width over its affine
    norms; one without any affine norm, over its convolutions except the last.

    Raises:
        ValueError: there is neither an affine norm nor a convolution to condition.
    """
    if hasattr(net, 'conditioning_groups'):
        return net.conditioning_groups()
    named = list(net.named_modules())
    sites = [(name, m.weight.numel()) for name, m in named if is_affine_norm(m)]
    if not sites:
        convolutions = [(name, m.out_channels) for name, m in named if isinstance(m, nn.Conv2d)]
        sites = convolutions[:-1]
    if not sites:
        raise ValueError(
            f'{type(net).__name__} has neither an affine norm nor two convolutions that time could '
            f'condition; give it a method conditioning_groups() that names some modules'
        )
    groups: dict[str, list[str]] = {}
    for name, channels in sites:
        groups.setdefault(f'{stage_of(net, name)}/{channels}', []).append(name)
    return groups


@torch.no_grad()
def has_global_skip(net: nn.Module) -> bool:
    """Whether ``net`` adds its input to its output.

    Where the network does not state it, a copy runs with its last executed convolution zeroed: what
    comes out is the input if there is a skip, and zero if there is none.

    Raises:
        ValueError: it is neither; the message asks for the attribute.
    """
    if hasattr(net, 'global_skip'):
        return bool(net.global_skip)
    probe = copy.deepcopy(net).float()
    if any(parameter.is_meta for parameter in probe.parameters()):
        _fill(probe.to_empty(device='cpu'))
    probe = probe.cpu().eval()
    side = _PROBE_SIZE + -_PROBE_SIZE % size_multiple(net)
    rng = torch.Generator('cpu').manual_seed(0)
    image = torch.rand(1, 3, side, side, generator=rng, device='cpu')
    output, executed = run_layers(probe, image)
    check_output(net, image, output)
    for parameter in nn.ModuleList(executed[-1:]).parameters():
        parameter.zero_()
    output = probe(image)
    if torch.allclose(output, image, atol=1e-6):
        return True
    if torch.allclose(output, torch.zeros_like(image), atol=1e-6):
        return False
    raise ValueError(
        f'cannot tell whether {type(net).__name__} adds its input to its output: with its last '
        f'layer zeroed it gives neither the input nor zero. Set global_skip = True or False on it'
    )


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


def check_output(net: nn.Module, image: Tensor, output: Tensor) -> None:
    """Raises ValueError unless ``output`` has the shape of ``image``."""
    if not isinstance(output, Tensor) or output.shape != image.shape:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f'{type(net).__name__} must map {tuple(image.shape)} to the same shape, but gave {got}'
        )
