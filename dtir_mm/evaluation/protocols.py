"""Evaluation protocols, because colour space and crop may affect PSNR more than the method."""

from dataclasses import dataclass

import numpy as np

from dtir_mm.typos import hint

_LUMA_WEIGHTS = np.array([65.481, 128.553, 24.966]) / 255


@dataclass(frozen=True)
class Protocol:
    """How images are compared.

    Args:
        name: the key of ``PROTOCOLS``.
        color: "rgb", or "y": the luma of BT.601, as MATLAB's ``rgb2ycbcr`` before rounding.
        crop_border: pixels to crop at each side first.
        lpips: whether to measure LPIPS.
    """

    name: str
    color: str
    crop_border: int
    lpips: bool

    def crop(self, image: np.ndarray) -> np.ndarray:
        """``image`` (H, W, 3) without its border.

        Raises:
            ValueError: nothing would be left.
        """
        border = self.crop_border
        if min(image.shape[:2]) <= 2 * border:
            raise ValueError(
                f'protocol {self.name!r} crops {border} pixels at each side, which leaves nothing '
                f'of {image.shape[0]} x {image.shape[1]} pixels'
            )
        return image[border : image.shape[0] - border, border : image.shape[1] - border]

    def convert(self, rgb: np.ndarray) -> np.ndarray:
        """What PSNR and SSIM compare: ``rgb`` (H, W, 3) itself, or its luma (H, W)."""
        return luma(rgb) if self.color == 'y' else rgb


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol('rgb', color='rgb', crop_border=0, lpips=True),
        # For validation in training, of which LPIPS would take most of the time.
        Protocol('rgb_no_lpips', color='rgb', crop_border=0, lpips=False),
        # DA-CLIP's test script crops 4 pixels: only for comparison with its results.
        Protocol('rgb_crop4', color='rgb', crop_border=4, lpips=True),
        # Deraining papers; LPIPS is defined on colour.
        Protocol('y', color='y', crop_border=0, lpips=False),
    )
}


def get_protocol(name: str) -> Protocol:
    """The protocol called ``name``; raises ValueError if there is none."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    raise ValueError(
        f'unknown protocol {name!r}; there are {", ".join(PROTOCOLS)}{hint(str(name), PROTOCOLS)}'
    )


def luma(rgb: np.ndarray) -> np.ndarray:
    """BT.601 luma, 16 to 235, of ``rgb`` (H, W, 3) in 0 to 255: float64 (H, W), not rounded."""
    return 16 + rgb @ _LUMA_WEIGHTS
