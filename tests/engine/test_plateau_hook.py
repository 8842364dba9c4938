"""A run that only reproduces its input gets one warning; one that learns gets none."""

from types import SimpleNamespace

import pytest
import torch
from toy_training import FAST, build_runner

from dtir_mm.engine import PlateauHook
from dtir_mm.engine.hooks import plateau_hook

QUICK = f"""{FAST}
train_cfg.update(max_iters={{updates}})
default_hooks.update(balance=None)
param_scheduler = None
optim_wrapper = dict(optimizer=dict(lr={{rate}}))
"""


def train(path, work_dir) -> tuple[list[str], list[tuple[float, float]]]:
    """A run's plateau warnings, and its content losses with those of the input."""
    runner = build_runner(path, work_dir)
    warnings, losses = [], []
    runner.logger.warning = warnings.append
    step = runner.model.train_step

    def watched(*args, **kwargs):
        logged = step(*args, **kwargs)
        losses.append((float(logged['content']), float(logged['content_of_input'])))
        return logged

    runner.model.train_step = watched
    runner.train()
    return [text for text in warnings if 'plateau' in text], losses


def test_a_run_that_reproduces_its_input_gets_one_warning(toy_config, tmp_path, monkeypatch):
    monkeypatch.setattr(plateau_hook, 'WINDOW', 3)
    more = QUICK.format(updates=6, rate=1e-9)
    zero = "model['backbone'] = dict(model['backbone'], restoration_head=True)\n"
    (text,), losses = train(toy_config('finetune', more + zero), tmp_path / 'run')
    own, of_input = (sum(pair[i] for pair in losses[:3]) / 3 for i in (0, 1))
    assert own == pytest.approx(of_input, rel=1e-5)
    assert f'over the last 3 updates the content loss of rainy is {own:.4g}, ' in text
    assert f'that of the unchanged input {of_input:.4g}' in text


def test_content_of_input_is_the_content_loss_of_the_degraded_images(toy_config, tmp_path):
    runner = build_runner(toy_config('finetune', recipe='released'), tmp_path)
    restorer, losses = runner.restorer, runner.restorer.step.objective
    rng = torch.Generator().manual_seed(0)
    degraded, clean = torch.rand(2, 5, 3, 16, 16, generator=rng)
    batch = dict(degraded=degraded, clean=clean, task=['rainy'] * 5)
    parts = losses.losses(restorer, batch).parts
    difference = degraded - clean
    expected = difference.abs().mean((1, 2, 3))
    expected = expected + 0.1 * torch.fft.fft2(difference).abs().mean((1, 2, 3))
    torch.testing.assert_close(parts['content_of_input'], expected)


@pytest.mark.parametrize('recipe', ['paper', 'released'])
def test_a_run_that_learns_gets_no_warning(toy_config, tmp_path, monkeypatch, recipe):
    monkeypatch.setattr(plateau_hook, 'WINDOW', 30)
    more = QUICK.format(updates=30, rate=5e-3)
    dark = "train_dataloader['dataset'].update(task='low_light')\n"
    warnings, losses = train(toy_config('finetune', more + dark, recipe=recipe), tmp_path / 'run')
    assert sum(own / of_input for own, of_input in losses[20:]) / 10 < 0.8
    assert warnings == []


def test_the_window_and_the_tolerance(monkeypatch):
    monkeypatch.setattr(plateau_hook, 'WINDOW', 4)
    monkeypatch.setattr(plateau_hook, 'TOLERANCE', 0.1)
    warnings, tasks = [], {7: ['rainy', 'hazy']}
    loop = SimpleNamespace(schedule=SimpleNamespace(tasks_at=tasks.__getitem__))
    logger = SimpleNamespace(warning=warnings.append)
    runner = SimpleNamespace(iter=7, train_loop=loop, logger=logger)
    hook = PlateauHook()

    def update(content: float) -> int:
        outputs = {'content': torch.tensor(content), 'content_of_input': torch.tensor(1.0)}
        hook.after_train_iter(runner, 0, outputs=outputs)
        return len(warnings)

    # Fewer updates than the window, and then a mean of 0.89, more than 10 % below the input's.
    assert [update(content) for content in (0.80, 1.02, 0.90, 0.84)] == [0] * 4
    assert update(0.88) == 1  # a mean of 0.91, without the first
    assert 'the content loss of rainy, hazy is 0.91, ' in warnings[0]
    assert [update(1.0) for _ in range(9)] == [1] * 9
