"""The ratio of generative to content gradients per block, against plain autograd."""

import json

import pytest
import torch
from recorded_runs import QUICK, RecordingHook, gradients, norm, train
from toy_training import BLOCKS, block_of

from dtir_mm.engine.hooks import gradient_balance_hook

WATCH = """
train_cfg.update(max_iters=3)
visualizer = dict(
    _delete_=True, type='ScalarVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
model['step'].update(mixing=dict({share}={value}))
default_hooks.update(balance=dict(type='GradientBalanceHook'))
"""


@pytest.fixture(autouse=True)
def every_update(monkeypatch) -> None:
    monkeypatch.setattr(gradient_balance_hook, 'INTERVAL', 1)


def scalars(work_dir) -> dict[int, dict[str, float]]:
    """The logged ratios, by update."""
    files = work_dir.glob('*/vis_data/scalars.json')  # of three updates nothing else is logged
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return {
        row['step']: {n.removeprefix('balance/'): v for n, v in row.items() if '/' in n}
        for row in rows
        if any(name.startswith('balance/') for name in row)
    }


@pytest.mark.parametrize(
    ('recipe', 'share', 'value', 'mixed', 'main'),
    [
        ('paper', 'ratio', 0.5, slice(0, 2), slice(2, 4)),
        ('released', 'probability', 1.0, slice(0, 4), slice(0, 4)),
    ],
)
def test_ratios_equal_plain_autograd(
    toy_config, tmp_path, monkeypatch, recipe, share, value, mixed, main
):
    monkeypatch.setattr(gradient_balance_hook, 'INTERVAL', 2)
    settings = QUICK.format(n=0 if recipe == 'paper' else 1)
    settings += WATCH.format(share=share, value=value)
    path = toy_config('finetune', settings, recipe=recipe)
    run = train(path, tmp_path / 'run')
    logged = scalars(run)
    assert sorted(logged) == [0, 2]
    for iteration, ratios in logged.items():
        update = RecordingHook.updates[iteration]
        both = gradients(path, update, mixed, slice(0)), gradients(path, update, main=main)
        assert list(ratios) == list(BLOCKS)
        for i, block in enumerate(BLOCKS):
            sizes = [
                norm({name: g for name, g in each.items() if block_of(name) == i}) for each in both
            ]
            assert ratios[block] == pytest.approx(sizes[0] / sizes[1], rel=1e-6), block
    ratios = logged[2]
    low, high = (pick(ratios, key=ratios.get) for pick in (min, max))
    median = sorted(ratios.values())[3]  # the lower of the two in the middle
    (log,) = run.glob('*/*.log')
    extremes = f'{ratios[low]:.2g} in {low}, {ratios[high]:.2g} in {high}'
    assert f'in 8 blocks: median {median:.2g}, {extremes}' in log.read_text()
    assert ratios[high] > 1.2 * ratios[low]


def test_updates_without_generative_samples_have_no_ratio(toy_config, tmp_path):
    settings = QUICK.format(n=0) + WATCH.format(share='ratio', value=0.0)
    assert scalars(train(toy_config('finetune', settings), tmp_path / 'run')) == {}


def test_a_missing_content_gradient_is_logged(toy_config, tmp_path, monkeypatch):
    none = torch.full((len(BLOCKS),), torch.nan)
    monkeypatch.setattr(gradient_balance_hook, 'block_ratios', lambda update, blocks: none)
    settings = QUICK.format(n=0) + WATCH.format(share='ratio', value=0.5)
    run = train(toy_config('finetune', settings), tmp_path / 'run')
    (log,) = run.glob('*/*.log')
    assert log.read_text().count('no block has a gradient of the content loss') == 3
    assert scalars(run) == {}
