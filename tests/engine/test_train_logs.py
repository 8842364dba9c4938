"""Logged losses are averaged over the last updates."""

import json

import pytest
from toy_training import train


def scalars(config_path, work_dir) -> list[dict]:
    train(config_path, work_dir)
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(('recipe', 'name'), [('paper', 'noise'), ('released', 'denoising')])
def test_only_training_losses_are_averaged_over_the_window(toy_config, tmp_path, recipe, name):
    every = 'default_hooks = dict(logger=dict(interval={}))\nlog_processor = dict(window_size={})\n'
    every += 'train_dataloader.update(num_workers=0)\nval_dataloader.update(num_workers=0)\n'
    each = scalars(toy_config('pretrain', every.format(1, 1), recipe), tmp_path / 'each')
    window = scalars(toy_config('pretrain', every.format(10, 10), recipe), tmp_path / 'window')
    losses = [row[name] for row in each if name in row]
    assert len(losses) == 10
    assert losses[-1] != pytest.approx(sum(losses) / 10, rel=1e-4)
    last = [row[name] for row in window if name in row][-1]
    assert last == pytest.approx(sum(losses) / 10, rel=1e-6)

    validated = f'val_{name}_loss'
    validations = [[row[validated] for row in run if validated in row]
                   for run in (each, window)]  # fmt: skip
    assert len(validations[0]) == 3 and len(set(validations[0])) == 3
    assert validations[0] == pytest.approx(validations[1], rel=1e-6)
