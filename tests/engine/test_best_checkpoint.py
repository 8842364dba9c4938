"""The best checkpoint by a metric, and early stopping, against the logged metrics."""

import json

import pytest
from mmengine.hooks import Hook
from toy_training import assert_same, build_runner, train

from dtir_mm.engine.best_checkpoint import BestCheckpoint
from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint
from dtir_mm.registry import HOOKS

PSNR = 'rainy/source/psnr'
RUN = """
train_dataloader.update(num_workers=0)
val_dataloader.update(num_workers=0)
train_cfg.update(max_iters=8, val_interval=2)
default_hooks.update(
    checkpoint=dict(interval=2, max_keep=9{best}), ema=dict(type='WeightEMAHook', decay=0.5)
)
visualizer = dict(
    _delete_=True, type='ScalarVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
"""
STOP = (
    "custom_hooks = [dict(type='EarlyStoppingHook', monitor='{monitor}', rule='greater', {more})]"
)


@HOOKS.register_module()
class SpoilMetricHook(Hook):
    """Makes the metric of a validation, and what is logged of it, that of a list."""

    priority = 'VERY_HIGH'

    def __init__(self, values: dict) -> None:
        self.values = values

    def after_val_epoch(self, runner, metrics=None):
        metrics['rainy/source/psnr'] = self.values[runner.iter]


def logged(work_dir) -> dict[int, float]:
    rows = [json.loads(line) for file in sorted(work_dir.glob('*/vis_data/scalars.json'))
            for line in file.read_text().splitlines()]  # fmt: skip
    return {row['step']: row[PSNR] for row in rows if PSNR in row}


@pytest.mark.parametrize(('rule', 'pick'), [("'less'", min), (None, max)])
def test_the_best_checkpoint_is_that_of_the_best_logged_metric(toy_config, tmp_path, rule, pick):
    best = f", save_best='{PSNR}', rule={rule}"
    train(toy_config('finetune', RUN.format(best=best)), tmp_path / 'run')
    metrics = logged(tmp_path / 'run')
    assert list(metrics) == [2, 4, 6, 8] and len(set(metrics.values())) == 4
    step = pick(metrics, key=metrics.get)
    (path,) = (tmp_path / 'run').glob('best_*')
    assert path.name == f'best_rainy_source_psnr_iter_{step}.pth'
    best, own = (load_checkpoint(tmp_path / 'run' / name).content
                 for name in (path.name, f'iter_{step}.pth'))  # fmt: skip
    assert best['meta'].pop('score') == metrics[step] and best['meta'].pop('metric') == PSNR
    for key in ('state_dict', 'online_state_dict', 'optimizer', 'param_schedulers'):
        assert_same(best[key], own[key], key)
    assert best['meta']['iter'] == own['meta']['iter'] == step


def test_a_resumed_run_knows_the_former_best(toy_config, tmp_path):
    """Values of the metric are given, so that the best is that of the first part."""
    values = {2: 20.0, 4: 30.0, 6: 25.0, 8: 28.0}
    spoil = "custom_hooks = [dict(type='SpoilMetricHook', values={})]"
    text = RUN.format(best=f", save_best='{PSNR}'")
    work_dir = tmp_path / 'run'
    train(toy_config('finetune', text + spoil.format(values)), work_dir)
    assert [path.name for path in work_dir.glob('best_*')] == ['best_rainy_source_psnr_iter_4.pth']
    for more, expected in ((29.0, 4), (31.0, 8)):
        path = toy_config('finetune', text + spoil.format({**values, 8: more}))
        train(path, work_dir, resume=str(work_dir / 'iter_6.pth'))
        names = [file.name for file in work_dir.glob('best_*')]
        assert names == [f'best_rainy_source_psnr_iter_{expected}.pth']


def test_training_stops_early_with_a_checkpoint(toy_config, tmp_path):
    """With patience 2, no improvement by 100 dB stops it at the third validation."""
    stop = STOP.format(monitor=PSNR, more='patience=2, min_delta=100.0')
    settings = RUN.format(best='').replace('interval=2, max_keep', 'interval=4, max_keep')
    content = train(toy_config('finetune', settings + stop), tmp_path / 'run')
    assert content['meta']['iter'] == 6
    assert list(logged(tmp_path / 'run')) == [2, 4, 6]
    assert [p.name for p in sorted((tmp_path / 'run').glob('*.pth'))] == [
        'iter_4.pth',
        'iter_6.pth',
    ]
    (log,) = (tmp_path / 'run').glob('*/*.log')
    assert 'stopped early, after 6 of 8 updates: iter_6.pth' in log.read_text()


SAVE = ", save_best='rainy/source/{}', rule='greater'"
KNOWN = ', '.join([f'rainy/{domain}/{name}' for domain in ('source', 'target')
                   for name in ('input_psnr', 'input_ssim', 'psnr', 'ssim')])  # fmt: skip


@pytest.mark.parametrize(
    ('settings', 'said'),
    [
        (RUN.format(best=SAVE.format('psrn')), 'save_best of RestorationCheckpointHook'),
        (
            RUN.format(best='') + STOP.format(monitor='rainy/source/psrn', more=''),
            'monitor of EarlyStoppingHook',
        ),
    ],
)
def test_a_misspelt_metric_ends_a_run_before_the_first_update(toy_config, tmp_path, settings, said):
    runner = build_runner(toy_config('finetune', settings), tmp_path / 'run')
    with pytest.raises(ValueError) as error:
        runner.train()
    assert str(error.value) == (
        f"{said}: validation gives no 'rainy/source/psrn', only psnr, {KNOWN}, ssim, "
        f'val_noise_loss; nearest: rainy/source/psnr'
    )
    assert runner.iter == 0 and not list((tmp_path / 'run').glob('*.pth'))


def test_a_data_set_that_does_not_tell_its_tasks_is_checked_at_the_first_validation(
    toy_config, tmp_path, monkeypatch
):
    from dtir_mm.datasets import DegradedPhotosDataset

    monkeypatch.setattr(DegradedPhotosDataset, 'groups', None)
    path = toy_config('finetune', RUN.format(best=SAVE.format('psrn')))
    runner = build_runner(path, tmp_path / 'run')
    with pytest.raises(ValueError, match='nearest: rainy/source/psnr'):
        runner.train()
    assert runner.iter == 2


def test_watching_needs_validation(toy_config, tmp_path):
    none = '\nval_dataloader = val_cfg = val_evaluator = None\n'
    runner = build_runner(
        toy_config('finetune', RUN.format(best=f", save_best='{PSNR}'") + none), tmp_path / 'run'
    )
    with pytest.raises(ValueError, match='^save_best .* needs val_dataloader, val_evaluator and'):
        runner.train()


@pytest.mark.parametrize(
    ('metric', 'better'),
    [('rainy/target/ssim', True), ('lpips', False), ('val_noise_loss', False)],
)
def test_the_name_tells_which_values_are_better(metric, better):
    best = BestCheckpoint(metric)
    assert best.of({metric: 0.5}) == 0.5 and best.of({}) is None
    assert best.of({metric: float('nan')}) is None
    best.value = 0.5
    assert [best.is_better(value) for value in (0.6, 0.5, 0.4)] == [better, False, not better]


@pytest.mark.parametrize('arguments', [('accuracy',), ('psnr', 'higher')])
def test_other_names_need_a_rule(arguments):
    with pytest.raises(ValueError, match='"greater" or "less" for save_best='):
        BestCheckpoint(*arguments)


def test_the_record_is_the_best_file_up_to_the_iteration(tmp_path):
    for done, score in ((100, 30.0), (90, 29.0), (200, 35.0)):
        meta = {'config_json': '{}', 'iter': done, 'metric': PSNR, 'score': score}
        path = tmp_path / f'best_rainy_source_psnr_iter_{done}.pth'
        save_checkpoint({'meta': meta, 'state_dict': {}}, path)
    (tmp_path / 'best_rainy_target_psnr_iter_50.pth').write_text('another metric')
    (tmp_path / 'best_rainy_source_psnr_iter_50.pth.txt').write_text('mine')
    best = BestCheckpoint(PSNR)
    best.resume(tmp_path, 150)
    assert (best.value, best.path.name) == (30.0, best.name(100))
