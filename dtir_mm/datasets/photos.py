"""Clean photographs for pre-training, and photographs with synthetic degradations."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from dtir_mm.datasets.base_dataset import RestorationDataset, spread
from dtir_mm.datasets.degradations import SEVERITIES, degradation_for
from dtir_mm.datasets.image_folders import list_images
from dtir_mm.names import pair_stem
from dtir_mm.randomness import generator
from dtir_mm.registry import DATASETS

_PAIR_SEED = 0


@DATASETS.register_module()
class CleanPhotosDataset(RestorationDataset):
    """The clean images that generative pre-training learns from (section 3.1: "GT images").

    Args:
        folder: folder of photographs.
        pipeline: see ``RestorationDataset``.
        shrink: scale in (0, 1] that photographs are resized by, to hide compression artefacts.
        as_pairs: use each image as its own degraded image, to test restoration of clean images;
            their domain is then "clean".
        cache: see ``RestorationDataset``.
        decoded: see ``RestorationDataset``; images are stored before shrinking.
    """

    def __init__(
        self,
        folder: str,
        pipeline: Sequence[dict],
        shrink: float = 1.0,
        as_pairs: bool = False,
        cache: bool = False,
        decoded: str | None = None,
    ) -> None:
        super().__init__(pipeline, cache, decoded)
        self.files = list_images(folder)
        self.shrink = _checked_shrink(shrink)
        self.as_pairs = as_pairs

    @property
    def tasks(self) -> list[str]:
        """No task, or "clean" for pairs."""
        return ['clean'] if self.as_pairs else []

    @property
    def groups(self) -> list[tuple[str, str]]:
        """See ``RestorationDataset``."""
        return [('clean', 'clean')] if self.as_pairs else []

    def __len__(self) -> int:
        return len(self.files)

    def load(self, index: int) -> dict[str, Any]:
        """See ``RestorationDataset``; the task is "clean"."""
        file = self.files[index]
        image = _shrunk(self._read_image(file), self.shrink)
        sample = {'clean': image, 'task': 'clean', 'domain': 'source', 'path': str(file)}
        return {**sample, 'degraded': image.copy(), 'domain': 'clean'} if self.as_pairs else sample


@DATASETS.register_module()
class DegradedPhotosDataset(RestorationDataset):
    """Synthetic pairs: photographs under one degradation, the same on every machine.

    A pair is a pure function of the photograph's name and pixels, the task, the severity and the
    draw, so that a test set never changes and a small training set stays small.

    Args:
        folder: folder of photographs.
        task: one of the ten tasks (``degradations.DEGRADATIONS``).
        pipeline: see ``RestorationDataset``.
        severities: "source" and "target" name the domains of the pairs.
        max_photos: number of photographs, evenly spaced in the sorted folder; None for all.
        shrink: see ``CleanPhotosDataset``; applied before the degradation.
        draws: independent degradations of each photograph.
        cache: see ``RestorationDataset``.

    Raises:
        ValueError: the task or a severity is unknown, or another argument is out of range.
    """

    def __init__(
        self,
        folder: str,
        task: str,
        pipeline: Sequence[dict],
        severities: Sequence[str] = ('source',),
        max_photos: int | None = None,
        shrink: float = 1.0,
        draws: int = 1,
        cache: bool = False,
    ) -> None:
        super().__init__(pipeline, cache)
        if draws < 1 or isinstance(severities, str) or not severities:
            raise ValueError(
                f'draws={draws!r} must be at least 1, and severities={severities!r} a list of one '
                f'or more of {", ".join(SEVERITIES)}'
            )
        self.task = task
        self.shrink = _checked_shrink(shrink)
        self.degradations = {severity: degradation_for(task, severity) for severity in severities}
        files = list_images(folder)
        if max_photos is not None:
            if not 1 <= max_photos <= len(files):
                raise ValueError(
                    f'max_photos={max_photos} must lie in 1..{len(files)}, the images in {folder}'
                )
            files = spread(files, max_photos)
        self.pairs = [
            (severity, file, draw)
            for severity in severities
            for draw in range(draws)
            for file in files
        ]

    @property
    def tasks(self) -> list[str]:
        """The one task."""
        return [self.task]

    @property
    def groups(self) -> list[tuple[str, str]]:
        """See ``RestorationDataset``."""
        return [(self.task, severity) for severity in self.degradations]

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, index: int) -> dict[str, Any]:
        """See ``RestorationDataset``."""
        severity, file, draw = self.pairs[index]
        clean = _shrunk(self._read_image(file), self.shrink)
        rng = generator(_PAIR_SEED, self.task, severity, pair_stem(file), draw)
        try:
            degraded = self.degradations[severity].degrade(clean, rng)
        except ValueError as error:
            raise ValueError(f'{file} as {self.task} ({severity}): {error}') from error
        return {
            'clean': clean,
            'degraded': degraded,
            'task': self.task,
            'domain': severity,
            'path': str(file),
        }


def _checked_shrink(shrink: float) -> float:
    if not 0 < shrink <= 1:
        raise ValueError(f'shrink={shrink} must lie in (0, 1]; 1 keeps the size')
    return shrink


def _shrunk(image: np.ndarray, factor: float) -> np.ndarray:
    if factor == 1:
        return image
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
