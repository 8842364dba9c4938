"""Which degradation an image has, from the image alone: for those whom nobody tells it.

Beyond the paper, which takes each test set's degradation for known (method.md 4.3).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.models.restorers.task_timesteps import CLEAN
from dtir_mm.registry import MODELS


@MODELS.register_module()
class DegradationClassifier(nn.Module):
    """A small convolution network whose pooled statistics tell degradations and clean images apart.

    The first layer sees single pixels at full resolution, where noise, rain and JPEG's blocks lie.
    Mean and standard deviation over all positions, of the image and of each layer, make the answer
    independent of the image's size: it is learnt on patches and given for photographs.

    Args:
        tasks: the degradations, in order of the answers; "clean" is added as the last.
        width: channels of the first layer.
    """

    def __init__(self, tasks: Sequence[str], width: int = 24) -> None:
        super().__init__()
        if len(set(tasks)) != len(tasks) or CLEAN in tasks:
            raise ValueError(
                f'tasks={list(tasks)} of DegradationClassifier must differ; "clean" is added by it'
            )
        self.classes = (*tasks, CLEAN)
        widths = (3, width, 2 * width, 2 * width, 2 * width)
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=1 if i == 0 else 2, padding=1)
            for i, (before, after) in enumerate(zip(widths[:-1], widths[1:], strict=True))
        )
        self.hidden = nn.Linear(2 * sum(widths), 2 * width)
        self.head = nn.Linear(2 * width, len(self.classes))

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, number of tasks + 1) of images (B, 3, H, W) in [-1, 1]."""
        statistics = [_statistics(image)]
        h = image
        for layer in self.layers:
            h = F.silu(layer(h))
            statistics.append(_statistics(h))
        return self.head(F.silu(self.hidden(torch.cat(statistics, dim=1))))

    def losses(
        self, degraded: Tensor, clean: Tensor, tasks: Sequence[str], clean_weight: float
    ) -> Tensor:
        """Cross entropy (B,) of each degraded image, and of its clean one times a weight."""
        places = [self.classes.index(task) for task in tasks]
        labels = torch.tensor(places, device=degraded.device)
        by_degraded = F.cross_entropy(self(degraded), labels, reduction='none')
        none = torch.full_like(labels, len(self.classes) - 1)
        return by_degraded + clean_weight * F.cross_entropy(self(clean), none, reduction='none')


def _statistics(h: Tensor) -> Tensor:
    """Mean and standard deviation over positions, (B, 2 C)."""
    return torch.cat([h.mean((2, 3)), (h.var((2, 3), unbiased=False) + 1e-6).sqrt()], dim=1)
