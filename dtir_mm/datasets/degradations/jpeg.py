"""JPEG compression."""

import cv2
import numpy as np

from dtir_mm.datasets.degradations.base import Degradation
from dtir_mm.registry import TRANSFORMS

SOURCE = 20
TARGET = 8
"""Quality of the encoder, 1..100."""


@TRANSFORMS.register_module()
class Jpeg(Degradation):
    """JPEG compression of quality 20; target: 8.

    OpenCV's encoder with its default 4:2:0 chroma; nothing is random.
    """

    task = 'jpeg'

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See ``Degradation``."""
        return compress(image, SOURCE if self.severity == 'source' else TARGET)


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """RGB uint8 (H, W, 3) after JPEG compression of a quality in 1..100."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    _, stored = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(stored, cv2.IMREAD_COLOR)
    assert decoded is not None, 'OpenCV cannot decode its own JPEG'
    return np.ascontiguousarray(decoded[..., ::-1])
