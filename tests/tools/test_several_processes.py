"""A leaf of Setting A on two processes, resumed on one."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from two_processes import ROOT, run_on_two

from dtir_mm.datasets.layouts import generate_fixture
from dtir_mm.engine.checkpoint import load_checkpoint

LEAVES = ROOT / 'configs' / 'setting_a'
PRETRAIN = LEAVES / 'dtir-unet_pretrain_rainy_b16-500k.py'
FINETUNE = LEAVES / 'dtir-unet_finetune_rainy_b16-300k.py'
# Toy width and length; all else is as in the leaf, such as 16 samples per update and all terms.
TOY = [
    'model.backbone.backbone.width=8', 'model.backbone.backbone.channel_multipliers=(1,2)',
    'model.backbone.backbone.blocks_per_level=(1,)', 'model.backbone.backbone.middle_blocks=1',
    'model.backbone.backbone.attention=False', 'train_dataloader.dataset.pipeline.0.size=16',
    'train_dataloader.num_workers=1', 'default_hooks.ema.type=WeightEMAHook',
    'default_hooks.checkpoint.interval=2', 'precision=fp64', 'visualizer.vis_backends=[]',
]  # fmt: skip
SHORT = [
    'train_cfg.max_iters=4', 'model.step.regularizers.orthogonality.interval=2', 'val_cfg=None',
    'val_dataloader=None', 'val_evaluator=None', 'optim_wrapper.optimizer.lr=1e-3',
]  # fmt: skip


def moved(end: dict, start: dict) -> Tensor:
    """The change of the weights, as one vector."""
    return torch.cat([(end[name] - start[name]).flatten() for name in start])


def test_one_process_resumes_the_run_of_two(run_tool, tmp_path, monkeypatch):
    """Two micro-batches instead of a second process give the same weights."""
    if torch.cuda.is_available():
        pytest.skip('two processes would need two GPUs')
    for name in ('Rain100L', 'Rain100H'):
        generate_fixture(name, tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    run_tool('train', PRETRAIN, '--cfg-options', *TOY, 'train_cfg.max_iters=1',
             'global_batch_size=4', 'val_cfg=None', 'val_dataloader=None',
             'val_evaluator=None')  # fmt: skip
    run_on_two(
        'bash', ROOT / 'tools' / 'dist_train.sh', FINETUNE, 2, '--work-dir', 'two',
        '--cfg-options', *TOY, *SHORT, 'model.step.micro_batch_size=8', '--auto-scale-lr',
        cwd=tmp_path,
    )  # fmt: skip
    run_tool('train', FINETUNE, '--work-dir', 'one', '--resume', 'two/iter_2.pth', '--cfg-options',
             *TOY, *SHORT, 'model.step.micro_batch_size=8', '--auto-scale-lr')  # fmt: skip

    middle, two, one = (
        load_checkpoint(file).content
        for file in ('two/iter_2.pth', 'two/iter_4.pth', 'one/iter_4.pth')
    )
    for weights in ('state_dict', 'online_state_dict'):
        expected, got = (moved(end[weights], middle[weights]) for end in (two, one))
        assert expected.abs().max() > 3e-4
        assert (got - expected).abs().max() < 1e-9
    # Two processes with 8 samples each have the base batch size of 16.
    assert two['optimizer']['param_groups'][0]['initial_lr'] == 1e-3
    (log,) = Path('one').glob('*/*.log')
    assert 'resumed at iteration 2' in log.read_text()
    assert 'it is another run from here on' not in log.read_text()


def test_another_global_batch_gives_a_warning(run_tool, toy, tmp_path):
    run_tool('train', toy.config, '--work-dir', tmp_path, '--resume', toy.finetune / 'iter_2.pth',
             '--cfg-options', 'train_cfg.max_iters=3', 'global_batch_size=4')  # fmt: skip
    (log,) = tmp_path.glob('*/*.log')
    assert 'had 2 samples an update over all processes, this one has 4' in log.read_text()
    assert 'Set global_batch_size=2' in log.read_text()
