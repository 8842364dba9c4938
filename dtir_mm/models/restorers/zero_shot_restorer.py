"""The pre-trained generator as a restorer, without any fine-tuning ("w/o GEF", Tables 6 to 9)."""

from typing import Any

import torch
from torch import Tensor

from dtir_mm.diffusion.sampling import ddim_denoise
from dtir_mm.models.restorers.generative_pretrainer import GenerativePretrainer
from dtir_mm.randomness import seed_of
from dtir_mm.registry import MODELS

INFERENCES = ('score', 'sdedit')
_DDIM_STEPS = 10


@MODELS.register_module()
class ZeroShotRestorer(GenerativePretrainer):
    """Restores from t_mat with what pre-training alone has learnt. The paper does not say how.

    Args:
        inference: "score" takes the degraded image itself for a noisy one, ``x_hat = y - s_t
            f(y, t_mat)``, one pass; "sdedit" diffuses it to t_mat and back by DDIM in at most ten
            passes.
        kwargs: see ``GenerativePretrainer``.

    Raises:
        ValueError: ``inference`` is neither.
    """

    def __init__(self, inference: str = 'score', **kwargs: Any) -> None:
        if inference not in INFERENCES:
            raise ValueError(
                f'inference={inference!r} of ZeroShotRestorer must be one of {INFERENCES}'
            )
        super().__init__(**{**kwargs, 'residual_scale': 'sigma'})
        self.inference = inference

    def forward(self, degraded: Tensor, t: Tensor) -> Tensor:
        """See ``BaseRestorer``; noise is the same for every image of a size."""
        if self.inference == 'score':
            return super().forward(degraded, t)
        rng = torch.Generator().manual_seed(seed_of(0, 'sdedit'))
        noise = torch.randn(degraded.shape[1:], generator=rng).to(degraded)
        noisy = self.schedule.add_noise(degraded, noise.expand_as(degraded), t)
        restored = [
            ddim_denoise(self.schedule, self.nuisance, image[None], int(step), _DDIM_STEPS)
            for image, step in zip(noisy, t, strict=True)
        ]
        return torch.cat(restored)

    def val_step(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """Restored images, as in ``test_step``."""
        return self.test_step(data)
