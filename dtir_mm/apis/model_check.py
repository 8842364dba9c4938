"""Checks the data sets of a config against its model, without training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dtir_mm.datasets.named_folders import LOADERS
from dtir_mm.datasets.sample_sizes import sample_extents
from dtir_mm.engine.batch_size import process_batch_size
from dtir_mm.engine.loader_faults import training_faults, val_faults
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import DATASETS, MODELS


def model_faults(config: Mapping[str, Any]) -> list[str]:
    """Every sample size, batch and task of a config's loaders that its model does not accept.

    Only headers of images are read, and the network runs only to find the sizes that it accepts.

    Raises:
        ValueError: the model cannot be built.
    """
    restorer = MODELS.build(config['model'])
    return [
        fault
        for where in LOADERS
        if config.get(where)
        for fault in _loader_faults(restorer, where, config)
    ]


def _loader_faults(restorer: Restorer, where: str, config: Mapping[str, Any]) -> list[str]:
    settings = config[where]
    try:
        dataset = DATASETS.build(settings['dataset'])
    except (OSError, ValueError) as error:
        return [f'{where}: {error}']
    if where == 'train_dataloader':
        size = process_batch_size(config, 1)
        return training_faults(restorer, dataset, size) if restorer.step else []
    size = settings['batch_size']
    extents = sample_extents(dataset)
    return val_faults(restorer, where, dataset, extents, _batches(len(dataset), size))


def _batches(count: int, size: int) -> Iterator[Sequence[int]]:
    """Indices of consecutive samples, as in validation and test in one process."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))
