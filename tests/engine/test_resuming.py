"""Resuming with the same or with another optimiser and schedule."""

import copy
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn
from toy_training import FAST, assert_same, build_runner

from dtir_mm.engine.checkpoint import Checkpoint, load_checkpoint
from dtir_mm.engine.resuming import resume_optimization
from dtir_mm.registry import PARAM_SCHEDULERS

SHORT = f"""{FAST}
train_cfg.update(max_iters=8)
default_hooks = dict(checkpoint=dict(interval=4, max_keep=3), importance=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=3),
]
"""
OPTIMIZER = 'optim_wrapper.optimizer.'
NORM_DECAY = 'optim_wrapper.paramwise_cfg.norm_decay_mult'
MOMENTS_LOST = OPTIMIZER + 'type', OPTIMIZER + 'amsgrad', NORM_DECAY


def train(path: Path, work_dir: Path, **more) -> tuple[dict, list[str]]:
    """The last checkpoint of a run, and its log."""
    runner = build_runner(path, work_dir, **more)
    log = []
    runner.logger.info = runner.logger.warning = log.append
    runner.train()
    return load_checkpoint(work_dir).content, log


@pytest.fixture
def started(toy_config, tmp_path) -> tuple[Path, Path]:
    """A config, and the folder of a run stopped after four of eight updates."""
    path, work_dir = toy_config('pretrain', SHORT), tmp_path / 'started'
    train(path, work_dir)
    (work_dir / 'iter_8.pth').unlink()
    return path, work_dir


def built(changes: dict) -> tuple[dict, OptimWrapper, list]:
    """A config, with a new optimiser and schedulers of a small network."""
    config = Config(
        dict(
            train_cfg=dict(max_iters=8),
            optim_wrapper=dict(
                optimizer=dict(type='Adam', lr=5e-4, betas=(0.9, 0.99)),
                clip_grad=dict(max_norm=1.0),
            ),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3),
                dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=3),
            ],
        )
    )
    config.merge_from_dict(changes)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    wrapper = build_optim_wrapper(network, copy.deepcopy(config.optim_wrapper))
    schedulers = [
        PARAM_SCHEDULERS.build(
            {'end': config.train_cfg.max_iters, **part}, default_args=dict(optimizer=wrapper)
        )
        for part in config.param_scheduler or []
    ]
    return config.to_dict(), wrapper, schedulers


def stopped_after(updates: int, changes: dict) -> Checkpoint:
    """The checkpoint of a stopped run."""
    config, wrapper, schedulers = built(changes)
    for _ in range(updates):
        for group in wrapper.optimizer.param_groups:
            for parameter in group['params']:
                parameter.grad = torch.ones_like(parameter)
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    content = {
        'meta': {'iter': updates, 'config_json': json.dumps(config)},
        'optimizer': wrapper.state_dict(),
        'param_schedulers': [scheduler.state_dict() for scheduler in schedulers],
    }
    return Checkpoint.of(copy.deepcopy(content), 'iter_4.pth')


def assert_like_new_run(wrapper: OptimWrapper, changes: dict) -> None:
    """Asserts the settings of a run that had these changes from its first of four updates."""
    _, new, schedulers = built(changes)
    new.step()  # or mmengine warns
    for _ in range(4):
        for scheduler in schedulers:
            scheduler.step()
    assert_same(wrapper.state_dict()['param_groups'], new.state_dict()['param_groups'])
    assert_same(wrapper.base_param_settings, new.base_param_settings)


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({OPTIMIZER + 'lr': 1e-4}, ['resume: optim_wrapper.optimizer.lr 0.0005 -> 0.0001.']),
        (
            {OPTIMIZER + 'betas': (0.9, 0.999), OPTIMIZER + 'weight_decay': 0.01},
            ['optimizer.betas (0.9, 0.99) -> (0.9, 0.999)', 'optimizer.weight_decay 0 -> 0.01'],
        ),
        ({OPTIMIZER + 'type': 'AdamW'}, ["optimizer.type 'Adam' -> 'AdamW'"]),
        ({OPTIMIZER + 'amsgrad': True}, ['optimizer.amsgrad False -> True']),
        ({'optim_wrapper.clip_grad.max_norm': 2.0}, ['clip_grad.max_norm 1.0 -> 2.0']),
        ({'optim_wrapper.clip_grad': None}, ["clip_grad {'max_norm': 1.0} -> None"]),
        ({'optim_wrapper.accumulative_counts': 2}, ['accumulative_counts not set -> 2']),
        (
            {'train_cfg.max_iters': 9},
            ['train_cfg.max_iters 8 -> 9, ', 'param_scheduler.1.end 8 -> 9'],
        ),
        ({'param_scheduler.0.start_factor': 0.5}, ['param_scheduler.0.start_factor 0.1 -> 0.5']),
        ({'param_scheduler': None}, ['parts of param_scheduler 2 -> 0']),
        (
            {'param_scheduler.1.eta_min': 2e-6, 'param_scheduler.1.end': 7},
            ['param_scheduler.1.eta_min 1e-06 -> 2e-06', 'param_scheduler.1.end 8 -> 7'],
        ),
        (
            {OPTIMIZER + 'weight_decay': 0.1, NORM_DECAY: 0.0},
            ['weights a group of the optimiser [6] -> [1, 1, 1, 1, 1, 1, ...]'],
        ),
    ],
)
def test_another_optimiser_or_schedule_is_rejected_unless_allowed(changes, said):
    checkpoint = stopped_after(4, {})
    config, wrapper, schedulers = built(changes)
    before = copy.deepcopy(wrapper.state_dict())
    with pytest.raises(ValueError, match='another optimiser or schedule') as error:
        resume_optimization(checkpoint, config, wrapper, schedulers, False)
    for part in said:
        assert part in str(error.value)
    assert '--allow-changes (allow_changes=True)' in str(error.value)
    assert_same(wrapper.state_dict(), before)

    assert resume_optimization(checkpoint, config, wrapper, schedulers, True)
    assert_like_new_run(wrapper, changes)
    lost = any(key in MOMENTS_LOST for key in changes)
    assert_same(
        wrapper.state_dict()['state'], {} if lost else checkpoint.content['optimizer']['state']
    )


@pytest.mark.parametrize('changes', [{}, {OPTIMIZER + 'fused': True}, {'train_cfg.other': 1}])
@pytest.mark.parametrize('allow', [False, True])
def test_the_same_optimiser_is_restored(changes, allow):
    checkpoint = stopped_after(4, {})
    config, wrapper, schedulers = built(changes)
    assert resume_optimization(checkpoint, config, wrapper, schedulers, allow) == []
    assert_same(wrapper.state_dict()['state'], checkpoint.content['optimizer']['state'])
    assert [s.state_dict() for s in schedulers] == checkpoint.content['param_schedulers']


def test_an_allowed_learning_rate_is_used_and_recorded(started, tmp_path):
    path, work_dir = started
    lower = {OPTIMIZER + 'lr': 1e-4, 'train_cfg.max_iters': 10}
    resumed, said = train(path, work_dir, resume=True, allow_changes=True, **lower)
    new, _ = train(path, tmp_path / 'new', **lower)
    assert_same(resumed['optimizer']['param_groups'], new['optimizer']['param_groups'])
    assert_same(resumed['param_schedulers'], new['param_schedulers'])
    assert (
        json.loads(resumed['meta']['config_json'])['optim_wrapper']
        == json.loads(new['meta']['config_json'])['optim_wrapper']
    )
    moments = resumed['optimizer']['state'][0]
    assert moments['step'] == 10, 'the moments were not kept'
    named = [text.rpartition(': ')[2] for text in said if text.startswith('differs from the run')]
    assert named[0] == 'optim_wrapper.optimizer.lr 0.0005 -> 0.0001'
    assert named[-1] == 'train_cfg.max_iters 8 -> 10'

    # Resuming this run needs no permission.
    (work_dir / 'iter_10.pth').unlink()
    again, _ = train(path, work_dir, resume=True, **lower)
    assert_same(again['state_dict'], resumed['state_dict'])
    assert_same(again['optimizer'], resumed['optimizer'])


def test_other_changes_of_the_config_are_used_and_logged(started):
    path, work_dir = started
    resumed, said = train(path, work_dir, resume=True, **{'train_dataloader.batch_size': 2})
    named = [text for text in said if text.startswith('differs from the run')]
    assert [text.rpartition(': ')[2] for text in named] == ['train_dataloader.batch_size 4 -> 2']
    assert json.loads(resumed['meta']['config_json'])['train_dataloader']['batch_size'] == 2


def test_resuming_a_complete_run_trains_nothing(started):
    path, work_dir = started
    whole, _ = train(path, work_dir, resume=True)
    again, said = train(path, work_dir, resume=True)
    assert_same(again, whole)
    assert 'nothing left to train: 8 updates are done, train_cfg.max_iters=8' in said


def test_parameter_groups_are_compared_one_by_one():
    rates = {'optim_wrapper.paramwise_cfg': dict(custom_keys={'1.': dict(lr_mult=10.0)})}
    checkpoint = stopped_after(4, rates)
    config, wrapper, schedulers = built(rates)
    assert resume_optimization(checkpoint, config, wrapper, schedulers, False) == []
    assert_same(
        wrapper.state_dict()['param_groups'], checkpoint.content['optimizer']['param_groups']
    )

    other = {'optim_wrapper.paramwise_cfg': dict(custom_keys={'1.': dict(lr_mult=5.0)})}
    config, wrapper, schedulers = built(other)
    with pytest.raises(ValueError, match=r'lr 0\.005 -> 0\.0025, .*_mult 10\.0 -> 5\.0\.'):
        resume_optimization(checkpoint, config, wrapper, schedulers, False)
    resume_optimization(checkpoint, config, wrapper, schedulers, True)
    assert_like_new_run(wrapper, other)
    assert_same(wrapper.state_dict()['state'], checkpoint.content['optimizer']['state'])
