"""LPIPS (Zhang et al., 2018), a perceptual distance: the package ``lpips`` with AlexNet."""

import warnings
from pathlib import Path

import numpy as np
import torch
from mmengine.device import get_device

from dtir_mm.evaluation.lpips_weights import load_trunk

# At 31 x 31 pixels, AlexNet's third block is down to one pixel.
SMALLEST_SIDE = 31


class Lpips:
    """The distance between two images: 0 if they are equal, about 1 if they are unrelated.

    Args:
        weights: file of AlexNet's weights; see ``load_trunk`` for None and for errors.
        device: where to compute; None for the accelerator, if there is one.
    """

    def __init__(self, weights: str | Path | None = None, device: str | None = None) -> None:
        trunk = load_trunk(weights)
        import lpips  # Heavy: brings torchvision.

        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            # lpips first builds a random trunk, with an argument that torchvision deprecates.
            warnings.filterwarnings('ignore', category=UserWarning, module='torchvision')
            network = lpips.LPIPS(net='alex', pnet_rand=True, verbose=False)
        # lpips calls features.3.weight slice2.3.weight.
        names = {name: f'features.{name.split(".", 1)[1]}' for name in network.net.state_dict()}
        network.net.load_state_dict({name: trunk[source] for name, source in names.items()})
        self.device = torch.device(device or get_device())
        self.network = network.eval().to(self.device)

    @torch.inference_mode()
    def __call__(self, restored: np.ndarray, clean: np.ndarray) -> float:
        """The distance between two RGB uint8 images (H, W, 3).

        Raises:
            ValueError: the shapes differ, or a side is shorter than ``SMALLEST_SIDE``.
        """
        if restored.shape != clean.shape:
            raise ValueError(
                f'the restored image has the shape {restored.shape}, the clean one {clean.shape}'
            )
        if min(clean.shape[:2]) < SMALLEST_SIDE:
            raise ValueError(
                f'LPIPS needs images of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, got '
                f'{clean.shape[0]} x {clean.shape[1]}'
            )
        return self.network(self._tensor(restored), self._tensor(clean)).item()

    def _tensor(self, image: np.ndarray) -> torch.Tensor:
        """Converts to (1, 3, H, W) in [-1, 1], RGB."""
        chw = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return chw.to(self.device, torch.float32)[None] / 127.5 - 1
