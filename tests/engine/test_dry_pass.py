"""Checks before the first update, which do not change the run."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from toy_training import assert_same, build_runner, train

from dtir_mm.datasets import CleanPhotosDataset
from dtir_mm.engine import train_loop
from dtir_mm.image_io import save_image
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import DATASETS, MODELS

QUICK = """
train_cfg.update(max_iters=2, val_interval=2)
train_dataloader.update(num_workers=0)
val_dataloader.update(num_workers=0)
"""
CLEAN_VALIDATION = "val_dataloader['dataset'].update(pipeline=[dict(type='PackSample')])\n"


@pytest.fixture
def runner_of(toy_config, tmp_path, monkeypatch):
    """Builds a runner, whose updates fail unless ``updates`` is set."""

    def build(stage: str, more: str = '', updates: bool = False, **settings):
        if not updates:
            monkeypatch.setattr(Restorer, 'train_step', None)
        return build_runner(toy_config(stage, QUICK + more), tmp_path / 'run', **settings)

    return build


@pytest.fixture
def faults_of(runner_of):
    """The lines of the error before the first update."""

    def run(*args, **kwargs) -> list[str]:
        with pytest.raises(ValueError) as error:
            runner_of(*args, **kwargs).train()
        return str(error.value).splitlines()

    return run


@DATASETS.register_module()
class WatchedPhotosDataset(CleanPhotosDataset):
    """Records which of its samples are read."""

    read: list[int] = []

    def load(self, index):
        self.read.append(index)
        return super().load(index)


@pytest.mark.parametrize('stage', ['pretrain', 'finetune'])
def test_the_checks_do_not_change_the_run(toy_config, tmp_path, monkeypatch, stage):
    dropout = "model['backbone']['backbone'].update(type='Counting')\n"
    config = toy_config(stage, QUICK + dropout)
    checked = train(config, tmp_path / 'checked')
    monkeypatch.setattr(train_loop, 'dry_pass', lambda runner: None)
    unchecked = train(config, tmp_path / 'unchecked')
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_same(checked[part], unchecked[part], part)


def test_only_the_smallest_validation_image_is_read(runner_of, photos_dir):
    watched = (
        "train_dataloader['dataset'].update(type='WatchedPhotosDataset', cache=False)\n"
        "val_dataloader['dataset'].update(type='WatchedPhotosDataset')\n"
    )
    small = torch.full((40, 70, 3), 90, dtype=torch.uint8).numpy()
    save_image(photos_dir / 'photo_7.png', small)
    runner = _loaded(
        runner_of('pretrain', watched + CLEAN_VALIDATION + 'val_dataloader["batch_size"] = 1')
    )
    WatchedPhotosDataset.read.clear()
    random_numbers = torch.get_rng_state()
    weights = copy.deepcopy(runner.restorer.state_dict())
    train_loop.dry_pass(runner)
    assert WatchedPhotosDataset.read == [6]
    assert runner.val_evaluator.metrics[0].results == []
    assert_same(dict(runner.restorer.state_dict()), dict(weights))
    assert torch.equal(torch.get_rng_state(), random_numbers)


def test_validation_batches_of_different_sizes_are_rejected(faults_of, photos_dir):
    (fault,) = faults_of('pretrain', CLEAN_VALIDATION)
    assert fault == (
        f'val_dataloader: a batch cannot hold images of two sizes: {photos_dir}/photo_0.png gives '
        f'64 x 48 pixels, {photos_dir}/photo_1.png gives 48 x 64 pixels. Set '
        f'val_dataloader.batch_size=1, or cut patches (RandomPatch)'
    )


def test_images_smaller_than_the_network_accepts_are_rejected(faults_of, photos_dir):
    more = (
        "model['backbone']['backbone'].update(channel_multipliers=(1,) * 7, "
        'blocks_per_level=(1,) * 6, num_groups=4)\n'
        "train_dataloader['dataset'].update(pipeline=[dict(type='RandomPatch', size=72), "
        "dict(type='PackSample')])\n"
    )
    training, validation = faults_of('finetune', more)
    assert training == (
        f'train_dataloader: {photos_dir}/photo_0.png gives 72 x 72 pixels to train on: the network '
        f'takes sides of multiples of 64, from 64 on. Cut patches of such a size (RandomPatch in '
        f'its dataset.pipeline), e.g. size=128'
    )
    assert validation == (
        f'val_dataloader: {photos_dir}/photo_0.png gives 64 x 48 pixels and 1 others, too small to '
        f'measure the noise loss on: the network takes sides of multiples of 64, from 64 on. Leave '
        f'such images out'
    )


def test_a_task_without_a_time_step_is_rejected(faults_of):
    more = 'model.update(timesteps=dict(foggy=40))\n'
    training, validation = faults_of('finetune', more)
    for fault, loader in ((training, 'train'), (validation, 'val')):
        assert fault.startswith(f"{loader}_dataloader: unknown task 'rainy': time steps are known")
        assert 'foggy (t=40)' in fault and 'timesteps=dict(rainy=t)' in fault


def test_images_too_small_for_the_metric_are_rejected(faults_of, photos_dir):
    small = torch.full((10, 70, 3), 90, dtype=torch.uint8).numpy()
    save_image(photos_dir / 'photo_0.png', small)
    (fault,) = faults_of('finetune')
    assert fault.startswith(f'val_dataloader: {photos_dir}/photo_0.png (10 x 70 pixels): ')
    assert 'SSIM needs images of at least 11 x 11 pixels, got 10 x 70' in fault


def test_a_resumed_run_is_checked(runner_of, faults_of):
    runner_of('finetune', 'train_cfg["max_iters"] = 1\n', updates=True).train()
    more = "model.update(timesteps=dict(rainy=8))\nval_dataloader['dataset']['task'] = 'hazy'\n"
    (fault,) = faults_of('finetune', more, resume=True)
    assert fault.startswith("val_dataloader: unknown task 'hazy'")


@MODELS.register_module()
class Counting(MODELS.get('DtirUNet')):
    """With dropout, which draws random numbers, and a buffer that counts training passes."""

    def __init__(self, **arguments) -> None:
        super().__init__(**arguments)
        self.register_buffer('passes', torch.zeros(()))

    def forward(self, u: Tensor) -> Tensor:
        if self.training:
            self.passes += 1
        return nn.functional.dropout(super().forward(u), 0.1, self.training)


@MODELS.register_module()
class Averaged(nn.Module):
    """Has two averaged last layers and batch norms: it can be trained but not deployed."""

    global_skip, size_multiple = False, 1

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.heads = nn.ModuleList(nn.Conv2d(4, 3, 1) for _ in range(2))

    def forward(self, u: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.stem(u)))
        return sum(head(h) for head in self.heads) / 2


def test_problems_with_deployment_and_batch_norms_give_warnings(runner_of):
    averaged = "model['backbone'].update(backbone=dict(type='Averaged'))\n"
    runner = runner_of('pretrain', averaged, updates=True)
    warnings = []
    runner.logger.warning = warnings.append
    runner.train()
    deployment, norms = warnings
    assert deployment.startswith(
        'Averaged will train, but dtir-mm deploy will not take it: its last layer must be'
    )
    assert norms.startswith('1 batch norms of Averaged (norm ...) have their initial')


def test_a_suitable_network_gives_no_warning(runner_of):
    runner = runner_of('pretrain', updates=True)
    warnings = []
    runner.logger = SimpleNamespace(**{name: print for name in ('info', 'debug', 'error')})
    runner.logger.warning = warnings.append
    train_loop.dry_pass(_loaded(runner))
    assert warnings == []


def _loaded(runner):
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner._val_loop = runner.build_val_loop(runner._val_loop)
    return runner
