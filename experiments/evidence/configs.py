"""The config of each cell: a leaf config of this repository, the cell's options, data and seed."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dtir_mm.analysis.summary import config_hash
from dtir_mm.config import check_config, read_config
from evidence import parts  # noqa: F401  registers data sets and objectives
from evidence.arms import ARMS
from evidence.matrix import Cell, all_cells
from evidence.results import ROOT, WORK, read_result
from evidence.studies import Arm, Gradients, Interpolation, Matching, Pretraining

PROTOCOL = 'rgb_no_lpips'
_CANONICAL = Path('data/photos')
_WHOLE = [{'type': 'PackSample'}]
_EVERY_RUN = {  # no validation, since the last checkpoint counts
    'val_dataloader': None,
    'val_cfg': None,
    'val_evaluator': None,
    'train_dataloader.num_workers': 0,
    'default_hooks.checkpoint.interval': 250,
    'default_hooks.logger.interval': 50,
    'precision': 'fp32',  # the second-order terms always run in fp32
    'visualizer.vis_backends': [{'type': 'LocalVisBackend'}],
}


def config_of(cell: Cell, photos: Path = _CANONICAL) -> Config:
    """The config of a cell's training and test.

    What is made of an arm's weights has the config of the arm.

    Args:
        cell: the cell.
        photos: folder of ``tools/prepare_photos.py``.
    """
    study = cell.study
    if isinstance(study, Interpolation | Gradients):
        study = ARMS[study.arm]
    assert isinstance(study, Pretraining | Arm), 'a matching is not trained'
    config = copy.deepcopy(_base(study.base))
    options = {
        **_EVERY_RUN,
        'train_cfg.max_iters': study.updates,
        'randomness.seed': cell.seed,
        'load_from': None,
    }
    config.merge_from_dict(options)
    if isinstance(study, Arm):
        _set_pairs(config, _tasks(cell, study), photos)
    else:
        _set_pretraining(config, study, photos)
    for key, value in study.options.items():  # one by one: a later one may be below an earlier
        config.merge_from_dict({key: copy.deepcopy(value)})
    check_config(config)
    return config


def hash_of(cell: Cell) -> str:
    """A hash of a cell's config, without its seed, and of the cells that it needs.

    How many images a matching takes is not part of it: see ``training.py``.
    """
    return _hash_of(cell.key)


@cache
def _hash_of(key: str) -> str:
    cell = all_cells()[key]
    study = cell.study
    content: dict[str, Any] = {'needs': [_hash_of(need) for need in cell.needs]}
    if isinstance(study, Matching):
        content['method'] = study.method
    else:
        content['config'] = {**config_of(cell).to_dict(), 'randomness': None}
    if isinstance(study, Interpolation):
        content['share'] = study.share
    if isinstance(study, Gradients):
        content['batches'] = study.batches
    return config_hash(content)


def folder_of(cell: Cell, work: Path = WORK) -> Path:
    """The folder of a cell's logs and checkpoints; a changed config has another."""
    return work / f'{cell.key}-{hash_of(cell)}'


def is_done(cell: Cell, results: Path) -> bool:
    """Whether a cell has a result, and that of its present config."""
    result = read_result(cell, results)
    return result is not None and result['config_hash'] == hash_of(cell)


@cache
def _base(path: str) -> Config:
    return read_config(ROOT / path)


def _tasks(cell: Cell, arm: Arm) -> tuple[str, ...]:
    return arm.tasks if arm.unified else (cell.task,)


def _set_pretraining(config: Config, study: Pretraining, photos: Path) -> None:
    """All photographs of the training split: clean, or degraded by each of the study's tasks."""
    folder = {'train_dataloader.dataset.folder': str(photos / 'train')}
    config.merge_from_dict(folder)
    if study.tasks:
        degraded = {**config.train_dataloader.dataset, 'max_photos': None, 'draws': 1}
        parts = [{**degraded, 'task': task} for task in study.tasks]
        config.train_dataloader.dataset = {'type': 'ConcatDataset', 'datasets': parts}
    for key in ('test_dataloader', 'test_cfg', 'test_evaluator'):
        config[key] = None


def _set_pairs(config: Config, tasks: tuple[str, ...], photos: Path) -> None:
    """Pairs of the tasks, and tests on all three severities."""
    config.model.timesteps = 'paper'
    pairs = config.train_dataloader.dataset
    if 'datasets' in pairs:
        pairs.datasets = [part for part in pairs.datasets if part.task in tasks]
        for part in pairs.datasets:
            part.update(folder=str(photos / 'train'), max_photos=16, draws=4)
    else:
        pairs.update(folder=str(photos / 'train'), task=tasks[0])
    tests = {'folder': str(photos / 'test'), 'shrink': 0.5, 'pipeline': _WHOLE}
    seen = {'type': 'DegradedPhotosDataset', 'severities': ['source', 'target'], **tests}
    composite = {'type': 'CompositePhotosDataset', **tests}
    config.test_dataloader = {
        'batch_size': 1,
        'num_workers': 0,
        'collate_fn': {'type': 'default_collate'},
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        'dataset': {
            'type': 'ConcatDataset',
            'datasets': [{**part, 'task': task} for task in tasks for part in (seen, composite)],
        },
    }
    config.test_evaluator = {'type': 'RestorationMetric', 'protocol': PROTOCOL}
