"""The batch size of each process, so that a config fits any number of processes."""

from collections.abc import Mapping
from typing import Any


def process_batch_size(config: Mapping[str, Any], processes: int) -> int:
    """Samples of an update in each process.

    It is the process's part of ``global_batch_size``; if that is not set,
    ``train_dataloader.batch_size``.

    Raises:
        ValueError: ``global_batch_size`` is not a positive multiple of ``processes``, or neither
            key is set.
    """
    total = config.get('global_batch_size')
    if total is None:
        size = config['train_dataloader'].get('batch_size')
        if size is None:
            raise ValueError('the config has no global_batch_size: samples of an update, e.g. 16')
        return size
    if total < 1 or total % processes:
        raise ValueError(
            f'global_batch_size={total} must be a positive multiple of the {processes} processes'
        )
    return total // processes
