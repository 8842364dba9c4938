"""Which checkpoints a run writes, keeps and never touches."""

import pytest
from mmengine.config import Config

from dtir_mm.engine.checkpoint import latest_checkpoint, load_checkpoint
from dtir_mm.registry import RUNNERS

SHORT = """
train_cfg.update(max_iters=6)
train_dataloader.update(num_workers=0)
val_dataloader = val_cfg = val_evaluator = None
visualizer = dict(_delete_=True, type='ScalarVisualizer')
default_hooks = dict(checkpoint=dict(interval=2), importance=None)
"""


def train(path, work_dir, **more) -> None:
    config = Config.fromfile(path)
    config.merge_from_dict({'work_dir': str(work_dir), **more})
    config.experiment_name = f'{work_dir}_{more}'
    RUNNERS.build(config).train()


def names(work_dir) -> list[str]:
    return sorted(path.name for path in work_dir.glob('*.pth'))


def test_the_last_two_are_kept_and_files_of_other_names_stay(toy_config, tmp_path):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    for mine in ('iter_2_copy.pth', 'iter_best.pth'):
        (work_dir / mine).write_text('mine')
    train(toy_config('pretrain', SHORT), work_dir)
    assert names(work_dir) == ['iter_2_copy.pth', 'iter_4.pth', 'iter_6.pth', 'iter_best.pth']
    assert latest_checkpoint(work_dir).name == 'iter_6.pth'


def test_a_new_run_leaves_those_of_an_earlier_one_alone(toy_config, tmp_path):
    config, work_dir = toy_config('pretrain', SHORT), tmp_path / 'run'
    train(config, work_dir)
    with pytest.raises(FileExistsError, match=r'run holds .* up to iter_6\.pth: .*--resume'):
        train(config, work_dir)
    assert names(work_dir) == ['iter_4.pth', 'iter_6.pth']
    train(config, work_dir, resume=True, train_cfg=dict(max_iters=8))
    assert names(work_dir) == ['iter_6.pth', 'iter_8.pth']


def test_going_back_keeps_what_came_later(toy_config, tmp_path):
    config, work_dir = toy_config('pretrain', SHORT), tmp_path / 'run'
    train(config, work_dir)
    options = dict(resume=str(work_dir / 'iter_4.pth'), train_cfg=dict(max_iters=5))
    train(config, work_dir, **options)
    assert names(work_dir) == ['iter_4.pth', 'iter_5.pth', 'iter_6.pth']
    assert load_checkpoint(work_dir / 'iter_5.pth')['meta']['iter'] == 5
