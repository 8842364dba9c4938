"""Which checkpoints a run writes, keeps and deletes."""

import pytest
import torch
from mmengine.hooks import Hook
from toy_training import FAST, assert_same, train

from dtir_mm.engine import checkpoint as checkpoint_module
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import HOOKS

SHORT = f"""{FAST}
train_cfg.update(max_iters=6)
default_hooks = dict(checkpoint=dict(interval=2), importance=None)
"""


def names(work_dir) -> list[str]:
    return sorted(path.name for path in work_dir.glob('*.pth'))


def test_the_last_two_checkpoints_and_other_files_are_kept(toy_config, tmp_path):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    for mine in ('iter_2_copy.pth', 'iter_best.pth'):
        (work_dir / mine).write_text('mine')
    train(toy_config('pretrain', SHORT), work_dir)
    assert names(work_dir) == ['iter_2_copy.pth', 'iter_4.pth', 'iter_6.pth', 'iter_best.pth']
    assert load_checkpoint(work_dir).path.name == 'iter_6.pth'


def test_a_new_run_in_a_used_folder_is_rejected(toy_config, tmp_path):
    config, work_dir = toy_config('pretrain', SHORT), tmp_path / 'run'
    train(config, work_dir)
    with pytest.raises(FileExistsError, match=r'run holds .* up to iter_6\.pth: .*--resume'):
        train(config, work_dir)
    assert names(work_dir) == ['iter_4.pth', 'iter_6.pth']
    train(config, work_dir, resume=True, train_cfg=dict(max_iters=8))
    assert names(work_dir) == ['iter_6.pth', 'iter_8.pth']


def test_resuming_an_earlier_checkpoint_keeps_later_ones(toy_config, tmp_path):
    config, work_dir = toy_config('pretrain', SHORT), tmp_path / 'run'
    train(config, work_dir)
    options = dict(resume=str(work_dir / 'iter_4.pth'), train_cfg=dict(max_iters=5))
    train(config, work_dir, **options)
    assert names(work_dir) == ['iter_4.pth', 'iter_5.pth', 'iter_6.pth']
    assert load_checkpoint(work_dir / 'iter_5.pth').content['meta']['iter'] == 5


def test_only_temporary_files_of_checkpoints_are_removed(toy_config, tmp_path):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    for name in ('.iter_4.pth.123.tmp', '.iter_4_importance.pth.123.tmp', '.iter_4.png.1.tmp'):
        (work_dir / name).write_text('half')
    train(toy_config('pretrain', SHORT), work_dir)
    left = sorted(path.name for path in work_dir.glob('.iter_*'))
    assert left == ['.iter_4.png.1.tmp', '.iter_4_importance.pth.123.tmp']


def test_a_run_stopped_by_a_full_disk_resumes_bit_exactly(toy_config, tmp_path, monkeypatch):
    config, work_dir = toy_config('pretrain', SHORT), tmp_path / 'run'
    whole = train(config, tmp_path / 'whole')

    def open_device(path, mode):
        return open('/dev/full' if 'iter_4' in path.name else path, mode)

    monkeypatch.setattr(checkpoint_module, 'open', open_device, raising=False)
    with pytest.raises(OSError, match=r'is full: .*run/iter_4\.pth needs') as error:
        train(config, work_dir)
    needed = (tmp_path / 'whole' / 'iter_4.pth').stat().st_size / 2**10
    assert f'needs {needed:.1f} KiB, and ' in str(error.value)
    assert str(error.value).endswith('Then --resume continues from iter_2.pth')
    assert names(work_dir) == ['iter_2.pth']
    assert not list(work_dir.glob('.iter_*'))

    monkeypatch.undo()
    resumed = train(config, work_dir, resume=True)
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_same(resumed[part], whole[part], part)
    assert resumed['meta']['loss_watch'] == whole['meta']['loss_watch']


@HOOKS.register_module()
class ScaleWeightsHook(Hook):
    """Scales weights up, like a learning rate that is far too high."""

    def __init__(self, factors: dict) -> None:
        self.factors = factors

    @torch.no_grad()
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        for parameter in runner.restorer.backbone.net.conv_out.parameters():
            parameter.mul_(self.factors.get(batch_idx + 1, 1.0))


DIVERGE = """
train_cfg.update(max_iters=12)
custom_hooks = [dict(type='ScaleWeightsHook', factors={5: 1e4, 10: 1e30})]
"""


def test_the_last_good_checkpoint_of_a_diverged_run_is_kept_and_named(toy_config, tmp_path):
    """Losses are large but finite from update 5 on; the weights of iter_10.pth overflow."""
    config, work_dir = toy_config('pretrain', SHORT + DIVERGE), tmp_path / 'run'
    lower = f'--resume {work_dir}/iter_4.pth --allow-changes --cfg-options optim_wrapper.optimizer'
    with pytest.raises(FloatingPointError, match='not finite at iteration 10') as error:
        train(config, work_dir)
    assert f'The last good checkpoint is {work_dir}/iter_4.pth: ' in str(error.value)
    assert lower in str(error.value)
    assert names(work_dir) == ['iter_10.pth', 'iter_4.pth', 'iter_8.pth']
    huge = load_checkpoint(work_dir / 'iter_10.pth').weights['backbone.net.conv_out.weight']
    assert huge.isfinite().all() and huge.abs().max() > 1e25

    with pytest.raises(FloatingPointError) as error:
        train(config, work_dir, resume=True)
    assert lower in str(error.value)
    assert names(work_dir) == ['iter_10.pth', 'iter_4.pth', 'iter_8.pth']

    options = {'optim_wrapper.optimizer.lr': 1e-5, 'custom_hooks': [], 'allow_changes': True}
    train(config, work_dir, resume=str(work_dir / 'iter_4.pth'), **options)
    (log, *_) = sorted(work_dir.glob('*/*.log'), key=lambda path: path.stat().st_mtime)[::-1]
    assert 'continuing from iteration 4, before iter_8.pth, iter_10.pth: ' in log.read_text()
    assert names(work_dir) == ['iter_10.pth', 'iter_12.pth']
    assert load_checkpoint(work_dir).content['meta']['loss_watch']['good'] == 'iter_10.pth'


def test_a_run_that_diverges_at_once_has_no_good_checkpoint(toy_config, tmp_path):
    at_once = DIVERGE.replace('5: 1e4', '1: 1e4').replace('10:', '5:')
    with pytest.raises(FloatingPointError, match='no checkpoint here is known to be good: start'):
        train(toy_config('pretrain', SHORT + at_once), tmp_path / 'run')
