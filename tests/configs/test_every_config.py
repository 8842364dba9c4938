"""Every leaf config builds its data, model and hooks, and takes a step, at toy size.

The data sets of each leaf are built with its own paths, in a folder with toy versions of the 14
data sets in the layout of ``dtir_mm/datasets/layouts.py``, and photographs. Each leaf is then
trained for one update (two with a hand-over between them if tasks join one after another), or
tested if it is not meant to be trained, from the weights of a toy run of its own ``load_from``.

Leaves that differ only in the names of folders, single tasks and other runs share a toy run: a step
depends on neither folder names nor, apart from the time step in a table, the task.
"""

import json
import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path

import cv2
import mmengine.runner.runner
import numpy as np
import pytest
import torch
from leaves import BY_STEM, EXAMPLES, LEAVES, WORK_DIRS, load, parts_of
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.utils import import_modules_from_strings

from dtir_mm.datasets.layouts import LAYOUTS, generate_fixture
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.image_io import save_image
from dtir_mm.registry import DATASETS, MODELS, RUNNERS

PATCH = 16
NUM_TASKS = 10
UPDATES = 2  # where tasks join
TOY_NETWORKS = {
    'DtirUNet': dict(
        width=8, channel_multipliers=(1, 2), blocks_per_level=(1,), middle_blocks=1, attention=False
    ),
    'LocalUNet': dict(widths=(4, 4), encoder_blocks=(1,), decoder_blocks=(1,)),
    'mmagic.NAFNet': dict(
        mid_channels=4, enc_blk_nums=[1, 1], middle_blk_num=1, dec_blk_nums=[1, 1]
    ),
    'ReleasedNAFNet': dict(width=8, encoder_blocks=(1, 1), middle_blocks=1, decoder_blocks=(1, 1)),
    'XRestormer': dict(
        dim=8,
        num_blocks=(1, 1, 1, 1),
        num_refinement_blocks=1,
        channel_heads=(1, 1, 2, 2),
        spatial_heads=(1, 1, 2, 2),
        window_size=2,
        overlap_ratio=1.0,
        spatial_dim_head=4,
    ),
    'PlainResNet': dict(width=8, depth=2),
}
# The smallest numbers of photographs that the leaves of configs/mini accept.
PHOTOS = {'photos/train': 16, 'photos/val': 2, 'photos/test': 1, 'BSDS500': 16, 'CBSD68': 34}


@pytest.fixture(scope='module')
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator['ToyRuns']:
    """Toy runs in a folder with the ``data`` and ``work_dirs`` that configs name."""
    folder = tmp_path_factory.mktemp('configs')
    for name in LAYOUTS:
        generate_fixture(name, folder / 'data')
    rng = np.random.default_rng(0)
    for photos, count in PHOTOS.items():
        for i in range(count):
            coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
            save_image(folder / 'data' / photos / f'{i:02d}.png', cv2.resize(coarse, (48, 40)))
    steps = {task: {'t_mat': t} for task, t in (('noisy', 4), ('low_light', 38), ('rainy', 8))}
    for run in ('quickstart', 'quickstart_released'):
        matches = folder / 'work_dirs' / run / 'timesteps.json'
        matches.parent.mkdir(parents=True)
        matches.write_text(json.dumps({'tasks': steps, 'source': {}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(EXAMPLES))
        # Logging takes most of the time: it queries compilers and formats configs.
        patch.setattr(mmengine.runner.runner, 'collect_env', dict)
        patch.setattr(Config, 'pretty_text', property(lambda config: ''))
        yield ToyRuns()
    sys.modules.pop('plain_resnet', None)
    MODELS.module_dict.pop('PlainResNet', None)


class ToyRuns:
    """Toy runs, each done when first requested."""

    def __init__(self) -> None:
        self.done: dict[str, Path] = {}

    def of(self, path: Path) -> Path:
        """The checkpoint of a toy run equivalent to that of a leaf."""
        config = toy(load(path))
        start = config.get('load_from')
        if start is not None:
            config.load_from = str(self.of(BY_STEM[WORK_DIRS[start]]))
        key = re.sub(r'"data/[^"]*"', '"data"', json.dumps(config.to_dict()))
        if 'datasets' not in config.train_dataloader.dataset:
            key = re.sub(r'"task": "\w+"', '"task"', key)
        if key not in self.done:
            self.done[key] = run(config, path.stem)
        return self.done[key]


class StopBehindHandOver(Hook):
    """Stops a run in which tasks join after two updates, that is two stages."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        runner.train_loop.stop_training = runner.iter + 1 == UPDATES


def run(config: Config, name: str) -> Path:
    """Trains, or tests what is not trained; returns the checkpoint written or tested."""
    if config.get('custom_imports'):
        import_modules_from_strings(**config.custom_imports)
    config.work_dir, config.experiment_name = f'toy/{name}', name
    torch.manual_seed(0)
    runner = RUNNERS.build(config)
    if is_only_tested(config):
        runner.test()
        return Path(config.load_from)
    runner.register_hook(StopBehindHandOver())
    runner.train()
    return Path(config.work_dir) / f'iter_{config.default_hooks.checkpoint.interval}.pth'


read = cache(lambda path: load_checkpoint(path).content)


def toy(config: Config) -> Config:
    """The same recipe with a network, patches and length fit for a test."""
    config = deepcopy(config)
    network = config.model.backbone.backbone
    network.update(TOY_NETWORKS[network.type])
    adapters = config.model.backbone.get('adapters')
    if adapters and adapters.get('type') != 'DecoderAdapters':
        adapters.update(param_budget=9000, prompt_dim=8)
    if config.model.get('classifier'):
        config.model.classifier.width = 4
    mixing = config.model.step.get('mixing') or {}
    if mixing.get('ratio'):
        mixing.ratio = 0.5  # two of four samples
    if mixing.get('probability'):
        mixing.probability = 1.0
    importance = config.default_hooks.get('importance') or {}
    if importance.get('when') == 'start':
        importance.n_batches = 1
    config.global_batch_size = 4
    for_toy_images(config)
    joining = config.default_hooks.get('incremental_tasks')
    config.train_cfg.update(max_iters=NUM_TASKS if joining else 1, val_interval=NUM_TASKS)
    config.default_hooks.checkpoint.interval = UPDATES if joining else 1
    config.visualizer = dict(type='ScalarVisualizer')
    config.precision = 'fp32'
    return config


def for_toy_images(config: Config) -> None:
    """Small patches, few images, and metrics that need no weights."""
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if config.get(loader):
            config[loader].num_workers = 0
            for part in parts_of(config[loader].dataset):
                for step in part.pipeline:
                    if step.type == 'RandomPatch':
                        step.size = PATCH
                if part.get('max_photos') and loader != 'train_dataloader':
                    part.max_photos = 1
    if config.get('test_evaluator'):
        config.test_evaluator.protocol = 'rgb_no_lpips'


def is_only_tested(config: Config) -> bool:
    return config.model.get('passes') == 'sdedit'


def loaders_of(path: Path) -> Iterator[tuple[str, dict]]:
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if load(path).get(loader):
            yield loader, load(path)[loader].dataset


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_the_data_of_a_leaf_can_be_built(path, runs):
    for loader, config in loaders_of(path):
        dataset = DATASETS.build(config)
        sample = dataset[len(dataset) - 1]
        patches = [step.size for part in parts_of(config) for step in part.pipeline
                   if step.type == 'RandomPatch']  # fmt: skip
        expected = (3, patches[0], patches[0]) if patches else sample['clean'].shape
        assert sample['clean'].shape == sample.get('degraded', sample['clean']).shape == expected
        assert loader != 'train_dataloader' or patches


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_a_leaf_can_be_trained(path, runs):
    checkpoint = read(runs.of(path))
    config = toy(load(path))
    if is_only_tested(config):
        return  # testing it has succeeded
    objective = MODELS.get(config.model.step.objective.type).name
    assert checkpoint['meta']['objective'] == objective
    assert ('importance' in checkpoint) == bool(carries_importance(config))
    weights = checkpoint['state_dict']
    if start := config.get('load_from'):
        before = read(runs.of(BY_STEM[WORK_DIRS[start]]))['state_dict']
        restoring = {k for k in weights.keys() & before.keys() if not k.startswith('classifier.')}
        moved = any((weights[k] != before[k]).any() for k in restoring)
        assert moved == (objective != 'classifier_loss')


def carries_importance(config: Config) -> bool:
    """Whether its checkpoint carries importance."""
    hook = config.default_hooks.get('importance')
    return bool(hook) and (hook.n_batches > 0 or config.get('load_from') is not None)
