"""A degradation for dtir_mm: images whose pixels were merged into blocks."""

import cv2
import numpy as np

from dtir_mm.datasets.degradations import DEGRADATIONS, Degradation

SIDES = {'source': (2, 4), 'target': (5, 8)}  # smallest and largest side of a block in pixels


class Pixelate(Degradation):
    """Replaces blocks of pixels by their mean; target: larger blocks than in training."""

    task = 'pixelated'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        side = rng.integers(*SIDES[self.severity], endpoint=True)
        height, width = image.shape[:2]
        small = (max(1, width // side), max(1, height // side))
        blocks = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)


DEGRADATIONS[Pixelate.task] = Pixelate
