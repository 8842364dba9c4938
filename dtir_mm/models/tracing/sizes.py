"""The image sizes that a network accepts: declared, or found by running it on small images."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

_DECLARED = ('size_multiple', 'size_minimum', 'square_only')
# Powers of two (strides) first; then other window sizes, and strides of three.
_MULTIPLES = (
    *(2**i for i in range(8)),
    *(odd * 2**i for odd, i in product((3, 5, 7), range(5))),
)
_SIDE = 64


@dataclass(frozen=True)
class SizeRule:
    """Heights and widths in pixels must be multiples of ``multiple`` and at least ``minimum``.

    If ``square``, they must also be equal.
    """

    multiple: int = 1
    minimum: int = 1
    square: bool = False

    def takes(self, height: int, width: int) -> bool:
        """Whether an image of that size needs no padding."""
        return self.enclosing(height, width) == (height, width)

    def describe(self) -> str:
        """The rule in words: "the network takes squares of multiples of 8, from 16 on"."""
        smallest, _ = self.enclosing(1, 1)
        kind = 'squares of ' if self.square else 'sides of '
        multiples = f'multiples of {self.multiple}' if self.multiple > 1 else 'any length'
        return f'the network takes {kind}{multiples}, from {smallest} on'

    def enclosing(self, height: int, width: int) -> tuple[int, int]:
        """The smallest accepted size that is at least as large."""
        height, width = (max(side, self.minimum) for side in (height, width))
        height, width = (side + -side % self.multiple for side in (height, width))
        return (max(height, width),) * 2 if self.square else (height, width)

    def pad(self, image: Tensor) -> Tensor:
        """Pads (B, 3, H, W) at the right and bottom by reflection; a tiny image by its border."""
        height, width = image.shape[-2:]
        padded_height, padded_width = self.enclosing(height, width)
        bottom, right = padded_height - height, padded_width - width
        mode = 'reflect' if bottom < height and right < width else 'replicate'
        return F.pad(image, (0, right, 0, bottom), mode=mode) if bottom or right else image

    def inside(self, height: int, width: int) -> tuple[int, int]:
        """The largest accepted size that is no larger.

        Raises:
            ValueError: the image is smaller than any accepted size.
        """
        smallest, _ = self.enclosing(1, 1)
        if min(height, width) < smallest:
            raise ValueError(
                f'an image of {height} x {width} pixels is too small: {self.describe()}'
            )
        height, width = (side - side % self.multiple for side in (height, width))
        return (min(height, width),) * 2 if self.square else (height, width)


def size_rule(net: nn.Module) -> SizeRule:
    """The sizes that a network declares, or those found by running it on small images.

    An odd size is tried first, then multiples of 2, 4, 8 ... until one is accepted, and then
    smaller images. What was found is logged.

    Raises:
        ValueError: it accepts no RGB image, modifies its input, or changes the shape; the message
            says why.
    """
    if any(hasattr(net, name) for name in _DECLARED):
        return SizeRule(
            multiple=int(getattr(net, 'size_multiple', 1)),
            minimum=int(getattr(net, 'size_minimum', 1)),
            square=bool(getattr(net, 'square_only', False)),
        )
    rule = _find(net)
    if rule != SizeRule():
        print_log(
            f'{type(net).__name__} does not state its sizes; by trying, {rule.describe()}. Images '
            f'are padded to that, and training patches must have such a size. To state it: '
            f'size_multiple = {rule.multiple}'
            + (f', size_minimum = {rule.minimum}' if rule.minimum > rule.multiple else ''),
            'current',
        )
    return rule


def check_output(
    net: nn.Module, image: Tensor, output: object, before: Tensor | None = None
) -> None:
    """Raises ValueError unless ``output`` has the shape of ``image``, which is as ``before``."""
    mismatch = _mismatch(output, image, before)
    if mismatch:
        raise ValueError(f'{type(net).__name__} {mismatch}')


def probe_images(net: nn.Module, batch: int, height: int, width: int, channels: int = 3) -> Tensor:
    """Ramps (B, C, H, W) from -2 to 2, in the data type and on the device of the weights."""
    like = next(net.parameters(), torch.zeros(()))
    ramp = torch.linspace(-2, 2, batch * channels * height * width, device=like.device)
    return ramp.to(like).reshape(batch, channels, height, width)


@contextmanager
def left_as_it_was(net: nn.Module) -> Iterator[None]:
    """Restores modes and buffers of a network, and torch's random state, on leaving."""
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
    """Inside, the network is in evaluation mode without gradients; see ``left_as_it_was``."""
    with left_as_it_was(net), torch.no_grad():
        net.eval()
        yield


def cause(error: Exception) -> str:
    """An error's message in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines and not isinstance(error, LookupError) else repr(error)


def _find(net: nn.Module, at_least: int = _SIDE) -> SizeRule:
    for square, multiple in product((False, True), _MULTIPLES):
        # An odd number of times, so that it is not mistaken for a multiple of twice as much.
        side = multiple * (-(-at_least // multiple) | 1)
        other = side if square else side + 2 * multiple
        if _obstacle(net, side, other) is None:
            minimum = _smallest(net, multiple, side)
            # Smaller multiples may have failed because the images were too small.
            return (
                _find(net, minimum) if minimum > at_least else SizeRule(multiple, minimum, square)
            )
    name, side = type(net).__name__, 2 * _SIDE
    if _obstacle(net, side, side, channels=1) is None:
        raise ValueError(
            f'{name} takes images of 1 channel, but must take and give RGB, 3 channels: build it '
            f'with three'
        )
    raise ValueError(f'{name} cannot be a backbone: {_obstacle(net, side, side)}')


def _smallest(net: nn.Module, multiple: int, accepted: int) -> int:
    """The smallest accepted square, by bisection below one that is accepted."""
    if _obstacle(net, multiple, multiple) is None:
        return multiple
    low, high = 1, accepted // multiple
    while high - low > 1:
        middle = (low + high) // 2
        if _obstacle(net, middle * multiple, middle * multiple) is None:
            high = middle
        else:
            low = middle
    return high * multiple


def _obstacle(net: nn.Module, height: int, width: int, channels: int = 3) -> str | None:
    """Why a network does not map images of that size to the same size; None if it does."""
    image = probe_images(net, 1, height, width, channels)
    before = image.clone()
    try:
        with undisturbed(net):
            output = net(image)
    except Exception as error:  # a user's network may raise anything
        return f'on {tuple(image.shape)} it fails: {cause(error)}'
    return _mismatch(output, image, before)


def _mismatch(output: object, image: Tensor, before: Tensor | None) -> str | None:
    if before is not None and not image.is_meta and not torch.equal(image, before):
        return 'changes its input in place, which is read again afterwards: let it work on a copy'
    if isinstance(output, Tensor) and output.shape == image.shape:
        return None
    got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    return f'must map {tuple(image.shape)} to the same shape, but gave {got}'
