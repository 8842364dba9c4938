"""What does not fit is said before the first update, and trying changes no bit of a run."""

import copy
from types import SimpleNamespace

import pytest
import torch
from bit_equality import assert_same
from mmengine.config import Config
from torch import Tensor, nn

from dtir_mm.datasets import CleanPhotosDataset
from dtir_mm.engine import train_loop
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.image_io import save_image
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import DATASETS, MODELS, RUNNERS

QUICK = """
train_cfg.update(max_iters=2, val_interval=2)
train_dataloader.update(num_workers=0)
val_dataloader.update(num_workers=0)
"""
CLEAN_VALIDATION = "val_dataloader['dataset'].update(pipeline=[dict(type='PackSample')])\n"


@pytest.fixture
def runner_of(toy_config, tmp_path, monkeypatch):
    """Builds the runner of a toy; no update may happen unless it is asked for."""

    def build(stage: str, more: str = '', updates: bool = False, **settings):
        config = Config.fromfile(toy_config(stage, QUICK + more))
        config.merge_from_dict({'work_dir': str(tmp_path / 'run'), **settings})
        config.experiment_name = f'{tmp_path}{stage}{len(more)}{updates}'
        if not updates:
            monkeypatch.setattr(Restorer, 'train_step', None)
        return RUNNERS.build(config)

    return build


@pytest.fixture
def faults_of(runner_of):
    """The lines of what a training is refused for, before its first update."""

    def run(*args, **kwargs) -> list[str]:
        with pytest.raises(ValueError) as error:
            runner_of(*args, **kwargs).train()
        return str(error.value).splitlines()

    return run


@DATASETS.register_module()
class WatchedPhotosDataset(CleanPhotosDataset):
    """Knows which of its samples were read."""

    read: list[int] = []

    def load(self, index):
        self.read.append(index)
        return super().load(index)


@pytest.mark.parametrize('stage', ['pretrain', 'finetune'])
def test_a_run_has_the_bits_of_one_that_was_not_tried(runner_of, tmp_path, monkeypatch, stage):
    dropout = "model['backbone']['backbone'].update(type='Counting')\n"
    runner_of(stage, dropout, updates=True, work_dir=str(tmp_path / 'tried')).train()
    monkeypatch.setattr(train_loop, 'dry_pass', lambda runner: None)
    runner_of(stage, dropout, updates=True, work_dir=str(tmp_path / 'not')).train()
    tried, untried = (load_checkpoint(tmp_path / name).content for name in ('tried', 'not'))
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_same(tried[part], untried[part], part)


def test_it_reads_the_smallest_validation_image_and_nothing_else(runner_of, photos_dir):
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


def test_validation_images_of_two_sizes_in_a_batch(faults_of, photos_dir):
    (fault,) = faults_of('pretrain', CLEAN_VALIDATION)
    assert fault == (
        f'val_dataloader: a batch cannot hold images of two sizes: {photos_dir}/photo_0.png gives '
        f'64 x 48 pixels, {photos_dir}/photo_1.png gives 48 x 64 pixels. Set '
        f'val_dataloader.batch_size=1, or cut patches (RandomPatch)'
    )


def test_validation_images_below_the_networks_minimum(faults_of, photos_dir):
    """All that are too small are counted, of whichever loader, beside what else is wrong."""
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


def test_a_task_without_a_time_step(faults_of):
    """The README's own pairs: another task to train on, the base's to validate on."""
    more = 'model.update(timesteps=dict(foggy=40))\n'
    training, validation = faults_of('finetune', more)
    for fault, loader in ((training, 'train'), (validation, 'val')):
        assert fault.startswith(f"{loader}_dataloader: unknown task 'rainy': time steps are known")
        assert 'foggy (t=40)' in fault and 'timesteps=dict(rainy=t)' in fault


def test_what_the_metric_cannot_measure(faults_of, photos_dir):
    small = torch.full((10, 70, 3), 90, dtype=torch.uint8).numpy()
    save_image(photos_dir / 'photo_0.png', small)
    (fault,) = faults_of('finetune')
    assert fault.startswith(f'val_dataloader: {photos_dir}/photo_0.png (10 x 70 pixels): ')
    assert 'SSIM needs images of at least 11 x 11 pixels, got 10 x 70' in fault


def test_a_resumed_run_is_tried_too(runner_of, faults_of):
    runner_of('finetune', 'train_cfg["max_iters"] = 1\n', updates=True).train()
    more = "model.update(timesteps=dict(rainy=8))\nval_dataloader['dataset']['task'] = 'hazy'\n"
    (fault,) = faults_of('finetune', more, resume=True)
    assert fault.startswith("val_dataloader: unknown task 'hazy'")


@MODELS.register_module()
class Counting(MODELS.get('DtirUNet')):
    """With dropout, which draws, and a buffer that counts training passes."""

    def __init__(self, **arguments) -> None:
        super().__init__(**arguments)
        self.register_buffer('passes', torch.zeros(()))

    def forward(self, u: Tensor) -> Tensor:
        if self.training:
            self.passes += 1
        return nn.functional.dropout(super().forward(u), 0.1, self.training)


@MODELS.register_module()
class Averaged(nn.Module):
    """Two last layers, averaged, and batch norms: it trains, and is not deployed."""

    global_skip, size_multiple = False, 1

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.heads = nn.ModuleList(nn.Conv2d(4, 3, 1) for _ in range(2))

    def forward(self, u: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.stem(u)))
        return sum(head(h) for head in self.heads) / 2


def test_what_will_not_be_deployed_or_normalise_is_said_at_once(runner_of):
    averaged = "model['backbone'].update(backbone=dict(type='Averaged'))\n"
    runner = runner_of('pretrain', averaged, updates=True)
    said = []
    runner.logger.warning = said.append
    runner.train()
    deployment, norms = said
    assert deployment.startswith(
        'Averaged will train, but tools/deploy.py will not take it: its last layer must be'
    )
    assert norms.startswith('1 batch norms of Averaged (norm ...) have their initial')


def test_nothing_is_said_of_a_network_that_fits(runner_of):
    runner = runner_of('pretrain', updates=True)
    said = []
    runner.logger = SimpleNamespace(**{name: print for name in ('info', 'debug', 'error')})
    runner.logger.warning = said.append
    train_loop.dry_pass(_loaded(runner))
    assert said == []


def _loaded(runner):
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner._val_loop = runner.build_val_loop(runner._val_loop)
    return runner
