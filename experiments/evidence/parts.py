"""Data sets and objectives that only these experiments use."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dtir_mm.datasets.degradations.jpeg import compress
from dtir_mm.datasets.photos import DegradedPhotosDataset
from dtir_mm.datasets.transforms import scale_degradation
from dtir_mm.models.objectives.noise_prediction import NoisePrediction
from dtir_mm.models.objectives.noisy_samples import noisy_samples
from dtir_mm.models.objectives.objective import Losses, Objective, Samples
from dtir_mm.names import pair_stem
from dtir_mm.randomness import generator, seed_of
from dtir_mm.registry import DATASETS, MODELS
from evidence.hypotheses import COMPOSITE

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

JPEG_QUALITY = 60
_STRENGTHS = (0.5, 1.5)


@DATASETS.register_module()
class CompositePhotosDataset(DegradedPhotosDataset):
    """The second unseen set: degraded at the source severity, then saved as JPEG of quality 60.

    Neither JPEG nor a mixture of degradations is in the training data of any arm.
    """

    def load(self, index: int) -> dict[str, Any]:
        """See ``RestorationDataset``; the domain is "composite"."""
        sample = super().load(index)
        return {
            **sample,
            'degraded': compress(sample['degraded'], JPEG_QUALITY),
            'domain': COMPOSITE,
        }


@DATASETS.register_module()
class WidenedPhotosDataset(DegradedPhotosDataset):
    """Pairs whose degradation is between half and one and a half times as strong as the source's.

    The difference between degraded image and ground truth is scaled by a uniform factor, the same
    for all pixels of a pair. The target severity is not used.
    """

    def load(self, index: int) -> dict[str, Any]:
        """See ``RestorationDataset``."""
        sample = super().load(index)
        _, file, draw = self.pairs[index]
        strength = generator(0, 'widened', self.task, pair_stem(file), draw).uniform(*_STRENGTHS)
        degraded = scale_degradation(sample['degraded'], sample['clean'], strength)
        return {**sample, 'degraded': degraded}


@MODELS.register_module()
class OneSigmaNoisePrediction(NoisePrediction):
    """Noise prediction at the noise level of one time step: a denoiser instead of a diffusion.

    The network is still conditioned on a uniform t, which tells it nothing, so that fine-tuning may
    use any.

    Args:
        step: the time step whose noise level is used.
    """

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def losses(self, restorer: 'Restorer', samples: Samples) -> Losses:
        """See ``Objective``."""
        _, noise, t = noisy_samples(restorer.schedule, samples)
        clean = samples['clean']
        noisy = restorer.schedule.add_noise(clean, noise, torch.full_like(t, self.step))
        return Losses(self.errors(restorer, noisy, noise, t, clean), {})

    def parts(self, restorer: 'Restorer') -> tuple[str, ...]:
        """No bins of time steps."""
        return ()


@MODELS.register_module()
class MaskedReconstruction(Objective):
    """Masked image pre-training as in RAM (Qin et al., 2024): from degraded to clean pixels.

    Pixels of the degraded image are hidden, at the middle of the image range, and the L1 loss is
    that of the restored image at the hidden pixels. The network is conditioned on a uniform t, see
    ``OneSigmaNoisePrediction``.

    Args:
        hidden: probability that a pixel is hidden.
    """

    name = 'masked'

    def __init__(self, hidden: float = 0.5) -> None:
        self.hidden = hidden

    def losses(self, restorer: 'Restorer', samples: Samples) -> Losses:
        """See ``Objective``; the samples' keys seed masks and time steps."""
        degraded, clean = samples['degraded'], samples['clean']
        masks, steps = [], []
        for key in samples['key'].tolist():
            rng = torch.Generator().manual_seed(seed_of(*key, 'mask'))
            steps.append(torch.randint(1, restorer.schedule.num_steps + 1, (), generator=rng))
            masks.append(torch.rand(clean.shape[-2:], generator=rng) < self.hidden)
        mask = torch.stack(masks)[:, None].to(degraded)
        middle = sum(restorer.image_range) / 2
        restored = restorer(torch.lerp(degraded, torch.full_like(degraded, middle), mask),
                            torch.stack(steps).to(degraded.device))  # fmt: skip
        return Losses(_masked_mean((restored - clean).abs(), mask), {})


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Means (B,) of values (B, C, H, W) where a mask (B, 1, H, W) is 1."""
    total = (values * mask).sum(dim=(1, 2, 3))
    return total / (mask.sum(dim=(1, 2, 3)) * values.shape[1]).clamp(min=1)
