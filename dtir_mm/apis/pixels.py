"""Images that users hand over, as arrays of colours and transparency, and back."""

from typing import NamedTuple

import numpy as np
from PIL import Image

_DTYPES = (np.uint8, np.uint16, np.float16, np.float32, np.float64)


class Pixels(NamedTuple):
    """An image.

    Attributes:
        colours: RGB (H, W, 3) or grey (H, W, 1): uint8, uint16, or floating point in [0, 1].
        alpha: its transparency (H, W) of the same type; None for none.
    """

    colours: np.ndarray
    alpha: np.ndarray | None

    @classmethod
    def of_array(cls, array: np.ndarray) -> 'Pixels':
        """Colours and alpha of an array (H, W) or (H, W, C), in native byte order.

        Channels are grey, grey and alpha, RGB, or RGB and alpha.

        Raises:
            TypeError: the type is none of those above.
            ValueError: the shape is none of these, the array is empty, or floating-point values are
                not finite or not in [0, 1].
        """
        native = array.astype(array.dtype.newbyteorder('='), copy=False)
        _check(native)
        channels = native.reshape(*native.shape[:2], -1)
        if channels.shape[2] in (1, 3):
            return cls(channels, None)
        return cls(channels[..., :-1], channels[..., -1])

    @property
    def is_deep_colour(self) -> bool:
        """Whether it has 16 bits and more than one channel, for which PIL has no mode."""
        return self.colours.dtype == np.uint16 and (
            self.alpha is not None or self.colours.shape[2] > 1
        )

    def joined(self) -> np.ndarray:
        """The array (H, W, C) of colours and alpha."""
        if self.alpha is None:
            return self.colours
        return np.concatenate([self.colours, self.alpha[..., None]], axis=2)

    def to_pil(self) -> Image.Image:
        """A PIL image of mode L, LA, RGB, RGBA or I;16; other images of 16 bits lose the lower 8.

        Only uint8 and uint16 can be converted.
        """
        array = self.joined()
        if self.is_deep_colour:
            array = (array >> 8).astype(np.uint8)
        return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _check(array: np.ndarray) -> None:
    if array.dtype not in _DTYPES:
        raise TypeError(
            f'an image of {array.dtype} cannot be restored: it must be uint8, uint16, or floating '
            f'point with values in [0, 1]'
        )
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or not 1 <= channels <= 4:
        raise ValueError(
            f'an image must have shape (H, W) or (H, W, C) with 1 to 4 channels, got {array.shape}'
        )
    if array.size == 0:
        raise ValueError(f'an image of shape {array.shape} has no pixels')
    if array.dtype.kind == 'f':
        low, high = float(array.min()), float(array.max())
        if not (0 <= low and high <= 1):  # also NaN
            raise ValueError(
                f'floating-point images must have values in [0, 1], got {low:g} to {high:g}'
            )
