"""Synthetic drops on a window: each shows the scene upside down, small and blurred."""

from dataclasses import dataclass

import cv2
import numpy as np

from dtir_mm.datasets.degradations.base import Degradation, to_uint8
from dtir_mm.registry import TRANSFORMS

# A drop's middle shows the scene this many times smaller, its rim even smaller.
_SHRINK = (2.0, 4.0)
_RIM_SHADE = 0.5
_MARGIN = 1.4


@dataclass(frozen=True)
class DropStrength:
    """Drops of an image; ranges are of uniform distributions.

    Args:
        drops: how many.
        radius: a fraction of the square root of the image's area.
        edge: width of a drop's soft edge, a share of its radius: the drops are out of focus.
        opacity: of a drop's middle.
    """

    drops: tuple[int, int]
    radius: tuple[float, float]
    edge: float
    opacity: tuple[float, float]


SOURCE = DropStrength((15, 30), (0.015, 0.04), 0.45, (0.8, 0.95))
TARGET = DropStrength((30, 60), (0.02, 0.065), 0.3, (0.9, 1.0))


@TRANSFORMS.register_module()
class Raindrop(Degradation):
    """A few small drops; heavier: many large ones.

    A drop is a small, strong lens before the camera: what lies around it is seen through it turned
    by 180 degrees, shrunk and out of focus, with a dark rim where light is bent away.
    """

    task = 'raindrop'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See ``Degradation``."""
        drops = SOURCE if self.severity == 'source' else TARGET
        height, width = image.shape[:2]
        unit = np.sqrt(height * width)
        # Per pixel: the column and the row that it shows, opacity and shade of the drop over it.
        maps = np.zeros((4, height, width), np.float32)
        for _ in range(round(rng.uniform(*drops.drops))):
            _add_drop(maps, drops, unit, rng)
        columns, rows, opacity, shade = maps
        opacity, shade = opacity[..., None], shade[..., None]
        blurred = cv2.GaussianBlur(image, (0, 0), max(0.005 * unit, 0.5))
        seen = cv2.remap(
            blurred, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        return to_uint8((image * (1 - opacity) + seen * (shade * opacity)) / 255)


def _add_drop(maps: np.ndarray, drops: DropStrength, unit: float, rng: np.random.Generator) -> None:
    """Lays one drop over ``maps``, (4, H, W); see ``Raindrop.degrade``."""
    size = np.array(maps.shape[:0:-1])
    middle = rng.uniform(0, 1, 2) * size
    radius = rng.uniform(*drops.radius) * unit
    squeeze = rng.uniform(0.75, 1)
    swelling, phases = rng.uniform(0, 0.12, 2), rng.uniform(0, 2 * np.pi, 2)
    shrink, peak = rng.uniform(*_SHRINK), rng.uniform(*drops.opacity)

    first = np.maximum(middle - _MARGIN * radius, 0).astype(int)
    last = np.minimum(middle + _MARGIN * radius + 1, size).astype(int)
    rows, columns = np.mgrid[first[1] : last[1], first[0] : last[0]]
    x, y = columns - middle[0], rows - middle[1]
    angle = np.arctan2(y, x)
    outline = (
        1
        + swelling[0] * np.cos(2 * angle + phases[0])
        + swelling[1] * np.cos(3 * angle + phases[1])
    )
    # 0 in the middle, 1 on the outline.
    reach = np.hypot(x / squeeze, y) / (radius * outline)
    cover = peak * _smoothstep((1 - reach) / drops.edge + 0.5)
    bend = shrink * (1 + reach**2)
    shade = 1 - _RIM_SHADE * np.minimum(reach, 1) ** 3

    window = maps[:, first[1] : last[1], first[0] : last[0]]
    drop = np.stack([middle[0] - bend * x, middle[1] - bend * y, cover, shade])
    np.copyto(window, drop, where=cover > window[2], casting='same_kind')


def _smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, and a smooth rise between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
