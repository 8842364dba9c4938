"""Predicting an image's degradation, for blind restoration; the paper assumes that it is known."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.models.restorers.task_timesteps import CLEAN
from dtir_mm.registry import MODELS

_NORM_GROUPS = 4
_WIDTH_FACTORS = (1, 2, 3, 4, 4, 4, 4)


@MODELS.register_module()
class DegradationClassifier(nn.Module):
    """A small convolutional network that classifies degradations by pooled statistics.

    Its input is the image and its high frequencies (the image less its 3 x 3 means, times four),
    which show noise, rain, snow and JPEG blocks. Each layer's mean and standard deviation over all
    positions, taken before its norm, preserve the strength of a feature and do not depend on the
    image size, so that a network trained on patches works on photographs. The receptive field is
    129 pixels wide, enough to distinguish the edge of a shadow from dark objects.

    Args:
        tasks: the degradations, in the order of the classes; "clean" is added last.
        width: channels of the first layer, a multiple of four.
        confidence: an image whose most probable class is a degradation, but less probable than
            this, in [0, 1], is restored at the time step of the task "blind", if there is one; it
            stays as it is if all degradations together are less probable than this.

    Raises:
        ValueError: tasks repeat or contain "clean", the width is no multiple of four, or the
            confidence is out of range.
    """

    def __init__(self, tasks: Sequence[str], width: int = 24, confidence: float = 0.0) -> None:
        super().__init__()
        if not 0 <= confidence <= 1:
            raise ValueError(f'confidence={confidence} of DegradationClassifier must lie in [0, 1]')
        self.confidence = confidence
        if len(set(tasks)) != len(tasks) or CLEAN in tasks:
            raise ValueError(
                f'tasks={list(tasks)} of DegradationClassifier must differ; "clean" is added by it'
            )
        if width % _NORM_GROUPS:
            raise ValueError(
                f'width={width} of DegradationClassifier must be a multiple of {_NORM_GROUPS}'
            )
        self.classes = (*tasks, CLEAN)
        widths = [6, *(width * factor for factor in _WIDTH_FACTORS)]
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=1 if i == 0 else 2, padding=1)
            for i, (before, after) in enumerate(pairs)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(_NORM_GROUPS, after) for _, after in pairs)
        count = 2 * sum(widths) + widths[-1]
        self.head = nn.Sequential(
            nn.LayerNorm(count), nn.Linear(count, 128), nn.SiLU(), nn.Linear(128, len(self.classes))
        )

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, number of tasks + 1) of images (B, 3, H, W) in [-1, 1]."""
        return self.classify_parts([image])

    def classify_parts(self, parts: Iterable[Tensor]) -> Tensor:
        """Logits of images that are seen in parts of the same size, one part at a time.

        The statistics are those of all parts together, so that a degradation may show in some only.
        """
        seen = [self._moments(part) for part in parts]
        pooled = []
        for moments in zip(*(layers for layers, _ in seen), strict=True):
            means, variances = torch.stack(moments, dim=1)  # (number of parts, B, C) each
            variance = variances.mean(0) + means.var(0, unbiased=False)
            pooled += [means.mean(0), (variance + 1e-6).sqrt()]
        largest = torch.stack([maxima for _, maxima in seen]).amax(0)
        return self.head(torch.cat([*pooled, largest], dim=1))

    def _moments(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Mean and variance (2, B, C) over the positions of each layer, and maxima of the last."""
        local_mean = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode='replicate'), 3, stride=1)
        h = torch.cat([image, 4 * (image - local_mean)], dim=1)
        moments = [_mean_and_variance(h)]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = F.silu(layer(h))
            moments.append(_mean_and_variance(h))
            h = norm(h)
        return moments, h.amax((2, 3))

    def losses(
        self,
        degraded: Tensor,
        clean: Tensor,
        tasks: Sequence[str],
        clean_weight: float | None = None,
    ) -> Tensor:
        """Cross entropy (B,) of each degraded image, plus that of its ground truth as clean.

        The latter has the weight ``clean_weight``; None for the weight of one task.

        Raises:
            ValueError: a task is not among the classifier's.
        """
        unknown = set(tasks) - set(self.classes)
        if unknown:
            raise ValueError(
                f'the classifier has no class for {", ".join(sorted(unknown))}; its tasks are '
                f'{", ".join(self.classes[:-1])} (model.classifier.tasks)'
            )
        indices = [self.classes.index(task) for task in tasks]
        labels = torch.tensor(indices, device=degraded.device)
        clean_labels = torch.full_like(labels, len(self.classes) - 1)
        by_degraded = F.cross_entropy(self(degraded), labels, reduction='none')
        by_clean = F.cross_entropy(self(clean), clean_labels, reduction='none')
        weight = 1 / (len(self.classes) - 1) if clean_weight is None else clean_weight
        return by_degraded + weight * by_clean


def _mean_and_variance(h: Tensor) -> Tensor:
    """Over positions, (2, B, C)."""
    return torch.stack([h.mean((2, 3)), h.var((2, 3), unbiased=False)])
