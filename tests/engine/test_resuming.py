"""A resumed run's optimiser and schedule are its own, or the config's by name."""

import copy
import json
from pathlib import Path

import pytest
import torch
from bit_equality import assert_same
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn

from dtir_mm.engine.checkpoint import Checkpoint, load_checkpoint
from dtir_mm.engine.resuming import resume_optimization
from dtir_mm.registry import PARAM_SCHEDULERS, RUNNERS

SHORT = """
train_cfg.update(max_iters=8)
train_dataloader.update(num_workers=0)
val_dataloader = val_cfg = val_evaluator = None
visualizer = dict(_delete_=True, type='ScalarVisualizer')
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
    """The last checkpoint of a run, and what it logged."""
    config = Config.fromfile(path)
    config.merge_from_dict({'work_dir': str(work_dir), **more})
    config.experiment_name = f'{work_dir}_{more}'
    runner = RUNNERS.build(config)
    said = []
    runner.logger.info = runner.logger.warning = said.append
    runner.train()
    return load_checkpoint(work_dir).content, said


@pytest.fixture
def started(toy_config, tmp_path) -> tuple[Path, Path]:
    """A config, and the directory of a run that was stopped after four of eight updates."""
    path, work_dir = toy_config('pretrain', SHORT), tmp_path / 'started'
    train(path, work_dir)
    (work_dir / 'iter_8.pth').unlink()
    return path, work_dir


def built(changes: dict) -> tuple[dict, OptimWrapper, list]:
    """A config of a small network's training, and its optimiser and schedulers as they begin."""
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
    """The checkpoint of a run that was stopped."""
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
def test_another_optimiser_or_schedule_is_refused_unless_allowed(changes, said):
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
    _, anew, schedule = built(changes)
    anew.step()  # or mmengine warns
    for _ in range(4):
        for scheduler in schedule:
            scheduler.step()
    assert_same(wrapper.state_dict()['param_groups'], anew.state_dict()['param_groups'])
    lost = any(key in MOMENTS_LOST for key in changes)
    assert_same(
        wrapper.state_dict()['state'], {} if lost else checkpoint.content['optimizer']['state']
    )


@pytest.mark.parametrize('changes', [{}, {OPTIMIZER + 'fused': True}, {'train_cfg.other': 1}])
@pytest.mark.parametrize('allow', [False, True])
def test_the_same_optimiser_goes_on_where_it_was(changes, allow):
    checkpoint = stopped_after(4, {})
    config, wrapper, schedulers = built(changes)
    assert resume_optimization(checkpoint, config, wrapper, schedulers, allow) == []
    assert_same(wrapper.state_dict()['state'], checkpoint.content['optimizer']['state'])
    assert [s.state_dict() for s in schedulers] == checkpoint.content['param_schedulers']


def test_a_lower_learning_rate_is_taken_and_recorded_when_allowed(started, tmp_path):
    path, work_dir = started
    lower = {OPTIMIZER + 'lr': 1e-4, 'train_cfg.max_iters': 10}
    went_on, said = train(path, work_dir, resume=True, allow_changes=True, **lower)
    anew, _ = train(path, tmp_path / 'anew', **lower)
    # The learning rate, and the schedule's state, of a run that has had them from the start.
    assert_same(went_on['optimizer']['param_groups'], anew['optimizer']['param_groups'])
    assert_same(went_on['param_schedulers'], anew['param_schedulers'])
    assert (
        json.loads(went_on['meta']['config_json'])['optim_wrapper']
        == json.loads(anew['meta']['config_json'])['optim_wrapper']
    )
    moments = went_on['optimizer']['state'][0]
    assert moments['step'] == 10, 'those of the run to resume were kept'
    named = [text.rpartition(': ')[2] for text in said if text.startswith('differs from the run')]
    assert named[0] == 'optim_wrapper.optimizer.lr 0.0005 -> 0.0001'
    assert named[-1] == 'train_cfg.max_iters 8 -> 10'

    # From there on it is the run, which another resumes without a word more.
    (work_dir / 'iter_10.pth').unlink()
    again, _ = train(path, work_dir, resume=True, **lower)
    assert_same(again['state_dict'], went_on['state_dict'])
    assert_same(again['optimizer'], went_on['optimizer'])


def test_what_else_the_config_changes_is_taken_and_named(started):
    path, work_dir = started
    went_on, said = train(path, work_dir, resume=True, **{'train_dataloader.batch_size': 2})
    named = [text for text in said if text.startswith('differs from the run')]
    assert [text.rpartition(': ')[2] for text in named] == ['train_dataloader.batch_size 4 -> 2']
    assert json.loads(went_on['meta']['config_json'])['train_dataloader']['batch_size'] == 2


def test_a_run_that_is_done_says_so(started):
    path, work_dir = started
    whole, _ = train(path, work_dir, resume=True)
    again, said = train(path, work_dir, resume=True)
    assert_same(again, whole)
    assert 'nothing left to train: 8 updates are done, train_cfg.max_iters=8' in said


def test_an_optimiser_of_many_groups_is_compared_group_by_group():
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
    _, anew, schedule = built(other)
    anew.step()
    for _ in range(4):
        for scheduler in schedule:
            scheduler.step()
    assert_same(wrapper.state_dict()['param_groups'], anew.state_dict()['param_groups'])
    assert_same(wrapper.base_param_settings, anew.base_param_settings)
    assert_same(wrapper.state_dict()['state'], checkpoint.content['optimizer']['state'])
