"""The image sizes that a network takes, found by trying where it does not state them."""

import inspect
from itertools import product

import torch
from mmengine.logging import print_log
from torch import nn

from dtir_mm.models.backbones.contract import what_is_wrong_with
from dtir_mm.models.backbones.probe import cause, undisturbed
from dtir_mm.models.backbones.size_rule import SizeRule

_STATEMENTS = ('size_multiple', 'size_minimum', 'square_only')
# Powers of two, as of strides, first; then windows of another side, and strides of three.
_MULTIPLES = (
    *(2**i for i in range(8)),
    *(odd * 2**i for odd, i in product((3, 5, 7), range(5))),
)
_SIDE = 64


def settle_sizes(net: nn.Module) -> nn.Module:
    """The network, which states the sizes that it takes: those found where it stated none.

    They are found by running it on small blank images, in evaluation mode: an odd size, then
    multiples of 2, 4, 8 ... until one is taken, and last the smallest that is.

    Raises:
        ValueError: it takes no image of three channels, or gives another shape than it is given;
            the message says why.
    """
    require_image_alone(net)
    if any(hasattr(net, statement) for statement in _STATEMENTS):
        return net
    rule = _found(net)
    net.size_multiple, net.size_minimum = rule.multiple, rule.minimum
    net.square_only = rule.square
    if rule != SizeRule():
        print_log(
            f'{type(net).__name__} states no sizes; tried, {rule.describe()}. Images are padded to '
            f'that, and training patches must be of such a size. To state it: '
            f'size_multiple = {rule.multiple}'
            + (f', size_minimum = {rule.minimum}' if rule.minimum > rule.multiple else ''),
            'current',
        )
    return net


def require_image_alone(net: nn.Module) -> None:
    """Raises ValueError where the forward of a network needs more than an image."""
    parameters = inspect.signature(net.forward).parameters.values()
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if len(needed) > 1:
        raise ValueError(
            f'{type(net).__name__} must take an image alone, but its forward needs '
            f'{", ".join(needed)}. Give the others a default, or wrap it'
        )


def _found(net: nn.Module, at_least: int = _SIDE) -> SizeRule:
    for square, multiple in product((False, True), _MULTIPLES):
        # An odd number of times, so that it is not taken as a multiple of twice as much.
        side = multiple * (-(-at_least // multiple) | 1)
        other = side if square else side + 2 * multiple
        if _obstacle(net, side, other) is None:
            minimum = _smallest(net, multiple, side)
            # Smaller multiples may have been refused for being too small.
            return (
                _found(net, minimum) if minimum > at_least else SizeRule(multiple, minimum, square)
            )
    raise ValueError(_refusal(net))


def _smallest(net: nn.Module, multiple: int, taken: int) -> int:
    """The smallest square that is taken, by bisection below one that is."""
    if _obstacle(net, multiple, multiple) is None:
        return multiple
    low, high = 1, taken // multiple
    while high - low > 1:
        middle = (low + high) // 2
        if _obstacle(net, middle * multiple, middle * multiple) is None:
            high = middle
        else:
            low = middle
    return high * multiple


def _obstacle(net: nn.Module, height: int, width: int, channels: int = 3) -> str | None:
    """Why a network does not map images of that size to the same; None where it does."""
    like = next(net.parameters(), torch.zeros(()))
    image = like.new_zeros(1, channels, height, width)
    try:
        with undisturbed(net):
            output = net(image)
    except Exception as error:  # a network of the user's own may raise anything
        return f'on {tuple(image.shape)} it fails: {cause(error)}'
    if bool((image != 0).any()):
        return 'changes its input in place, which others read afterwards: let it work on a copy'
    return what_is_wrong_with(output, image)


def _refusal(net: nn.Module) -> str:
    """Why no size was taken."""
    name = type(net).__name__
    side = 2 * _SIDE
    if _obstacle(net, side, side, channels=1) is None:
        return (
            f'{name} takes images of 1 channel, but must take and give RGB, 3 channels: build it '
            f'with three'
        )
    return f'{name} cannot be a backbone: {_obstacle(net, side, side)}'
