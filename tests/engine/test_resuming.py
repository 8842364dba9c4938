"""A resumed run's optimiser and schedule are its own, or the config's by name."""

import json
import shutil
from pathlib import Path

import pytest
from bit_equality import assert_same
from mmengine.config import Config

from dtir_mm.engine.checkpoint import config_of, load_checkpoint
from dtir_mm.engine.resuming import differences
from dtir_mm.registry import RUNNERS

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


def train(path: Path, work_dir: Path, **more) -> tuple[dict, list[str]]:
    """The last checkpoint of a run, and what it logged."""
    config = Config.fromfile(path)
    config.merge_from_dict({'work_dir': str(work_dir), **more})
    config.experiment_name = f'{work_dir}_{more}'
    runner = RUNNERS.build(config)
    said = []
    runner.logger.info = runner.logger.warning = said.append
    runner.train()
    return load_checkpoint(work_dir), said


@pytest.fixture
def started(toy_config, tmp_path) -> tuple[Path, Path]:
    """A config, and the directory of a run that was stopped after four of eight updates."""
    path, work_dir = toy_config('pretrain', SHORT), tmp_path / 'started'
    train(path, work_dir)
    (work_dir / 'iter_8.pth').unlink()
    return path, work_dir


def lr_of(checkpoint: dict) -> float:
    (group,) = checkpoint['optimizer']['param_groups']
    return group['lr']


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({OPTIMIZER + 'lr': 1e-4}, ['optim_wrapper.optimizer.lr 0.0005 -> 0.0001']),
        (
            {OPTIMIZER + 'betas': (0.9, 0.999), OPTIMIZER + 'weight_decay': 0.01},
            ['optimizer.betas (0.9, 0.99) -> (0.9, 0.999)', 'optimizer.weight_decay 0 -> 0.01'],
        ),
        ({OPTIMIZER + 'type': 'AdamW'}, ["optimizer.type 'Adam' -> 'AdamW'"]),
        ({'optim_wrapper.clip_grad.max_norm': 2.0}, ['clip_grad.max_norm 1.0 -> 2.0']),
        ({'optim_wrapper.clip_grad': None}, ["clip_grad {'max_norm': 1.0} -> None"]),
        ({'train_cfg.max_iters': 9}, ['train_cfg.max_iters 8 -> 9, ', 'param_scheduler.1.end 8 -> 9']),
        ({'param_scheduler.0.start_factor': 0.5}, ['param_scheduler.0.start_factor 0.1 -> 0.5']),
        ({'param_scheduler': None}, ['parts of param_scheduler 2 -> 0']),
        (
            {'param_scheduler.0': dict(type='ConstantLR', factor=0.1, by_epoch=False, end=3)},
            ['param_scheduler.0.start_factor 0.1 -> not set'],
        ),
        (
            {'optim_wrapper.paramwise_cfg': dict(norm_decay_mult=0.0)},
            ['weights a group of the optimiser ['],
        ),
    ],
)  # fmt: skip
def test_another_optimiser_or_schedule_is_refused(started, changes, said):
    path, work_dir = started
    with pytest.raises(ValueError, match='another optimiser or schedule') as error:
        train(path, work_dir, resume=True, **changes)
    for part in said:
        assert part in str(error.value)
    assert '--allow-changes (allow_changes=True)' in str(error.value)


def test_a_lower_learning_rate_is_taken_and_recorded_when_allowed(started, tmp_path):
    path, work_dir = started
    lower = {OPTIMIZER + 'lr': 1e-4, 'train_cfg.max_iters': 10}
    went_on, said = train(path, work_dir, resume=True, allow_changes=True, **lower)
    anew, _ = train(path, tmp_path / 'anew', **lower)
    # The learning rate, and the schedule's state, of a run that has had them from the start.
    for part in ('param_groups',):
        assert_same(went_on['optimizer'][part], anew['optimizer'][part])
    assert_same(went_on['param_schedulers'], anew['param_schedulers'])
    assert config_of(went_on)['optim_wrapper'] == config_of(anew)['optim_wrapper']
    moments = went_on['optimizer']['state'][0]
    assert moments['step'] == 10, 'those of the run to resume were kept'
    named = [text.rpartition(': ')[2] for text in said if text.startswith('from here on other')]
    assert named[0] == 'optim_wrapper.optimizer.lr 0.0005 -> 0.0001'
    assert named[-1] == 'train_cfg.max_iters 8 -> 10'

    # From there on it is the run, which another resumes without a word more.
    (work_dir / 'iter_10.pth').unlink()
    again, _ = train(path, work_dir, resume=True, **lower)
    assert_same(again['state_dict'], went_on['state_dict'])
    assert_same(again['optimizer'], went_on['optimizer'])


def test_allowing_changes_changes_nothing_by_itself(started, tmp_path):
    path, work_dir = started
    shutil.copytree(work_dir, tmp_path / 'copy', ignore=lambda *_: {'.lock'})
    one, _ = train(path, work_dir, resume=True)
    other, said = train(path, tmp_path / 'copy', resume=True, allow_changes=True)
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_same(one[part], other[part], part)
    assert not [text for text in said if 'from here on other' in text]


def test_another_optimiser_begins_without_moments_when_allowed(started):
    path, work_dir = started
    changes = {OPTIMIZER + 'type': 'AdamW', OPTIMIZER + 'weight_decay': 0.1}
    went_on, _ = train(path, work_dir, resume=True, allow_changes=True, **changes)
    (group,) = went_on['optimizer']['param_groups']
    assert (group['decoupled_weight_decay'], group['weight_decay']) == (True, 0.1)
    assert went_on['optimizer']['state'][0]['step'] == 4
    assert config_of(went_on)['optim_wrapper']['optimizer']['type'] == 'AdamW'


def test_what_else_the_config_changes_is_taken_and_named(started):
    path, work_dir = started
    went_on, said = train(path, work_dir, resume=True, **{'train_dataloader.batch_size': 2})
    named = [text for text in said if text.startswith('from here on other')]
    assert [text.rpartition(': ')[2] for text in named] == ['train_dataloader.batch_size 4 -> 2']
    assert config_of(went_on)['train_dataloader']['batch_size'] == 2


def test_a_run_that_is_done_says_so(started):
    path, work_dir = started
    whole, _ = train(path, work_dir, resume=True)
    again, said = train(path, work_dir, resume=True)
    assert_same(again, whole)
    assert 'nothing left to train: 8 updates are done, train_cfg.max_iters=8' in said


def test_differences_are_named_by_keys_of_the_command_line():
    before = json.loads('{"a": {"b": [1, 2], "c": null}, "d": [{"e": 1}, {"e": 2}], "f": [{}]}')
    now = {'a': {'b': (1, 2), 'g': 'x'}, 'd': [{'e': 1}, {'e': 3}], 'f': []}
    assert [str(difference) for difference in differences(before, now)] == [
        'a.c None -> not set',
        "a.g not set -> 'x'",
        'd.1.e 2 -> 3',
        'f [{}] -> []',
    ]
