"""FSDP pre-training on two processes equals one process."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from toy_training import build_runner, train
from two_processes import free_port, run_on_two

from dtir_mm.apis import load_restorer
from dtir_mm.engine import RestorationRunner, ShardedRestorer
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import MODELS

SETTINGS = """
train_cfg.update(max_iters=4, val_interval=4)
train_dataloader.update(batch_size={batch}, num_workers=0)
visualizer = dict(_delete_=True, type='ScalarVisualizer')
default_hooks = dict(
    importance=None, checkpoint=dict(interval=1, max_keep=4),
    ema=dict(type='WeightEMAHook', decay=0.5), logger=dict(interval=1),
)
optim_wrapper = dict(clip_grad=dict(max_norm=0.8))  # norms are 0.92
precision = 'fp64'
"""
# On two processes: a new run, and the end of another run.
BOTH = """
from mmengine.config import Config
from dtir_mm.apis.command_line import end_communication
from dtir_mm.registry import RUNNERS

for resume, work_dir in ((False, 'sharded'), ('full/iter_2.pth', 'resumed_sharded')):
    config = Config.fromfile('sharded.py')
    config.update(launcher='pytorch', work_dir=work_dir, resume=resume, experiment_name=work_dir)
    RUNNERS.build(config).train()
end_communication()
"""
SHARDED = """
model_wrapper_cfg = dict(type='ShardedRestorer')
model.update(step=dict(micro_batch_size=3))
model['backbone'].update(checkpoint_activations=True)
"""


def assert_close(got: Path, expected: Path) -> None:
    one, other = load_checkpoint(expected).content, load_checkpoint(got).content
    for part in ('state_dict', 'online_state_dict'):
        torch.testing.assert_close(other[part], one[part], rtol=1e-9, atol=1e-11)
    states = [checkpoint['optimizer']['state'] for checkpoint in (other, one)]
    torch.testing.assert_close(*states, rtol=1e-9, atol=1e-11)
    rates = [[g['lr'] for g in c['optimizer']['param_groups']] for c in (other, one)]
    assert rates[0] == rates[1]


def test_sharded_pre_training_equals_one_process(toy_config, tmp_path):
    """Also with micro-batches and activation checkpointing; either resumes the other."""
    if torch.cuda.is_available():
        pytest.skip('two processes would need two GPUs')
    full = toy_config('pretrain', SETTINGS.format(batch=8))
    train(full, tmp_path / 'full')
    sharded = tmp_path / 'sharded.py'
    sharded.write_text(full.read_text() + SHARDED + 'train_dataloader.update(batch_size=4)\n')
    (tmp_path / 'both.py').write_text(BOTH)
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
    run_on_two(*command, f'--master_port={free_port()}', 'both.py', cwd=tmp_path)
    for i in (1, 3, 4):
        assert_close(tmp_path / 'sharded' / f'iter_{i}.pth', tmp_path / 'full' / f'iter_{i}.pth')
    weights = [load_checkpoint(tmp_path / 'full' / f'iter_{i}.pth').content for i in (1, 4)]
    stems = [checkpoint['state_dict']['backbone.net.stem.weight'] for checkpoint in weights]
    assert (stems[1] - stems[0]).abs().max() > 1e-5

    train(full, tmp_path / 'resumed', resume=str(tmp_path / 'sharded' / 'iter_2.pth'))
    for run in ('resumed', 'resumed_sharded'):
        assert_close(tmp_path / run / 'iter_4.pth', tmp_path / 'full' / 'iter_4.pth')
    restorer = load_restorer(tmp_path / 'sharded')
    torch.testing.assert_close(restorer.backbone.net.stem.weight.double().cpu(), stems[1],
                               rtol=1e-6, atol=1e-7)  # fmt: skip


def restorer_of(backbone: dict, **parts) -> nn.Module:
    step = dict(objective=dict(type='Reconstruction'), **parts)
    return MODELS.build(dict(type='Restorer', backbone=backbone, step=step))


@pytest.mark.parametrize(
    'parts',
    [
        dict(mixing=dict(type='SampleMixing', objective=dict(type='NoisePrediction'))),
        dict(mixing=dict(type='UpdateMixing', objective=dict(type='Denoising'))),
        dict(regularizers=dict(importance=dict(type='ImportancePenalty'))),
    ],
)
def test_mixing_and_regularizers_are_rejected(toy_backbone, parts):
    words = r'is for pre-training: model\.step\.mixing and .*regularizers need full gradients'
    with pytest.raises(ValueError, match=words):
        ShardedRestorer(restorer_of(toy_backbone, **parts))


def test_a_single_process_is_rejected(toy_backbone):
    restorer = restorer_of(toy_backbone, regularizers=dict(importance=None))
    with pytest.raises(ValueError, match='shards a network over several processes'):
        ShardedRestorer(restorer)


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        ('', r'no full gradients .* default_hooks\.importance=None'),
        ('compile = True\n', 'compile and model_wrapper_cfg.type="ShardedRestorer" exclude'),
    ],
)
def test_importance_and_compile_are_rejected(toy_config, tmp_path, monkeypatch, more, words):
    monkeypatch.setattr(RestorationRunner, 'sharded', True)
    with pytest.raises(ValueError, match=words):
        build_runner(toy_config('pretrain', more), tmp_path / 'run').train()
