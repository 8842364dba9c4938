"""Killed runs resume bit-exactly."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toy_training import FAST, assert_same, train

from dtir_mm.datasets import CleanPhotosDataset
from dtir_mm.engine.checkpoint import save_checkpoint
from dtir_mm.registry import DATASETS

ROOT = Path(__file__).resolve().parents[2]
KILLED = [-signal.SIGKILL]

# Trains, and kills its own process before an update or halfway through writing a checkpoint.
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
SHORT = FAST + EVERY_3


def train_until_killed(config_path: Path, work_dir: Path, when: str, number: int) -> None:
    command = [sys.executable, '-c', KILL, str(config_path), str(work_dir), when, str(number)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert [result.returncode] == KILLED, result.stderr[-2000:]


# All terms; the released recipe's are part of half of the updates.
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
def test_a_killed_run_resumes_bit_exactly(toy_config, tmp_path, recipe, stage, more):
    if more == TERMS['paper']:
        train(toy_config('pretrain', 'train_cfg.update(max_iters=2)\n'), tmp_path / 'pretrained')
        more = more.format(pretrained=tmp_path / 'pretrained')
    config = toy_config(stage, EVERY_3 + more, recipe)
    whole = train(config, tmp_path / 'whole')
    for when, number in (('update', 7), ('checkpoint', 9)):
        work_dir = tmp_path / when
        train_until_killed(config, work_dir, when, number)
        left = sorted(path.name for path in work_dir.glob('*.pth'))
        assert left == ['iter_3.pth', 'iter_6.pth']
        assert len(list(work_dir.glob('.iter_9.pth.*.tmp'))) == (when == 'checkpoint')
        resumed = train(config, work_dir, resume=True)
        assert list(work_dir.glob('.iter_*')) == []
        for part in ('state_dict', 'optimizer', 'param_schedulers'):
            assert_same(resumed[part], whole[part], part)
        assert_same(resumed.get('importance'), whole.get('importance'))
        assert resumed['meta']['iter'] == 10


def test_resuming_skips_a_damaged_checkpoint(toy_config, tmp_path):
    config = toy_config('pretrain', SHORT)
    whole = train(config, tmp_path / 'run')
    path = tmp_path / 'run' / 'iter_10.pth'
    path.write_bytes(path.read_bytes()[:1000])
    resumed = train(config, tmp_path / 'run', resume=True)
    assert_same(resumed['state_dict'], whole['state_dict'])


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        ('randomness = dict(seed=5)', 'has seed 0, the config has randomness.seed=5'),
        ("precision = 'bf16'", "has precision fp32, the config has precision='bf16'"),
    ],
)
def test_resuming_with_another_seed_or_precision_is_rejected(toy_config, tmp_path, more, message):
    train(toy_config('pretrain', SHORT), tmp_path / 'run')
    with pytest.raises(ValueError, match=message):
        train(toy_config('pretrain', SHORT + more), tmp_path / 'run', resume=True)


def test_resuming_an_unseeded_run_keeps_its_seed(toy_config, tmp_path):
    config = toy_config('pretrain', SHORT + 'randomness = dict(seed=None)\n')
    whole = train(config, tmp_path / 'run')
    (tmp_path / 'run' / 'iter_10.pth').unlink()
    resumed = train(config, tmp_path / 'run', resume=True)
    assert_same(resumed['state_dict'], whole['state_dict'])
    assert resumed['meta']['seed'] == whole['meta']['seed']


@DATASETS.register_module()
class CountingPhotosDataset(CleanPhotosDataset):
    """Appends a byte to a file for every sample read in any process."""

    def __init__(self, counter: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.counter = counter

    def __getitem__(self, key):
        with open(self.counter, 'ab') as file:
            file.write(b'.')
        return super().__getitem__(key)


def test_resuming_reads_no_earlier_samples(toy_config, tmp_path):
    counter = tmp_path / 'reads'
    counting = (
        f"train_dataloader['dataset'].update(type='CountingPhotosDataset', "
        f"counter='{counter}')\nparam_scheduler = None\n"
    )
    late = train(toy_config('pretrain', counting), tmp_path / 'run')
    late['meta']['iter'] = 400_000
    save_checkpoint(late, tmp_path / 'late.pth')
    counter.write_bytes(b'')

    config = toy_config('pretrain', counting + 'train_cfg.update(max_iters=400_003)\n')
    end = train(config, tmp_path / 'late', resume=str(tmp_path / 'late.pth'))
    assert end['meta']['iter'] == 400_003
    batch, updates, workers, prefetched = 4, 3, 2, 2
    assert batch * updates <= os.path.getsize(counter) <= batch * (updates + workers * prefetched)


def test_resuming_with_another_schedule_is_rejected(toy_config, tmp_path):
    cosine = "param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, eta_min=1e-6)]\n"
    train(toy_config('pretrain', SHORT + cosine), tmp_path / 'run')
    longer = toy_config('pretrain', SHORT + cosine + 'train_cfg.update(max_iters=12)\n')
    expected = r'train_cfg\.max_iters 10 -> 12, .*param_scheduler\.0\.end 10 -> 12'
    with pytest.raises(ValueError, match=expected):
        train(longer, tmp_path / 'run', resume=True)
    fixed = cosine.replace('by_epoch', 'end=10, by_epoch')
    same = toy_config('pretrain', SHORT + fixed + 'train_cfg.update(max_iters=12)\n')
    end = train(same, tmp_path / 'run', resume=True)
    # mmengine's schedule ends one step before ``end``.
    last = 1e-6 + (5e-4 - 1e-6) * (1 + math.cos(0.9 * math.pi)) / 2
    assert end['optimizer']['param_groups'][0]['lr'] == pytest.approx(last)
