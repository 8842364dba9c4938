"""Depth of a network's blocks by order of execution, found by one forward pass.

The paper calls layers shallow or deep without saying how it counts them; its Fig. 9 (shallow layers
extract, deep ones put out the residual) suggests the order of execution (method.md 3.2).
"""

from collections import Counter
from collections.abc import Callable, Iterator

from torch import Tensor, nn

from dtir_mm.models.backbones.probe import blank_images, undisturbed

_PROBE_SIZE = 64
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def block_of_each_parameter(net: nn.Module) -> dict[str, str]:
    """The block that each parameter belongs to: a residual, attention or NAF block, a convolution.

    Lists and sequences are opened, and so is a module that holds a list of two or more composite
    modules of one class (a stage of transformer blocks); what is left whole is a block. Parameters
    that an opened module has itself are a block under its name. One that several blocks share
    belongs to the first of them.
    """
    block_of = {
        f'{path}.{name}' if path else name: block
        for block, parts in _blocks('', net)
        for path, part in parts.items()
        for name, _ in part.named_parameters(recurse=False)
    }
    return {name: block_of[name] for name, _ in net.named_parameters()}


def block_of_module(net: nn.Module, name: str) -> str | None:
    """The innermost block that holds the module ``name``; None where none does."""
    holding = [block for block, _ in _blocks('', net) if f'{name}.'.startswith(f'{block}.')]
    return max(holding, key=len, default=None)


def execution_order(net: nn.Module, forward: Callable[[Tensor], object] | None = None) -> list[str]:
    """The blocks in the order in which they are first executed; those that never are, last.

    Args:
        net: the network.
        forward: runs it on an image (1, 3, S, S), S = 64 or the next size that it takes; None for
            the network itself.

    Raises:
        ValueError: it fails on that image; the message says why.
    """
    blocks = dict(_blocks('', net))
    order: list[str] = []

    def note(block: str) -> None:
        if block not in order:
            order.append(block)

    handles = [
        part.register_forward_pre_hook(lambda *_, block=block: note(block))
        for block, parts in blocks.items()
        for part in parts.values()
    ]
    image = blank_images(net, 1, _PROBE_SIZE, _PROBE_SIZE)
    try:
        with undisturbed(net):
            (forward or net)(image)
    except Exception as error:
        raise ValueError(
            f'{type(net).__name__} cannot be run on an image of {image.shape[2]} x '
            f'{image.shape[3]} pixels to find the order of its blocks: {error}'
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return order + [block for block in blocks if block not in order]


def depths_in_order(order: list[str]) -> dict[str, float]:
    """Depth of each of L blocks, rank / (L - 1): 0 for the first executed, 1 for the last."""
    return {block: rank / max(len(order) - 1, 1) for rank, block in enumerate(order)}


def _blocks(path: str, module: nn.Module) -> Iterator[tuple[str, dict[str, nn.Module]]]:
    """The blocks at and under a module: the name, and the parts with parameters of their own."""
    opened = path == '' or isinstance(module, _CONTAINERS) or _holds_blocks(module)
    children = dict(module.named_children())
    parts = dict(module.named_modules(prefix=path))
    if opened and children:
        parts = {path: module}
    parts = {name: part for name, part in parts.items() if _has_own_parameters(part)}
    if parts:
        yield path, parts
    if opened:
        for name, child in children.items():
            yield from _blocks(f'{path}.{name}' if path else name, child)


def _holds_blocks(module: nn.Module) -> bool:
    """Whether a list of at least two composite modules of one class lies somewhere inside."""
    for part in module.modules():
        if isinstance(part, _CONTAINERS):
            kinds = Counter(type(child) for child in part.children() if is_composite(child))
            if max(kinds.values(), default=0) > 1:
                return True
    return False


def is_composite(module: nn.Module) -> bool:
    """Whether a module has at least two parts with parameters of their own."""
    return sum(_has_own_parameters(part) for part in module.modules()) > 1


def composite_blocks(net: nn.Module) -> list[nn.Module]:
    """The blocks of more than one layer that lie in no other block, in alphabetical order."""
    named = dict(net.named_modules())
    blocks = set(block_of_each_parameter(net).values())
    return [
        named[block]
        for block in sorted(blocks)
        if block
        and is_composite(named[block])
        and not any(other.startswith(f'{block}.') for other in blocks)
    ]


def _has_own_parameters(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None
