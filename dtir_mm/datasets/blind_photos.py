"""Photographs with one degradation, with two, or with none, to train a blind network on."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from dtir_mm.datasets.base_dataset import RestorationDataset
from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.datasets.degradations.jpeg import compress
from dtir_mm.datasets.degradations.noise import NoiseStrength, add_noise
from dtir_mm.datasets.image_folders import list_images
from dtir_mm.names import listed, pair_stem
from dtir_mm.randomness import generator
from dtir_mm.registry import DATASETS, TRANSFORMS

BLIND = 'blind'
# In the order in which they occur: in the scene, the air, the lens, the sensor and the file.
ORDER = (
    'shadowed', 'hazy', 'rainy', 'snowy', 'low_light', 'blurry', 'raindrop', 'noisy', 'inpainting',
    'jpeg',
)  # fmt: skip
_SIGMA = (3.0, 55.0)
_VISIBLE_SIGMA = (8.0, 55.0)
_QUALITY = (8, 70)


@DATASETS.register_module()
class BlindPhotosDataset(RestorationDataset):
    """Crops of photographs at random scales, under all kinds of degradation.

    Of each photograph there is a crop with each of the degradations at the source severity, at the
    target severity, and once more with noise or JPEG compression of any strength (the others at
    the source severity); crops with two degradations; and crops with none. A pair is a pure
    function of the photograph, the case and ``pair_seed``.

    Args:
        folder: folder of photographs.
        pipeline: see ``RestorationDataset``.
        degradations: the tasks; of composites, any of the ten.
        composites: crops of each photograph with two degradations, each as in the third case above;
            their task is one of the two, or "blind".
        untouched: crops of each photograph that need no restoration. The task of half of them is
            "blind", that of the others any of the ten, because a classifier may be wrong.
        crop: largest side of a crop in pixels.
        min_scale: smallest scale that a photograph is resized by, in (0, 1]; the largest is 1.
        for_classifier: vary the tones of most crops, and give the clean ones what good photographs
            have: slight softness, noise and compression. The task of a composite is then the
            degradation that changes it more, and all noise is visible.
        pair_seed: another seed gives other pairs.
        draws: pairs that are drawn for each of these cases, by the seeds from ``pair_seed`` on.
        cache: see ``RestorationDataset``; a pair of 288 px takes half a megabyte.

    Raises:
        ValueError: ``min_scale`` or ``draws`` is out of range, or a degradation is unknown.
    """

    def __init__(
        self,
        folder: str,
        pipeline: Sequence[dict],
        degradations: Sequence[str] = ORDER,
        composites: int = 8,
        untouched: int = 4,
        crop: int = 288,
        min_scale: float = 0.4,
        for_classifier: bool = False,
        pair_seed: int = 0,
        draws: int = 1,
        cache: bool = False,
    ) -> None:
        super().__init__(pipeline, cache)
        if not 0 < min_scale <= 1:
            raise ValueError(f'min_scale={min_scale} must lie in (0, 1]')
        if draws < 1:
            raise ValueError(f'draws={draws} must be at least 1')
        if unknown := set(degradations) - set(ORDER):
            raise ValueError(
                f'degradations={listed(sorted(unknown))} must be of {listed(sorted(ORDER))}'
            )
        self.draws = draws
        self.crop, self.min_scale, self.pair_seed = crop, min_scale, pair_seed
        self.for_classifier = for_classifier
        self.degradations = list(degradations)
        cases = [(task, kind) for task in degradations for kind in ('source', 'any', 'target')]
        cases += [('composite', str(i)) for i in range(composites)]
        cases += [('untouched', str(i)) for i in range(untouched)]
        self.pairs = [(file, *case) for case in cases for file in list_images(folder)]

    @property
    def tasks(self) -> list[str]:
        """The degradations and "blind"."""
        return [*self.degradations, BLIND]

    def __len__(self) -> int:
        return self.draws * len(self.pairs)

    def load(self, index: int) -> dict[str, Any]:
        """See ``RestorationDataset``."""
        draw, place = divmod(index, len(self.pairs))
        file, case, kind = self.pairs[place]
        rng = generator(self.pair_seed + draw, case, kind, pair_stem(file))
        clean = self._crop(self._read_image(file), rng)
        if self.for_classifier:
            clean = as_taken(clean, rng)
        if case == 'composite':
            degraded, task = self._composite(clean, rng)
        elif case == 'untouched':
            degraded = clean.copy()
            task = str(rng.choice(ORDER)) if rng.random() < 0.5 else BLIND
        else:
            degraded, task = self._degrade(clean, case, kind, rng), case
        return {
            'clean': clean,
            'degraded': degraded,
            'task': task,
            'domain': 'target' if kind == 'target' else 'source',
            'path': str(file),
        }

    def _crop(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        scale = rng.uniform(self.min_scale, 1)
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = image.shape[:2]
        top = rng.integers(max(height - self.crop, 0) + 1)
        left = rng.integers(max(width - self.crop, 0) + 1)
        return np.ascontiguousarray(image[top : top + self.crop, left : left + self.crop])

    def _composite(self, clean: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """The crop with two degradations, and its task."""
        pair = [ORDER[place] for place in sorted(rng.choice(len(ORDER), 2, replace=False))]
        first = self._degrade(clean, pair[0], 'any', rng)
        both = self._degrade(first, pair[1], 'any', rng)
        if self.for_classifier:
            return both, pair[int(_distance(first, both) > _distance(clean, first))]
        return both, str(rng.choice([*pair, BLIND]))

    def _degrade(
        self, image: np.ndarray, task: str, kind: str, rng: np.random.Generator
    ) -> np.ndarray:
        sigma = _VISIBLE_SIGMA if self.for_classifier else _SIGMA
        return degrade(image, task, kind, rng, sigma)


def degrade(
    image: np.ndarray,
    task: str,
    kind: str,
    rng: np.random.Generator,
    sigma: tuple[float, float] = _SIGMA,
) -> np.ndarray:
    """An RGB uint8 image (H, W, 3) with one degradation.

    ``kind`` is a severity, or "any": noise of a standard deviation in the range ``sigma``, JPEG
    compression of quality 8 to 69, or else "source".
    """
    if kind == 'any' and task == 'noisy':
        return add_noise(image, NoiseStrength(rng.uniform(*sigma), None), rng)
    if kind == 'any' and task == 'jpeg':
        return compress(image, int(rng.integers(*_QUALITY)))
    return degradation_for(task, 'target' if kind == 'target' else 'source').degrade(image, rng)


def as_taken(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A clean RGB uint8 image (H, W, 3) as another camera or photographer would deliver it.

    Darker or brighter, with more or less contrast, white balance and saturation, in two of three
    cases; and in one of three cases each, slightly soft, with faint noise, or compressed as JPEG of
    a quality from 85 on.
    """
    if rng.random() < 2 / 3:
        black, white = rng.uniform(0, 0.12), rng.uniform(0.85, 1)
        gamma = np.exp(rng.uniform(-0.5, 0.6))
        levels = np.linspace(0, 1, 256)[:, None] ** gamma * rng.uniform(0.92, 1.08, 3)
        table = (255 * (black + (white - black) * levels)).clip(0, 255)
        colour = np.stack([table[image[..., c], c] for c in range(3)], axis=2)
        grey = colour.mean(axis=2, keepdims=True)
        saturation = 0 if rng.random() < 0.1 else rng.uniform(0.6, 1.2)
        image = (grey + saturation * (colour - grey)).clip(0, 255).round().astype(np.uint8)
    if rng.random() < 1 / 3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.2, 0.6))
    if rng.random() < 1 / 3:
        image = add_noise(image, NoiseStrength(rng.uniform(0.5, 3), None), rng)
    if rng.random() < 1 / 3:
        image = compress(image, int(rng.integers(85, 98)))
    return image


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.square(one.astype(np.float32) - other).mean())


@TRANSFORMS.register_module()
class HideTask:
    """Replaces the task by "blind" in a share of the samples, so that one network learns both.

    Args:
        share: probability in [0, 1].
    """

    def __init__(self, share: float = 0.3) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f'share={share} of HideTask must lie in [0, 1]')
        self.share = share

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, with its task or "blind"."""
        if results['rng'].random() < self.share:
            results['task'] = BLIND
        return results
