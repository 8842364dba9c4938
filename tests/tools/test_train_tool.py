"""tools/train.py: OpenMMLab's options, and errors for invalid input."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint


def learning_rate(work_dir: Path) -> float:
    return load_checkpoint(work_dir).content['optimizer']['param_groups'][0]['lr']


def test_amp_trains_in_bf16(run_tool, toy, tmp_path):
    run_tool('train', toy.config, '--work-dir', tmp_path, '--amp')
    low, full = load_checkpoint(tmp_path).content, load_checkpoint(toy.finetune).content
    assert (low['meta']['precision'], full['meta']['precision']) == ('bf16', 'fp32')
    weights = low['state_dict'].values()
    assert {weight.dtype for weight in weights} == {torch.float32}


def test_auto_scale_lr_scales_by_the_global_batch(run_tool, toy, tmp_path):
    config = tmp_path / 'adapters.py'
    config.write_text(f"""
_base_ = {str(toy.config)!r}
adapters = dict(num_experts=2, param_budget=9000, prompt_dim=8)
model = dict(step=dict(micro_batch_size=1), backbone=dict(adapters=adapters))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={{'backbone.adapters': dict(lr_mult=10)}}))
""")
    run_tool('train', config, '--work-dir', tmp_path / 'run', '--auto-scale-lr')
    checkpoint = load_checkpoint(tmp_path / 'run').content
    names = checkpoint['state_dict']
    factors = [10 if name.startswith('backbone.adapters.') else 1 for name in names]
    assert 5 < factors.count(10) < len(factors) - 5
    rates = [group['lr'] for group in checkpoint['optimizer']['param_groups']]
    assert rates == pytest.approx([0.03 * 2 / 16 * factor for factor in factors])


def test_resuming_with_another_rate_needs_allow_changes(run_tool, failure_of, toy, tmp_path):
    run_tool('train', toy.config, '--work-dir', tmp_path)
    options = ('optim_wrapper.optimizer.lr=0.01', 'train_cfg.max_iters=3')
    other = ('--resume', '--cfg-options', *options)
    message = failure_of('train', toy.config, '--work-dir', tmp_path, *other)
    assert re.search(r'optimizer\.lr 0\.03 -> 0\.01\. .*--allow-changes', message)
    run_tool('train', toy.config, '--work-dir', tmp_path, '--allow-changes', *other)
    assert learning_rate(tmp_path) == 0.01
    content = load_checkpoint(tmp_path).content
    assert content['meta']['iter'] == content['optimizer']['state'][0]['step'] == 3


def test_resume_without_a_checkpoint_starts_a_new_run(run_tool, toy, tmp_path):
    run_tool('train', toy.config, '--work-dir', tmp_path, '--resume')
    assert load_checkpoint(tmp_path).content['meta']['iter'] == 2


def test_resuming_overflowing_weights_names_a_good_checkpoint(run_tool, failure_of, toy, tmp_path):
    every = ('--cfg-options', 'default_hooks.checkpoint.interval=1', 'train_cfg.max_iters=3')
    run_tool('train', toy.config, '--work-dir', tmp_path / 'my run', *every)
    newest = tmp_path / 'my run' / 'iter_3.pth'
    checkpoint = load_checkpoint(newest).content
    checkpoint['state_dict']['backbone.net.conv_out.weight'][:] = 3e38
    save_checkpoint(checkpoint, newest)
    longer = (*every[:-1], 'train_cfg.max_iters=5', '--resume')
    message = failure_of('train', toy.config, '--work-dir', tmp_path / 'my run', *longer)
    assert 'its values overflow' in message
    good = shlex.quote(str(tmp_path / 'my run' / 'iter_2.pth'))
    assert f'--resume {good} --allow-changes' in message


def test_a_non_finite_loss_stops_before_the_update(toy, tmp_path, failure_of):
    message = failure_of(
        'train', toy.config, '--work-dir', tmp_path,
        '--cfg-options', 'optim_wrapper.optimizer.lr=1e30', 'train_cfg.max_iters=9',
        'default_hooks.checkpoint.interval=1',
    ).strip()  # fmt: skip
    # The first update makes the weights overflow; the second detects it.
    assert 'not finite at iteration 1' in message
    named, _, advice = message.split('Files of this batch: ')[1].partition('. If no file')
    named = named.split(', ')
    assert named and all(Path(name).parent == toy.photos for name in named)
    assert advice.endswith('start a new run with a lower learning rate')
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_1.pth']


@pytest.mark.parametrize(
    ('option', 'parts'),
    [
        ('train_dataloader.dataset.task=rayny', ['rayny', 'nearest: rainy']),
        ('precision=fp16', ['fp16', 'bf16']),
        ('train_dataloader.dataset.max_photos=99', ['max_photos=99', '1..6']),
        ('model.backbone.type=ConditionedBackbon', ['Closest: ConditionedBackbone']),
        ('activation_checkpointing=net', ['model.backbone.checkpoint_activations=True']),
    ],
)
def test_invalid_values_are_rejected_with_accepted_ones(failure_of, toy, tmp_path, option, parts):
    message = failure_of('train', toy.config, '--work-dir', tmp_path, '--cfg-options', option)
    for part in parts:
        assert part in message
