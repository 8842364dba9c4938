"""Which image sizes a network takes, as data; padding and cropping follow from it."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class SizeRule:
    """What heights and widths, in pixels, must be.

    Args:
        multiple: they must be multiples of it.
        minimum: they must be at least that large.
        square: they must be equal.
    """

    multiple: int = 1
    minimum: int = 1
    square: bool = False

    def takes(self, height: int, width: int) -> bool:
        """Whether an image of that size is taken as it is."""
        return self.enclosing(height, width) == (height, width)

    def describe(self) -> str:
        """What is taken, in words: "the network takes squares of multiples of 8, from 16 on"."""
        smallest, _ = self.enclosing(1, 1)
        kind = 'squares of ' if self.square else 'sides of '
        multiples = f'multiples of {self.multiple}' if self.multiple > 1 else 'any length'
        return f'the network takes {kind}{multiples}, from {smallest} on'

    def enclosing(self, height: int, width: int) -> tuple[int, int]:
        """The smallest size that is taken and holds such an image."""
        height, width = (max(side, self.minimum) for side in (height, width))
        height, width = (side + -side % self.multiple for side in (height, width))
        return (max(height, width),) * 2 if self.square else (height, width)

    def inside(self, height: int, width: int) -> tuple[int, int]:
        """The largest size that is taken and fits into such an image.

        Raises:
            ValueError: none does.
        """
        smallest, _ = self.enclosing(1, 1)
        if min(height, width) < smallest:
            raise ValueError(
                f'an image of {height} x {width} pixels is too small: {self.describe()}'
            )
        height, width = (side - side % self.multiple for side in (height, width))
        return (min(height, width),) * 2 if self.square else (height, width)


def size_rule(net: nn.Module) -> SizeRule:
    """What a network states (``contract.py``); any size where it does not."""
    return SizeRule(
        multiple=int(getattr(net, 'size_multiple', 1)),
        minimum=int(getattr(net, 'size_minimum', 1)),
        square=bool(getattr(net, 'square_only', False)),
    )
