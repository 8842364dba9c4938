"""Images for reports: input, restored images and ground truth side by side."""

from collections.abc import Mapping

import cv2
import numpy as np

from dtir_mm.evaluation.metrics import psnr

MAX_WIDTH = 1800
_MIN_PANEL = 200
_GAP = 4
_CAPTION_HEIGHT = 26


def comparison_strip(
    degraded: np.ndarray, restored_by_name: Mapping[str, np.ndarray], clean: np.ndarray
) -> np.ndarray:
    """One row of captioned images: the input, each restored image, and the ground truth.

    Captions give the PSNR at the original size. Small images are enlarged, and the strip is at most
    ``MAX_WIDTH`` pixels wide.

    Args:
        degraded: uint8 RGB (H, W, 3).
        restored_by_name: captions, e.g. "ours", and images of the same size.
        clean: the same size.

    Returns:
        uint8 RGB (height, width, 3).

    Raises:
        ValueError: an image differs in size from the ground truth; the message names it.
    """
    panels = []
    for name, image in {'input': degraded, **restored_by_name}.items():
        try:
            panels.append((f'{name} {psnr(image, clean):.2f} dB', image))
        except ValueError as error:
            raise ValueError(f'image {name!r}: {error}') from error
    panels.append(('ground truth', clean))
    height, width = clean.shape[:2]
    panel_width = (MAX_WIDTH - _GAP * (len(panels) - 1)) // len(panels)
    panel_width = min(panel_width, max(width, _MIN_PANEL))
    size = (panel_width, max(1, round(height * panel_width / width)))
    gap = np.full((size[1] + _CAPTION_HEIGHT, _GAP, 3), 255, np.uint8)
    columns = [_captioned(caption, image, size) for caption, image in panels]
    return np.hstack([part for column in columns for part in (gap, column)][1:])


def images_of(strip: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The input, the restored image and the ground truth of a strip with one restored image.

    They have the strip's scale, and no captions.

    Raises:
        ValueError: it is not such a strip.
    """
    width, rest = divmod(strip.shape[1] - 2 * _GAP, 3)
    if rest or width < 1 or strip.shape[0] <= _CAPTION_HEIGHT:
        raise ValueError(f'an image of {strip.shape[1]} x {strip.shape[0]} pixels is no strip')
    first, second, third = (
        strip[_CAPTION_HEIGHT:, i * (width + _GAP) :][:, :width] for i in range(3)
    )
    return first, second, third


def _captioned(caption: str, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``image`` scaled to ``size`` (width, height), below a caption of at most its width."""
    # Enlarging keeps pixels visible: smoothing would hide artefacts.
    interpolation = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_NEAREST
    resized = cv2.resize(image, size, interpolation=interpolation)
    bar = np.full((_CAPTION_HEIGHT, size[0], 3), 255, np.uint8)
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.5
    (text_width, _), _ = cv2.getTextSize(caption, font, scale, 1)
    scale *= min(1, (size[0] - 8) / text_width)
    cv2.putText(bar, caption, (4, 18), font, scale, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, resized])
