"""Pre-training by FSDP on two processes, against one process that holds everything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from test_distributed import ROOT, free_port
from torch import nn

from dtir_mm.apis import load_restorer
from dtir_mm.engine import RestorationRunner, ShardedRestorer
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import MODELS, RUNNERS

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
# On two processes: a run from the beginning, and the end of another run.
BOTH = """
from mmengine.config import Config
from dtir_mm.apis.command_line import end_communication
from dtir_mm.registry import RUNNERS

for resume, work_dir in ((False, 'divided'), ('whole/iter_2.pth', 'divided_on')):
    config = Config.fromfile('divided.py')
    config.update(launcher='pytorch', work_dir=work_dir, resume=resume, experiment_name=work_dir)
    RUNNERS.build(config).train()
end_communication()
"""
DIVIDED = """
model_wrapper_cfg = dict(type='ShardedRestorer')
model.update(step=dict(micro_batch_size=3))
model['backbone'].update(checkpoint_activations=True)
"""


def train_on_one(path: Path, work_dir: Path, resume: str | bool = False) -> None:
    config = Config.fromfile(path)
    config.update(work_dir=str(work_dir), resume=resume, experiment_name=str(work_dir))
    RUNNERS.build(config).train()


def assert_close(got: Path, expected: Path) -> None:
    one, other = load_checkpoint(expected).content, load_checkpoint(got).content
    for part in ('state_dict', 'online_state_dict'):
        torch.testing.assert_close(other[part], one[part], rtol=1e-9, atol=1e-11)
    states = [checkpoint['optimizer']['state'] for checkpoint in (other, one)]
    torch.testing.assert_close(*states, rtol=1e-9, atol=1e-11)
    rates = [[g['lr'] for g in c['optimizer']['param_groups']] for c in (other, one)]
    assert rates[0] == rates[1]


def test_divided_pre_training_is_the_same(toy_config, tmp_path):
    """Also in micro-batches of 3 and 1 samples, with checkpointing; and both can go on."""
    if torch.cuda.is_available():
        pytest.skip('two processes would need two GPUs')
    whole = toy_config('pretrain', SETTINGS.format(batch=8))
    train_on_one(whole, tmp_path / 'whole')
    divided = tmp_path / 'divided.py'
    divided.write_text(whole.read_text() + DIVIDED + 'train_dataloader.update(batch_size=4)\n')
    (tmp_path / 'both.py').write_text(BOTH)
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2',
               f'--master_port={free_port()}', 'both.py']  # fmt: skip
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    result = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]
    for i in (1, 3, 4):
        assert_close(tmp_path / 'divided' / f'iter_{i}.pth', tmp_path / 'whole' / f'iter_{i}.pth')
    weights = [load_checkpoint(tmp_path / 'whole' / f'iter_{i}.pth').content for i in (1, 4)]
    stems = [checkpoint['state_dict']['backbone.net.stem.weight'] for checkpoint in weights]
    assert (stems[1] - stems[0]).abs().max() > 1e-5

    train_on_one(whole, tmp_path / 'on', resume=str(tmp_path / 'divided' / 'iter_2.pth'))
    assert_close(tmp_path / 'on' / 'iter_4.pth', tmp_path / 'whole' / 'iter_4.pth')
    assert_close(tmp_path / 'divided_on' / 'iter_4.pth', tmp_path / 'whole' / 'iter_4.pth')
    restorer = load_restorer(tmp_path / 'divided')
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
def test_what_combines_gradients_is_refused(toy_backbone, parts):
    words = r'is for pre-training: model\.step\.mixing and .*regularizers need full gradients'
    with pytest.raises(ValueError, match=words):
        ShardedRestorer(restorer_of(toy_backbone, **parts))


def test_a_single_process_is_refused(toy_backbone):
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
def test_what_it_excludes_is_refused(toy_config, tmp_path, monkeypatch, more, words):
    monkeypatch.setattr(RestorationRunner, 'sharded', True)
    config = Config.fromfile(toy_config('pretrain', more))
    config.update(work_dir=str(tmp_path / 'run'), experiment_name=f'{tmp_path}{more}')
    with pytest.raises(ValueError, match=words):
        RUNNERS.build(config).train()
