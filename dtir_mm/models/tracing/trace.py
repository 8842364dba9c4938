"""The structure of a network, from a single forward pass.

A backbone is an ``nn.Module`` from (B, 3, H, W) in [-1, 1] to the same. It may declare:

``global_skip: bool``
    whether its output is the restored image, ``net(u) = u + b(u)``; False if it is the residual;
``size_multiple: int``, ``size_minimum: int``, ``square_only: bool``
    the accepted sizes (``sizes.py``); if one is declared, the others default to 1, 1 and False;
``conditioning_groups() -> dict[str, list[str]]``
    the names of the modules that each FiLM layer modulates.

The rest is detected: the sizes by trying, the global skip by a forward pass with the last layer
zeroed, the groups from the module tree (``sites.py``).

The paper does not define depth; its Fig. 9 (shallow layers extract, deep ones output the residual)
suggests the order of execution, which is used here.
"""

import copy
import inspect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from dtir_mm.models.tracing.sizes import (
    SizeRule,
    cause,
    check_output,
    probe_images,
    size_rule,
    undisturbed,
)

BATCH = 2
# Not square, which shows the layout of an output; no level of a U-Net has a side that is a usual
# number of channels.
_HEIGHT, _WIDTH = 72, 104
_SKIP_SIZE = 64
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class NetworkTrace:
    """The result of ``trace``.

    Args:
        net: the network.
        size_rule: the sizes that it accepts.
        image_shape: (2, 3, H, W) of the images that it ran on.
        order: its blocks in the order of their first execution; those that never run come last.
        blocks: the block of each parameter: a residual, attention or NAF block, or a convolution.
        shapes: output shapes of each module, one per call, in the order of the modules' first
            return, without modules that did not run or do not return a tensor.
        last_layer: the convolution or linear layer that returned last, if any.
        last_convolution: the ``nn.Conv2d`` that returned last, if any.
    """

    net: nn.Module
    size_rule: SizeRule
    image_shape: torch.Size
    order: list[str]
    blocks: dict[str, str]
    shapes: dict[str, list[torch.Size]]
    last_layer: str | None
    last_convolution: str | None

    @cached_property
    def global_skip(self) -> bool:
        """Whether the network adds its input to its output, as declared or detected.

        Raises:
            ValueError: it is not declared, and cannot be detected.
        """
        if hasattr(self.net, 'global_skip'):
            return bool(self.net.global_skip)
        if self._detected_skip is None:
            raise ValueError(
                f'cannot tell whether {type(self.net).__name__} adds its input to its output: with '
                f'its last layer zeroed it returns neither the input nor zero. Set global_skip = '
                f'True or False on it'
            )
        return self._detected_skip

    @property
    def depths(self) -> dict[str, float]:
        """Depth of each of L blocks, rank / (L - 1): 0 for the first executed, 1 for the last."""
        return {block: rank / max(len(self.order) - 1, 1) for rank, block in enumerate(self.order)}

    def block_of_module(self, name: str) -> str | None:
        """The innermost block that contains the module ``name``; None if none does."""
        around = [block for block in self.order if f'{name}.'.startswith(f'{block}.')]
        return max(around, key=len, default=None)

    def composite_blocks(self) -> list[nn.Module]:
        """The blocks of several layers that contain no other block, sorted by name."""
        blocks = set(self.blocks.values())
        named = {block: self.net.get_submodule(block) for block in sorted(blocks) if block}
        return [
            module
            for block, module in named.items()
            if is_composite(module) and not any(b.startswith(f'{block}.') for b in blocks)
        ]

    def replaceable_convolution(self) -> nn.Conv2d:
        """The last layer, provided that it is a convolution without which f(u, t) is zero.

        Raises:
            ValueError: it is another layer, or f is not zero without it.
        """
        kind = type(self.net).__name__
        name = self.last_layer or ''
        last = self.net.get_submodule(name)
        if not isinstance(last, nn.Conv2d) or is_parametrized(last):
            raise ValueError(
                f'restoration_head=True: the last layer of {kind}, {name!r}, must be an nn.Conv2d, '
                f'but is {type(last).__name__}'
            )
        if self._detected_skip is not self.global_skip:
            raise ValueError(
                f'restoration_head=True: the last convolution of {kind}, {name!r}, must produce '
                f'the whole residual, but without it the residual is not zero'
            )
        return last

    @cached_property
    @torch.no_grad()
    def _detected_skip(self) -> bool | None:
        """Whether a copy with its last layer zeroed returns its input; None if not zero either."""
        probe = copy.deepcopy(self.net).float()
        if any(parameter.is_meta for parameter in probe.parameters()):
            probe = probe.to_empty(device='cpu')
            for parameter in probe.parameters():
                nn.init.normal_(parameter, std=0.02)  # any values show whether there is a skip
            for buffer in probe.buffers():
                buffer.zero_()
        probe = probe.cpu().eval()
        if self.last_layer is not None:
            for parameter in probe.get_submodule(self.last_layer).parameters():
                parameter.zero_()
        rng = torch.Generator('cpu').manual_seed(0)
        size = self.size_rule.enclosing(_SKIP_SIZE, _SKIP_SIZE)
        image = torch.rand(1, 3, *size, generator=rng, device='cpu')
        output = probe(image)
        if torch.allclose(output, image, atol=1e-6):
            return True
        return False if torch.allclose(output, torch.zeros_like(image), atol=1e-6) else None


def trace(net: nn.Module) -> NetworkTrace:
    """Runs a network once on ramps of grey values, and leaves it unchanged.

    Sizes and global skip that it does not declare need further forward passes.

    Raises:
        ValueError: it does not map images to images of the same shape, needs other arguments, or
            its global skip cannot be detected; the message says why.
    """
    _require_image_only(net)
    rule = size_rule(net)
    images = probe_images(net, BATCH, *rule.enclosing(_HEIGHT, _WIDTH))
    before = images.clone()
    entered: list[nn.Module] = []
    returned: list[str] = []
    shapes: dict[str, list[torch.Size]] = {}

    def note_return(name: str, output: object) -> None:
        returned.append(name)
        if isinstance(output, torch.Tensor):
            shapes.setdefault(name, []).append(output.shape)

    handles = []
    for name, module in net.named_modules():
        handles += [
            module.register_forward_pre_hook(lambda module, _: entered.append(module)),
            module.register_forward_hook(lambda *args, name=name: note_return(name, args[-1])),
        ]
    try:
        with undisturbed(net):
            output = net(images)
    except Exception as error:  # a user's network may raise anything
        raise ValueError(
            f'{type(net).__name__} cannot be run on {tuple(images.shape)}: {cause(error)}. Are the '
            f'sizes that it states right (size_multiple, size_minimum, square_only)?'
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    check_output(net, images, output, before)
    order, blocks = _blocks_in_order(net, entered)
    layers = [name for name in returned if isinstance(net.get_submodule(name), _LAYERS)]
    convolutions = [name for name in layers if isinstance(net.get_submodule(name), nn.Conv2d)]
    result = NetworkTrace(
        net, rule, images.shape, order, blocks, shapes,
        last_layer=layers[-1] if layers else None,
        last_convolution=convolutions[-1] if convolutions else None,
    )  # fmt: skip
    _ = result.global_skip  # detected now, before anything is attached to the network
    return result


def is_composite(module: nn.Module) -> bool:
    """Whether a module has at least two parts with parameters of their own."""
    return sum(_has_own_parameters(part) for part in module.modules()) > 1


def _require_image_only(net: nn.Module) -> None:
    needed = [
        parameter.name
        for parameter in inspect.signature(net.forward).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if len(needed) > 1:
        raise ValueError(
            f'{type(net).__name__} must take a single image, but its forward needs '
            f'{", ".join(needed)}. Give the others a default, or wrap it'
        )


def _blocks_in_order(net: nn.Module, entered: list[nn.Module]) -> tuple[list[str], dict[str, str]]:
    """The blocks in the order in which their parts were entered, and each parameter's block.

    Containers are opened, and so are modules that contain a list of two or more composite modules
    of one class (a stage of transformer blocks); all others are blocks. Parameters of an opened
    module itself are a block under its name. A shared parameter belongs to its first block.
    """
    blocks = dict(_blocks('', net))
    blocks_of: dict[nn.Module, list[str]] = {}
    for block, parts in blocks.items():
        for part in parts.values():
            blocks_of.setdefault(part, []).append(block)
    executed = [block for module in entered for block in blocks_of.get(module, [])]
    block_of = {
        f'{path}.{name}' if path else name: block
        for block, parts in blocks.items()
        for path, part in parts.items()
        for name, _ in part.named_parameters(recurse=False)
    }
    order = list(dict.fromkeys([*executed, *blocks]))
    return order, {name: block_of[name] for name, _ in net.named_parameters()}


def _blocks(path: str, module: nn.Module) -> Iterator[tuple[str, dict[str, nn.Module]]]:
    """The blocks at and under a module: their names, and their parts that have parameters."""
    opened = path == '' or isinstance(module, _CONTAINERS) or _contains_blocks(module)
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


def _contains_blocks(module: nn.Module) -> bool:
    """Whether there is a list of at least two composite modules of one class somewhere inside."""
    for part in module.modules():
        if isinstance(part, _CONTAINERS):
            kinds = Counter(type(child) for child in part.children() if is_composite(child))
            if max(kinds.values(), default=0) > 1:
                return True
    return False


def _has_own_parameters(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None
