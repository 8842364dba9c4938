"""The ratio of both gradients in each block, against plain autograd at an update's weights."""

import json

import pytest
import torch
from mmengine.config import Config
from recorded_runs import QUICK, RecordingHook, norm, train

from dtir_mm.engine.hooks import gradient_balance_hook
from dtir_mm.registry import MODELS

BLOCKS = {  # of the toy network, and what belongs to each
    'stem': ('net.stem.', 'time_embedding.'),
    'encoders.0.0': ('net.encoders.0.0.', 'films.encoders_0_0.'),
    'downs.0': ('net.downs.0.',),
    'middle.0': ('net.middle.0.', 'films.middle_0.'),
    'ups.0': ('net.ups.0.',),
    'decoders.0.0': ('net.decoders.0.0.', 'films.decoders_0_0.'),
    'norm_out': ('net.norm_out.',),
    'conv_out': ('net.conv_out.',),
}
WATCH = """
train_cfg.update(max_iters=3)
visualizer = dict(
    _delete_=True, type='ScalarVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
model['step'].update(mixing=dict({share}={value}))
default_hooks.update(balance=dict(type='GradientBalanceHook'))
"""


@pytest.fixture(autouse=True)
def updates(monkeypatch) -> dict:
    monkeypatch.setattr(gradient_balance_hook, 'INTERVAL', 1)
    monkeypatch.setattr(RecordingHook, 'updates', {})
    monkeypatch.setattr(RecordingHook, 'stop_at', None)
    return RecordingHook.updates


def scalars(work_dir) -> dict[int, dict[str, float]]:
    """What was logged of the balance, by the update."""
    files = work_dir.glob('*/vis_data/scalars.json')  # of three updates nothing else is logged
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return {
        row['step']: {n.removeprefix('balance/'): v for n, v in row.items() if '/' in n}
        for row in rows
        if any(name.startswith('balance/') for name in row)
    }


def gradient_of(path, update, kind: str, samples: slice) -> dict[str, torch.Tensor]:
    restorer = MODELS.build(Config.fromfile(path).model)
    restorer.set_precision('fp64')
    restorer.load_state_dict(update.weights)
    batch = restorer.train().data_preprocessor({**update.batch})
    step = restorer.step
    objective = step.mixing.objective if kind == 'mixed' else step.objective
    (objective.losses(restorer, batch).total[samples].sum() / 4).backward()
    return {
        name.removeprefix('backbone.'): torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in restorer.named_parameters()
    }


@pytest.mark.parametrize(
    ('recipe', 'share', 'value', 'mixed', 'main'),
    [
        ('paper', 'ratio', 0.5, slice(0, 2), slice(2, 4)),
        ('released', 'probability', 1.0, slice(0, 4), slice(0, 4)),
    ],
)
def test_ratios_are_those_of_plain_autograd(
    toy_config, tmp_path, monkeypatch, updates, recipe, share, value, mixed, main
):
    monkeypatch.setattr(gradient_balance_hook, 'INTERVAL', 2)
    settings = QUICK.format(n=0 if recipe == 'paper' else 1)
    settings += WATCH.format(share=share, value=value)
    path = toy_config('finetune', settings, recipe=recipe)
    run = train(path, tmp_path / 'run')
    logged = scalars(run)
    assert sorted(logged) == [0, 2]
    for iteration, ratios in logged.items():
        generative = gradient_of(path, updates[iteration], 'mixed', mixed)
        content = gradient_of(path, updates[iteration], 'main', main)
        assert list(ratios) == list(BLOCKS)
        for block, prefixes in BLOCKS.items():
            sizes = [
                norm({name: g for name, g in gradients.items() if name.startswith(prefixes)})
                for gradients in (generative, content)
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


def test_without_a_gradient_of_the_content_loss_there_is_nothing_to_compare(
    toy_config, tmp_path, monkeypatch
):
    none = torch.full((len(BLOCKS),), torch.nan)
    monkeypatch.setattr(gradient_balance_hook, 'block_ratios', lambda update, places: none)
    settings = QUICK.format(n=0) + WATCH.format(share='ratio', value=0.5)
    run = train(toy_config('finetune', settings), tmp_path / 'run')
    (log,) = run.glob('*/*.log')
    assert log.read_text().count('no block has a gradient of the content loss') == 3
    assert scalars(run) == {}
