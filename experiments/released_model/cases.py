"""What the released model is tested on: photographs with one degradation, with two, and clean.

Photographs are at half size and whole. A degraded photograph is a function of its name and pixels,
the degradation and the severity, so that every machine tests the same ones.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dtir_mm.datasets.degradations import DEGRADATIONS, SEVERITIES, degradation_for
from dtir_mm.datasets.degradations.jpeg import compress
from dtir_mm.datasets.degradations.noise import NoiseStrength, add_noise
from dtir_mm.datasets.image_folders import list_images
from dtir_mm.datasets.photos import CleanPhotosDataset, DegradedPhotosDataset
from dtir_mm.image_io import read_image
from dtir_mm.names import pair_stem
from dtir_mm.randomness import generator

SHRINK = 0.5
TASKS = tuple(DEGRADATIONS)
# In the order in which a photograph suffers them: scene, air, lens, sensor, file.
COMPOSITES = (
    ('low_light', 'noisy'),
    ('hazy', 'rainy'),
    ('blurry', 'noisy'),
    ('snowy', 'jpeg'),
    ('noisy', 'jpeg'),
)
COMPOSITE, CLEAN, CBSD68, LIVE1 = 'composite', 'clean', 'CBSD68', 'LIVE1'
_SEED = 0
_SIGMA, _QUALITY = 50, 10  # of the paper's tests on CBSD68 and LIVE1


class Pair(NamedTuple):
    """A photograph as RGB uint8 (H, W, 3), before and after its degradation."""

    photo: str
    degraded: np.ndarray
    clean: np.ndarray


@dataclass(frozen=True)
class Case:
    """Pairs with the same degradations.

    Args:
        domain: "source" or "target", the severity of one degradation; "composite", two at source
            severity; "clean", none; "CBSD68" or "LIVE1", the data sets of the paper.
        tasks: the degradations, in order.
        load: the pair of an index.
        count: of the pairs.
    """

    domain: str
    tasks: tuple[str, ...]
    load: Callable[[int], Pair]
    count: int

    @property
    def name(self) -> str:
        """Shown in progress and errors, e.g. "hazy+rainy (composite)"."""
        return f'{"+".join(self.tasks)} ({self.domain})' if self.tasks else self.domain

    def pairs(self) -> Iterator[Pair]:
        """All pairs, loaded one by one."""
        return map(self.load, range(self.count))


def photo_cases(folder: str | Path) -> list[Case]:
    """The cases of a folder of photographs: 10 tasks x 2 severities, 5 composites, and clean."""
    cases = [single(folder, task, severity) for severity in SEVERITIES for task in TASKS]
    clean = CleanPhotosDataset(str(folder), [], shrink=SHRINK)
    for domain, tasks in (*((COMPOSITE, tasks) for tasks in COMPOSITES), (CLEAN, ())):
        cases.append(Case(domain, tasks, _Composite(clean, tasks), len(clean)))
    return cases


def single(folder: str | Path, task: str, severity: str) -> Case:
    """Photographs under one degradation."""
    data = DegradedPhotosDataset(str(folder), task, [], severities=(severity,), shrink=SHRINK)

    def load(index: int) -> Pair:
        sample = data.load(index)
        return Pair(pair_stem(Path(sample['path'])), sample['degraded'], sample['clean'])

    return Case(severity, (task,), load, len(data))


def paper_case(folder: str | Path, domain: str) -> Case:
    """The paper's test of noise (sigma = 50, on "CBSD68") or JPEG (quality 10, on "LIVE1")."""
    files = list_images(folder)

    def load(index: int) -> Pair:
        clean, photo = read_image(files[index]), pair_stem(files[index])
        if domain == LIVE1:
            return Pair(photo, compress(clean, _QUALITY), clean)
        rng = generator(_SEED, domain, photo)
        return Pair(photo, add_noise(clean, NoiseStrength(_SIGMA, None), rng), clean)

    return Case(domain, ('jpeg' if domain == LIVE1 else 'noisy',), load, len(files))


@dataclass(frozen=True)
class _Composite:
    """Loads clean photographs, and applies degradations of source severity one after another."""

    photos: CleanPhotosDataset
    tasks: tuple[str, ...]

    def __call__(self, index: int) -> Pair:
        sample = self.photos.load(index)
        photo = pair_stem(Path(sample['path']))
        degraded = sample['clean']
        for task in self.tasks:
            rng = generator(_SEED, 'composite', *self.tasks, task, photo)
            degraded = degradation_for(task, 'source').degrade(degraded, rng)
        return Pair(photo, degraded, sample['clean'])
