"""The updates, importance and validation of an incremental run on three tasks."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recorded_runs import RecordingHook, absolute, gradients, train
from skimage.metrics import peak_signal_noise_ratio
from toy_training import block_of

from dtir_mm.apis import load_restorer, restore_pixels
from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.engine.hooks.incremental_task_scheduler_hook import forgetting_table
from dtir_mm.engine.task_schedule import TaskSchedule
from dtir_mm.image_io import read_image
from dtir_mm.randomness import generator

STEPS = dict(noisy=4, rainy=8, hazy=30)
JOINED = [['noisy'], ['noisy', 'rainy'], ['noisy', 'rainy', 'hazy']]


def importance_at(work_dir: Path, iteration: int) -> dict:
    return load_checkpoint(work_dir / f'iter_{iteration}.pth').content['importance']


def test_each_update_draws_equally_from_the_tasks_so_far(toy_run):
    for i, update in toy_run.updates.items():
        assert set(update.batch['task']) == set(JOINED[i // 4])
        for task in STEPS:
            exact = 8 / len(JOINED[i // 4]) if task in JOINED[i // 4] else 0
            assert abs(update.batch['task'].count(task) - exact) < 1
    assert sorted(toy_run.updates) == list(range(12))
    assert toy_run.validated == [4, 8, 12]


def test_each_stage_resets_moments_and_learning_rate(toy_run):
    for i, update in toy_run.updates.items():
        assert update.moments == (0 if i % 4 == 0 else len(update.names))
        falling = (1 + math.cos(math.pi * (i % 4) / 4)) / 2
        for name, rate in zip(update.names, update.rates, strict=True):
            highest = 5e-3 if name.startswith('backbone.adapters.') else 5e-4
            assert rate == pytest.approx(1e-5 + (highest - 1e-5) * falling)


def test_sequential_stages_with_kept_moments(toy_run, tmp_path):
    options = {
        'default_hooks.incremental_tasks.fresh_optimizer': False,
        'default_hooks.incremental_tasks.data': 'sequential',
        'default_hooks.incremental_tasks.order': ['hazy', 'noisy', 'rainy'],
        'train_cfg.max_iters': 6,
        'model.step.regularizers.orthogonality': None,
        'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None,
    }  # fmt: skip
    work_dir = train(toy_run.unify, tmp_path / 'run', **options, **toy_run.start)
    updates = RecordingHook.updates
    assert [u.moments > 0 for u in updates.values()] == [False] + [True] * 5
    tasks = [set(update.batch['task']) for update in updates.values()]
    assert tasks == [{'hazy'}, {'hazy'}, {'noisy'}, {'noisy'}, {'rainy'}, {'rainy'}]
    for i, reached in ((0, 2), (2, 6), (4, 5)):  # exp(-.05 t) = .22, .82, .67 of the depth
        assert_factors(updates[i], [1.0] * reached + [0.0] * (8 - reached))
    assert not (work_dir / 'forgetting.json').exists()


def assert_factors(
    update: SimpleNamespace, gate: list[float], penalty: list[float] | None = None
) -> None:
    """Asserts layer-decay factors, given one per block."""
    decay = update.layer_decay
    for name, own_gate, own_penalty in zip(
        update.names, decay.gate.tolist(), decay.penalty.tolist(), strict=True
    ):
        rank = block_of(name)
        assert own_gate == pytest.approx(gate[rank], abs=1e-6), name
        assert penalty is None or own_penalty == pytest.approx(penalty[rank]), name


def test_layer_decay_factors_are_means_over_the_tasks_so_far(toy_run):
    reached = dict(noisy=6, rainy=5, hazy=2)  # blocks at depths up to exp(-.05 t)
    for i, update in toy_run.updates.items():
        tasks = JOINED[i // 4]
        gate = [np.mean([rank < reached[task] for task in tasks]) for rank in range(8)]
        penalty = [
            np.mean([math.exp(-0.05 * STEPS[task] * rank / 7) for task in tasks])
            for rank in range(8)
        ]
        assert_factors(update, gate, penalty)
    assert gate == pytest.approx([1, 1, 2 / 3, 2 / 3, 2 / 3, 1 / 3, 0, 0])


def test_importance_is_averaged_over_stages_and_anchored_at_the_last(toy_run):
    pretrained = load_checkpoint(toy_run.pretrained).content['importance']['omega']
    omegas = []
    for stage, end in enumerate((4, 8, 12), start=1):
        last_two = [
            absolute(gradients(toy_run.unify, toy_run.updates[i], slice(2), slice(2, 8)))
            for i in (end - 2, end - 1)
        ]
        omegas.append({name: (last_two[0][name] + last_two[1][name]) / 2 for name in last_two[0]})
        carried = importance_at(toy_run.whole, end)
        assert carried['stages'] == stage + 1
        state = load_checkpoint(toy_run.whole / f'iter_{end}.pth').weights
        trained = {name for name in omegas[0] if not name.startswith('classifier.')}
        assert carried['omega'].keys() == trained
        for name in trained:
            former = pretrained.get(name, torch.zeros_like(omegas[0][name]))
            expected = (former + sum(omega[name] for omega in omegas)) / (stage + 1)
            torch.testing.assert_close(carried['omega'][name], expected, rtol=1e-6, atol=1e-10)
            assert torch.equal(carried['anchor'][name], state[name])
    assert float(carried['omega']['backbone.adapters.experts.middle.up_ECR'].norm()) > 0


def test_the_penalty_is_relative_to_the_end_of_the_previous_stage(toy_run):
    for i, update in toy_run.updates.items():
        start = (
            toy_run.pretrained / 'iter_2.pth' if i < 4 else toy_run.whole / f'iter_{i // 4 * 4}.pth'
        )
        importance = load_checkpoint(start).content['importance']
        delta = {n: update.weights[n] - a for n, a in importance['anchor'].items()}
        moved = sum(float((importance['omega'][n] * d.abs()).sum()) for n, d in delta.items())
        assert float(update.losses['importance_s']) == pytest.approx(moved, rel=1e-6, abs=1e-12)
        assert (moved > 0) == (i % 4 > 0)


def psnr_of_restoration(
    toy_run: SimpleNamespace, work_dir: Path, iteration: int, task: str, domain: str
) -> float:
    """PSNR of the validation photograph, restored by the checkpoint of an iteration."""
    clean = read_image(toy_run.photos / '0.png')
    degraded = degradation_for(task, domain).degrade(clean, generator(0, task, domain, '0', 0))
    restored = restore_pixels(
        load_restorer(work_dir / f'iter_{iteration}.pth'), degraded, STEPS[task]
    )
    return peak_signal_noise_ratio(clean, restored, data_range=255)


def test_the_forgetting_table_has_the_psnr_of_each_stage(toy_run):
    content = json.loads((toy_run.whole / 'forgetting.json').read_text())
    assert (content['order'], content['data']) == (['noisy', 'rainy', 'hazy'], 'cumulative')
    assert [row['iter'] for row in content['rows']] == [4, 8, 12]
    for row in content['rows']:
        assert list(row['psnr']) == ['noisy', 'rainy', 'hazy']
        for task, psnr in row['psnr'].items():
            expected = psnr_of_restoration(toy_run, toy_run.whole, row['iter'], task, 'source')
            assert psnr == pytest.approx(expected, abs=0.02)  # training is in float64
    (log,) = toy_run.whole.glob('*/*.log')
    measured = {row['iter']: row['psnr'] for row in content['rows']}
    schedule = TaskSchedule(('noisy', 'rainy', 'hazy'), 'cumulative', 12)
    assert forgetting_table(schedule, measured) in log.read_text()
    stages = '3 stages of 4 updates, cumulative: noisy (t=4), rainy (t=8), hazy (t=30)'
    assert stages in log.read_text()


PSNR = {  # by the last iteration of each stage
    4: dict(a=30.0, b=20.0, a_very_long_task=10.0),
    8: dict(a=31.5, b=25.0, a_very_long_task=11.0),
    12: dict(a=29.25, b=26.0, a_very_long_task=19.456),
}
ORDER = ('a', 'b', 'a_very_long_task')


def test_the_forgetting_table_as_text():
    assert forgetting_table(TaskSchedule(ORDER, 'cumulative', 12), PSNR).splitlines() == [
        '    stage                a                b a_very_long_task',
        '        1            30.00          (20.00)          (10.00)',
        '        2            31.50            25.00          (11.00)',
        '        3            29.25            26.00            19.46',
        '     lost             2.25             0.00             0.00',
    ]
    assert forgetting_table(TaskSchedule(ORDER, 'joint', 12), {12: PSNR[12]}).splitlines()[1:] == [
        '        1            29.25            26.00            19.46',
        '     lost             0.00             0.00             0.00',
    ]
    # An unfinished run. "a" was better before it was trained: not forgotten.
    unfinished = {8: dict(b=18.0, a=30.0, c=8.0), 4: dict(b=20.0, a=40.0, c=9.0)}
    schedule = TaskSchedule(('b', 'a', 'c'), 'sequential', 12)
    assert forgetting_table(schedule, unfinished).splitlines() == [
        '    stage          b          a          c',
        '        1      20.00    (40.00)     (9.00)',
        '        2      18.00      30.00     (8.00)',
        '     lost       2.00       0.00       0.00',
    ]


def test_the_forgetting_table_with_target_severities(toy_run, tmp_path):
    path = tmp_path / 'target.py'
    target = "\nval_dataloader['dataset']['datasets'][0]['severities'] = ('target',)\n"
    path.write_text(toy_run.unify.read_text() + target)
    short = {'train_cfg.max_iters': 3, 'train_cfg.val_interval': 3, **toy_run.start}
    work_dir = train(path, tmp_path / 'run', **short)
    (row,) = json.loads((work_dir / 'forgetting.json').read_text())['rows']
    for task, domain in (('hazy', 'target'), ('rainy', 'source')):
        expected = psnr_of_restoration(toy_run, work_dir, 3, task, domain)
        assert row['psnr'][task] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (
            "val_evaluator = [dict(type='MeanMetric', names=['val_noise_loss'])]",
            'val_evaluator needs a RestorationMetric',
        ),
        (
            "del val_dataloader['dataset']['datasets'][2:]",
            'val_dataloader has no images of rainy, which',
        ),
    ],
)
def test_validation_without_psnr_of_every_task_is_rejected(toy_run, tmp_path, more, message):
    path = tmp_path / 'changed.py'
    path.write_text(f'{toy_run.unify.read_text()}\n{more}\n')
    with pytest.raises(ValueError, match=message):
        train(path, tmp_path / 'run', **toy_run.start)
