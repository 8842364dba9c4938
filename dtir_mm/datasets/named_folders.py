"""The folders of images that the data sets of a config name, without building them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# By type, its arguments for the folders of degraded and clean images.
_FOLDERS: dict[str, tuple[str | None, str]] = {
    'PairedFolderDataset': ('degraded', 'clean'),
    'CleanPhotosDataset': (None, 'folder'),
    'DegradedPhotosDataset': (None, 'folder'),
}


def dataset_configs(config: Mapping[str, Any], loader: str) -> Iterator[Mapping[str, Any]]:
    """The configs of the data sets in a dataloader, with concatenations split into their parts.

    Args:
        config: a whole config.
        loader: one of ``LOADERS``; the key may be missing or None.
    """
    yield from _leaves((config.get(loader) or {}).get('dataset'))


def folders_of(dataset: Mapping[str, Any]) -> tuple[Path | None, Path] | None:
    """The folders of degraded (if any) and clean images; None for an unknown type.

    Raises:
        ValueError: the config names no folder.
    """
    names = _FOLDERS.get(str(dataset.get('type')).rpartition('.')[-1])
    if names is None:
        return None
    if missing := [name for name in names if name and name not in dataset]:
        raise ValueError(f'a {dataset["type"]} in the config lacks {" and ".join(missing)}')
    degraded, clean = names
    return Path(dataset[degraded]) if degraded else None, Path(dataset[clean])


def _leaves(dataset: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(dataset, Mapping):
        return
    if 'datasets' in dataset:
        for part in dataset['datasets']:
            yield from _leaves(part)
    else:
        yield dataset
