"""Runs that were killed end with the weights of runs that were not."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bit_equality import assert_same
from mmengine.config import Config

from dtir_mm.datasets import CleanPhotosDataset
from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint
from dtir_mm.registry import DATASETS, RUNNERS

ROOT = Path(__file__).resolve().parents[2]
KILLED = [-signal.SIGKILL]

# Trains a config, and kills its own process: before an update, or half-way through a checkpoint.
KILL = """
import io, os, signal, sys
import torch
from mmengine.config import Config
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import RUNNERS

config, work_dir, when, number = sys.argv[1:]
train_step, save = Restorer.train_step, torch.save

def step_or_die(self, data, optim_wrapper):
    if when == 'update' and int(data['key'][0, 1]) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(self, data, optim_wrapper)

def save_or_die(checkpoint, file):
    buffer = io.BytesIO()
    save(checkpoint, buffer)
    if when == 'checkpoint' and checkpoint['meta']['iter'] == int(number):
        file.write(buffer.getvalue()[: buffer.tell() // 2])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    file.write(buffer.getvalue())

Restorer.train_step, torch.save = step_or_die, save_or_die
config = Config.fromfile(config)
config.work_dir = work_dir
RUNNERS.build(config).train()
"""
EVERY_3 = 'default_hooks.update(checkpoint=dict(interval=3))\n'


def train(config_path: Path, work_dir: Path, resume: bool | str = False) -> Path:
    """Trains in this process; gives the last checkpoint."""
    config = Config.fromfile(config_path)
    config.work_dir, config.resume = str(work_dir), resume
    config.experiment_name = work_dir.name + str(resume)
    RUNNERS.build(config).train()
    return work_dir / f'iter_{config.train_cfg.max_iters}.pth'


def train_until_killed(config_path: Path, work_dir: Path, when: str, number: int) -> None:
    command = [sys.executable, '-c', KILL, str(config_path), str(work_dir), when, str(number)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert [result.returncode] == KILLED, result.stderr[-2000:]


# All terms; those of the released recipe act in half of the updates.
TERMS = {
    'paper': """
model['step'].update(
    mixing=dict(ratio=0.4, rounding='dither', cap=0.5),
    regularizers=dict(
        importance=dict(type='ImportancePenalty'),
        orthogonality=dict(type='GradientOrthogonality', interval=2),
    ),
)
default_hooks.update(
    layer_wise_decay=dict(type='LayerWiseDecayHook'), importance=dict(n_batches=5)
)
load_from = '{pretrained}'
""",
    'released': """
model['step'].update(
    mixing=dict(probability=0.5, added=True), regularizers=dict(importance=dict(share=0.5))
)
""",
}


@pytest.mark.parametrize(
    ('recipe', 'stage', 'more'),
    [
        ('paper', 'pretrain', ''),
        ('paper', 'finetune', TERMS['paper']),
        ('released', 'pretrain', ''),
        ('released', 'finetune', TERMS['released']),
    ],
)
def test_a_killed_run_resumes_to_the_bit(toy_config, tmp_path, recipe, stage, more):
    if more == TERMS['paper']:
        few = 'train_cfg.update(max_iters=2)\n'
        more = more.format(pretrained=train(toy_config('pretrain', few), tmp_path / 'pretrained'))
    config = toy_config(stage, EVERY_3 + more, recipe)
    whole = load_checkpoint(train(config, tmp_path / 'whole')).content
    for when, number in (('update', 7), ('checkpoint', 9)):
        work_dir = tmp_path / when
        train_until_killed(config, work_dir, when, number)
        left = sorted(path.name for path in work_dir.glob('*.pth'))
        assert left == ['iter_3.pth', 'iter_6.pth']
        assert len(list(work_dir.glob('.iter_9.pth.*.tmp'))) == (when == 'checkpoint')
        resumed = load_checkpoint(train(config, work_dir, resume=True)).content
        assert list(work_dir.glob('.iter_*')) == []
        for part in ('state_dict', 'optimizer', 'param_schedulers'):
            assert_same(resumed[part], whole[part], part)
        assert_same(resumed.get('importance'), whole.get('importance'))
        assert resumed['meta']['iter'] == 10


def test_the_weights_of_another_seed_differ(toy_config, tmp_path):
    # Or the comparison above would show nothing.
    one = load_checkpoint(train(toy_config('pretrain'), tmp_path / 'one')).content
    config = toy_config('pretrain', 'randomness = dict(seed=1)\n')
    other = load_checkpoint(train(config, tmp_path / 'other')).content
    with pytest.raises(AssertionError):
        assert_same(one['state_dict'], other['state_dict'])


def test_a_damaged_last_checkpoint_costs_only_what_came_after_the_one_before(toy_config, tmp_path):
    config = toy_config('pretrain', EVERY_3)
    path = train(config, tmp_path / 'run')
    whole = load_checkpoint(path).content
    path.write_bytes(path.read_bytes()[:1000])
    resumed = load_checkpoint(train(config, tmp_path / 'run', resume=True)).content
    assert_same(resumed['state_dict'], whole['state_dict'])


def test_resuming_with_another_seed_is_refused(toy_config, tmp_path):
    train(toy_config('pretrain', EVERY_3), tmp_path / 'run')
    config = toy_config('pretrain', 'randomness = dict(seed=5)\n')
    with pytest.raises(ValueError, match=r'has seed 0, the config has randomness.seed=5'):
        train(config, tmp_path / 'run', resume=True)


def test_resuming_an_unseeded_run_goes_on_with_its_seed(toy_config, tmp_path):
    unseeded = EVERY_3 + 'randomness = dict(seed=None)\n'
    path = train(toy_config('pretrain', unseeded), tmp_path / 'run')
    whole = load_checkpoint(path).content
    path.unlink()
    resumed = load_checkpoint(
        train(toy_config('pretrain', unseeded), tmp_path / 'run', True)
    ).content
    assert_same(resumed['state_dict'], whole['state_dict'])
    assert resumed['meta']['seed'] == whole['meta']['seed']


@DATASETS.register_module()
class CountingPhotosDataset(CleanPhotosDataset):
    """Appends a byte to a file for every sample that is read, in whichever process."""

    def __init__(self, counter: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.counter = counter

    def __getitem__(self, key):
        with open(self.counter, 'ab') as file:
            file.write(b'.')
        return super().__getitem__(key)


def test_resuming_at_400000_reads_no_more_than_the_prefetch(toy_config, tmp_path):
    counter = tmp_path / 'reads'
    counting = (
        f"train_dataloader['dataset'].update(type='CountingPhotosDataset', "
        f"counter='{counter}')\nparam_scheduler = None\n"
    )
    path = train(toy_config('pretrain', counting), tmp_path / 'run')
    late = load_checkpoint(path).content
    late['meta']['iter'] = 400_000
    save_checkpoint(late, tmp_path / 'late.pth')
    counter.write_bytes(b'')

    config = toy_config('pretrain', counting + 'train_cfg.update(max_iters=400_003)\n')
    end = train(config, tmp_path / 'late', resume=str(tmp_path / 'late.pth'))
    assert load_checkpoint(end).content['meta']['iter'] == 400_003
    batch, updates, workers, prefetched = 4, 3, 2, 2
    assert batch * updates <= os.path.getsize(counter) <= batch * (updates + workers * prefetched)


def test_resuming_in_another_precision_is_refused(toy_config, tmp_path):
    train(toy_config('pretrain', EVERY_3), tmp_path / 'run')
    config = toy_config('pretrain', "precision = 'bf16'\n")
    with pytest.raises(ValueError, match=r"has precision fp32, the config has precision='bf16'"):
        train(config, tmp_path / 'run', resume=True)


def test_a_longer_run_needs_a_word_where_its_schedule_follows(toy_config, tmp_path):
    cosine = "param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, eta_min=1e-6)]\n"
    train(toy_config('pretrain', EVERY_3 + cosine), tmp_path / 'run')
    longer = toy_config('pretrain', EVERY_3 + cosine + 'train_cfg.update(max_iters=12)\n')
    expected = r'train_cfg\.max_iters 10 -> 12, .*param_scheduler\.0\.end 10 -> 12'
    with pytest.raises(ValueError, match=expected):
        train(longer, tmp_path / 'run', resume=True)
    fixed = cosine.replace('by_epoch', 'end=10, by_epoch')
    same = toy_config('pretrain', EVERY_3 + fixed + 'train_cfg.update(max_iters=12)\n')
    end = load_checkpoint(train(same, tmp_path / 'run', resume=True)).content
    # mmengine's schedule ends one step before ``end``.
    last = 1e-6 + (5e-4 - 1e-6) * (1 + math.cos(0.9 * math.pi)) / 2
    assert end['optimizer']['param_groups'][0]['lr'] == pytest.approx(last)
