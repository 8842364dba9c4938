"""Base class of all data sets: samples are a pure function of a key and a pipeline."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from torch.utils.data import Dataset

from dtir_mm.datasets.decoded_images import DecodedImages
from dtir_mm.datasets.shared_samples import SharedSamples
from dtir_mm.image_io import read_image
from dtir_mm.randomness import generator
from dtir_mm.registry import TRANSFORMS

Item = TypeVar('Item')


class SampleKey(NamedTuple):
    """Identifies a sample and seeds its random transforms.

    Args:
        seed: seed of the run.
        iteration: optimizer update that the sample is for.
        slot: position in the global batch, over all processes.
        index: position in the data set.
    """

    seed: int
    iteration: int
    slot: int
    index: int  # type: ignore[assignment]  # hides tuple.index


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """``count`` evenly spaced items, so that a small subset is representative.

    Raises:
        ValueError: ``count`` is below 1 or above the number of items.
    """
    if not 1 <= count <= len(items):
        raise ValueError(f'{count} items requested, there are {len(items)}')
    return [items[i * len(items) // count] for i in range(count)]


class TaskDataset(Protocol):
    """What samplers and ``ConcatDataset`` need of a data set."""

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks of its samples."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: SampleKey) -> dict[str, Any]: ...


class RestorationDataset(Dataset, ABC):
    """Pairs of degraded and clean images, or clean images only.

    A sample is a dict: ``clean`` and ``degraded`` (uint8 RGB, (3, H, W) after ``PackSample``),
    ``task``, ``domain`` ("source" or "target"), ``path`` and ``key`` (seed, iteration, slot), which
    seeds noise and time steps.

    Args:
        pipeline: configs of transforms; each maps a dict to a dict and draws from ``rng``.
        cache: keep samples in memory, shared by all workers; for small data sets.
        decoded: folder for decoded images, so that cutting a patch from a large image needs no
            decoding. See ``DecodedImages``.
    """

    def __init__(
        self, pipeline: Sequence[dict], cache: bool = False, decoded: str | None = None
    ) -> None:
        self.pipeline = [TRANSFORMS.build(step) for step in pipeline]
        self._cache = SharedSamples() if cache else None
        self._read_image = read_image if decoded is None else DecodedImages(decoded).read

    @property
    @abstractmethod
    def tasks(self) -> list[str]:
        """The names of the tasks that samples belong to."""

    @property
    def groups(self) -> list[tuple[str, str]] | None:
        """Task and domain of its pairs, without repetition; None if only reading them tells."""
        return None

    @property
    def metainfo(self) -> dict[str, Any]:
        """Passed to metrics and visualizers by mmengine's loops."""
        return {'tasks': self.tasks}

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def load(self, index: int) -> dict[str, Any]:
        """Images of sample ``index``, uint8 RGB (H, W, 3), with task, domain and path."""

    def __getitem__(self, key: SampleKey | int) -> dict[str, Any]:
        """The sample of a key; an index stands for the key (0, 0, index, index)."""
        if not isinstance(key, SampleKey):
            key = SampleKey(0, 0, key, key)
        index = key.index
        results = dict(
            self.load(index) if self._cache is None else self._cache.get(index, self.load)
        )
        results['key'] = key[:3]
        results['rng'] = generator(*key[:3], 'sample')
        for transform in self.pipeline:
            results = transform(results)
        return results
