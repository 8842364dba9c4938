"""Concatenated data sets: source and target, or many tasks, in one test."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import ConcatDataset as TorchConcatDataset

from dtir_mm.datasets.base_dataset import SampleKey, TaskDataset
from dtir_mm.registry import DATASETS


@DATASETS.register_module()
class ConcatDataset(TorchConcatDataset):
    """torch's ``ConcatDataset``, built from configs.

    Args:
        datasets: configs of the data sets.
    """

    def __init__(self, datasets: Sequence[dict[str, Any]]) -> None:
        parts = [DATASETS.build(dataset) for dataset in datasets]
        super().__init__(parts)
        self.parts: list[TaskDataset] = parts

    @property
    def tasks(self) -> list[str]:
        """The tasks of all parts, in order of first appearance."""
        return list(dict.fromkeys(task for part in self.parts for task in part.tasks))

    @property
    def groups(self) -> list[tuple[str, str]] | None:
        """Those of all parts; see ``RestorationDataset``."""
        each = [getattr(part, 'groups', None) for part in self.parts]
        known = [groups for groups in each if groups is not None]
        return list(dict.fromkeys(sum(known, []))) if len(known) == len(each) else None

    @property
    def metainfo(self) -> dict[str, Any]:
        """See ``RestorationDataset``."""
        return {'tasks': self.tasks}

    def __getitem__(self, key: SampleKey | int) -> dict[str, Any]:
        """The sample of a key, whose index runs over all parts."""
        if not isinstance(key, SampleKey):
            key = SampleKey(0, 0, key, key)
        remaining = key.index
        for part in self.parts:
            if 0 <= remaining < len(part):
                return part[key._replace(index=remaining)]
            remaining -= len(part)
        raise IndexError(f'index {key.index} of a data set of {len(self)} samples')
