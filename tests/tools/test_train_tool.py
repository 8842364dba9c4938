"""tools/train.py: OpenMMLab's flags, and what it says of bad input."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint


def learning_rate(work_dir: Path) -> float:
    return load_checkpoint(work_dir).content['optimizer']['param_groups'][0]['lr']


def test_amp_trains_in_bf16_and_the_checkpoint_says_so(run_tool, toy, tmp_path):
    run_tool('train', toy.config, '--work-dir', tmp_path, '--amp')
    low, full = load_checkpoint(tmp_path).content, load_checkpoint(toy.finetune).content
    assert (low['meta']['precision'], full['meta']['precision']) == ('bf16', 'fp32')
    weights = low['state_dict'].values()
    assert {weight.dtype for weight in weights} == {torch.float32}


def test_auto_scale_lr_scales_by_the_global_batch(run_tool, toy, tmp_path):
    run_tool('train', toy.config, '--work-dir', tmp_path, '--auto-scale-lr')
    assert learning_rate(toy.finetune) == pytest.approx(0.03)
    assert learning_rate(tmp_path) == pytest.approx(0.03 * 2 / 16)


def test_auto_scale_lr_counts_no_micro_batches_and_keeps_the_adapters_factor(
    run_tool, toy, tmp_path
):
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


def test_auto_scale_lr_without_a_base_says_what_is_missing(failure_of, toy, tmp_path):
    option = ('--auto-scale-lr', '--cfg-options', 'auto_scale_lr=None')
    message = failure_of('train', toy.config, '--work-dir', tmp_path, *option)
    assert '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=N)' in message


def test_resume_continues_to_a_later_end(run_tool, toy, tmp_path):
    run_tool('train', toy.config, '--work-dir', tmp_path)
    later = ('--cfg-options', 'train_cfg.max_iters=3')
    run_tool('train', toy.config, '--work-dir', tmp_path, '--resume', *later)
    assert load_checkpoint(tmp_path).content['meta']['iter'] == 3
    state = load_checkpoint(tmp_path).content['optimizer']['state'][0]
    assert state['step'] == 3


def test_resume_with_another_learning_rate_needs_a_word(run_tool, failure_of, toy, tmp_path):
    run_tool('train', toy.config, '--work-dir', tmp_path)
    options = ('optim_wrapper.optimizer.lr=0.01', 'train_cfg.max_iters=3')
    other = ('--resume', '--cfg-options', *options)
    message = failure_of('train', toy.config, '--work-dir', tmp_path, *other)
    assert re.search(r'optimizer\.lr 0\.03 -> 0\.01\. .*--allow-changes', message)
    run_tool('train', toy.config, '--work-dir', tmp_path, '--allow-changes', *other)
    assert learning_rate(tmp_path) == 0.01


def test_resume_with_nothing_there_starts_from_the_beginning(run_tool, toy, tmp_path):
    run_tool('train', toy.config, '--work-dir', tmp_path, '--resume')
    assert load_checkpoint(tmp_path).content['meta']['iter'] == 2


def test_a_work_dir_that_cannot_be_written_is_named(failure_of, toy, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    message = failure_of('train', toy.config, '--work-dir', tmp_path / 'file' / 'run')
    assert f'cannot write to the output folder {tmp_path}/file/run' in message
    assert (tmp_path / 'file').read_text() == 'in the way'


def test_resuming_weights_that_overflow_names_the_last_good_ones(
    run_tool, failure_of, toy, tmp_path
):
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


def test_a_loss_that_is_not_finite_stops_before_the_update(toy, tmp_path, failure_of):
    message = failure_of(
        'train', toy.config, '--work-dir', tmp_path,
        '--cfg-options', 'optim_wrapper.optimizer.lr=1e30', 'train_cfg.max_iters=9',
        'default_hooks.checkpoint.interval=1',
    ).strip()  # fmt: skip
    # The first update breaks the weights, the second one finds out.
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
        ('train_dataloader.dataset.folder=nowhere', ['no such folder of images: nowhere']),
        ('model.backbone.type=ConditionedBackbon', ['Closest: ConditionedBackbone']),
        ('model.timesteps=fixed:51', ['t=51', '1..50']),
        ('activation_checkpointing=net', ['model.backbone.checkpoint_activations=True']),
        ('load_from=nothing.pth', ['no such checkpoint: nothing.pth']),
    ],
)
def test_bad_values_are_named_with_what_is_accepted(failure_of, toy, tmp_path, option, parts):
    message = failure_of('train', toy.config, '--work-dir', tmp_path, '--cfg-options', option)
    for part in parts:
        assert part in message
