"""The figures of one restored image: PSNR, SSIM, LPIPS, and two for artefacts."""

import numpy as np

from dtir_mm.evaluation.lpips_metric import Lpips
from dtir_mm.evaluation.metrics import psnr, ssim
from dtir_mm.evaluation.protocols import PROTOCOLS

_EDGE, _MARGIN = 2, 8  # pixels
_PERIODS = (2, 4, 8, 16)
_NEAR = (2, 3, 4)


class Figures:
    """Measures images by protocol "rgb", or by "rgb_no_lpips" if LPIPS has no weights here."""

    def __init__(self) -> None:
        self.lpips: Lpips | None = None
        try:
            self.lpips = Lpips()
        except FileNotFoundError as error:
            print(f'without LPIPS: {error}')
        self.protocol = PROTOCOLS['rgb' if self.lpips else 'rgb_no_lpips']

    def __call__(self, image: np.ndarray, clean: np.ndarray) -> dict[str, float]:
        """The figures by name, of an RGB uint8 image (H, W, 3) and its ground truth."""
        figures = {'psnr': psnr(image, clean), 'ssim': ssim(image, clean)}
        if self.lpips:
            figures['lpips'] = self.lpips(image, clean)
        return {
            **figures,
            'border': border_excess(image, clean),
            'grid': grid_energy(image, clean),
        }


def border_excess(image: np.ndarray, clean: np.ndarray) -> float:
    """Mean absolute error of the outer two pixels over that of the inside; 1 for equal images.

    The inside begins eight pixels from the border. A network that pads with zeros may leave a
    bright or dark line, which makes this larger than for the degraded image.
    """
    error = np.abs(image.astype(np.float64) - clean).mean(axis=-1)
    inside = error[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN].mean()
    edge = np.ones(error.shape, bool)
    edge[_EDGE:-_EDGE, _EDGE:-_EDGE] = False
    return float((error[edge].mean() + 1e-3) / (inside + 1e-3))


def grid_energy(image: np.ndarray, clean: np.ndarray) -> float:
    """How far the error repeats every 2, 4, 8 or 16 pixels: 1 if not at all, or for equal images.

    The largest ratio of the error's spectrum at one of these periods, along rows or columns, to its
    mean at neighbouring frequencies. Strided transposed convolutions leave such a grid.
    """
    error = (image.astype(np.float64) - clean).mean(axis=-1)
    height, width = (side // max(_PERIODS) * max(_PERIODS) for side in error.shape)
    error = error[:height, :width]
    if not error.any():
        return 1.0
    return max(_line_excess(error, axis, period) for axis in (0, 1) for period in _PERIODS)


def _line_excess(error: np.ndarray, axis: int, period: int) -> float:
    spectrum = np.abs(np.fft.rfft(error, axis=axis)).mean(axis=1 - axis)
    line = error.shape[axis] // period
    near = [spectrum[k] for d in _NEAR for k in (line - d, line + d) if 0 < k < len(spectrum)]
    return float((spectrum[line] + 1e-9) / (np.mean(near) + 1e-9))
