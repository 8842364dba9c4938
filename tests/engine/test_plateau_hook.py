"""A run that gives its input back is told so, once; one that learns is not."""

import pytest
import torch
from mmengine.config import Config

from dtir_mm.engine import PlateauHook
from dtir_mm.engine.hooks import plateau_hook
from dtir_mm.models.objectives import Reconstruction
from dtir_mm.registry import RUNNERS

QUICK = """
train_cfg.update(max_iters={updates})
train_dataloader.update(num_workers=0)
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
visualizer = dict(_delete_=True, type='ScalarVisualizer')
default_hooks.update(balance=None)
param_scheduler = None
optim_wrapper = dict(optimizer=dict(lr={rate}))
"""


def train(path, work_dir) -> tuple[list[str], list[tuple[float, float]]]:
    """The warnings of a run, and its content losses with those of the input."""
    config = Config.fromfile(path)
    config.work_dir, config.experiment_name = str(work_dir), str(work_dir)
    runner = RUNNERS.build(config)
    said, losses = [], []
    runner.logger.warning = said.append
    step = runner.model.train_step

    def watched(*args, **kwargs):
        logged = step(*args, **kwargs)
        losses.append((float(logged['content']), float(logged['content_of_input'])))
        return logged

    runner.model.train_step = watched
    runner.train()
    return [text for text in said if 'plateau' in text], losses


def test_a_run_that_gives_its_input_back_is_warned_of_once(toy_config, tmp_path, monkeypatch):
    monkeypatch.setattr(plateau_hook, 'WINDOW', 3)
    more = QUICK.format(updates=6, rate=1e-9)
    zero = "model['backbone'] = dict(model['backbone'], restoration_head=True)\n"
    said, losses = train(toy_config('finetune', more + zero), tmp_path / 'run')
    (text,) = said
    own, of_input = (sum(pair[i] for pair in losses[:3]) / 3 for i in (0, 1))
    assert own == pytest.approx(of_input, rel=1e-5)
    assert f'over the last 3 updates the content loss of rainy is {own:.4g}, ' in text
    assert f'that of the unchanged input {of_input:.4g}' in text


def test_the_loss_of_the_input_is_that_of_the_batch(toy_config, tmp_path):
    """By the definition of the content loss, over the recorded batch."""
    config = Config.fromfile(toy_config('finetune', recipe='released'))
    losses = Reconstruction(config.model.step.objective.losses)
    restorer = RUNNERS.build(dict(config, work_dir=str(tmp_path))).restorer
    rng = torch.Generator().manual_seed(0)
    degraded, clean = torch.rand(2, 5, 3, 16, 16, generator=rng)
    batch = dict(degraded=degraded, clean=clean, task=['rainy'] * 5)
    parts = losses.losses(restorer, batch).parts
    difference = degraded - clean
    expected = difference.abs().mean((1, 2, 3))
    expected = expected + 0.1 * torch.fft.fft2(difference).abs().mean((1, 2, 3))
    torch.testing.assert_close(parts['content_of_input'], expected)


@pytest.mark.parametrize('recipe', ['paper', 'released'])
def test_a_run_that_learns_is_not(toy_config, tmp_path, monkeypatch, recipe):
    monkeypatch.setattr(plateau_hook, 'WINDOW', 30)
    more = QUICK.format(updates=30, rate=5e-3)
    dark = "train_dataloader['dataset'].update(task='low_light')\n"
    said, losses = train(toy_config('finetune', more + dark, recipe=recipe), tmp_path / 'run')
    ends = [
        sum(own / of_input for own, of_input in part) / 10 for part in (losses[:10], losses[20:])
    ]
    assert ends[1] < 0.8
    assert said == []


def update(hook: PlateauHook, own: float, of_input: float, runner) -> None:
    outputs = {'content': torch.tensor(own), 'content_of_input': torch.tensor(of_input)}
    hook.after_train_iter(runner, 0, outputs=outputs)


class Runner:
    """What the hook reads."""

    iter = 7

    def __init__(self) -> None:
        self.train_loop = self.schedule = self.logger = self
        self.said: list[str] = []

    def tasks_at(self, iteration: int) -> list[str]:
        assert iteration == 7
        return ['rainy', 'hazy']

    def warning(self, text: str) -> None:
        self.said.append(text)


def test_the_window_the_tolerance_and_the_tasks(monkeypatch):
    monkeypatch.setattr(plateau_hook, 'WINDOW', 4)
    monkeypatch.setattr(plateau_hook, 'TOLERANCE', 0.1)
    runner, hook = Runner(), PlateauHook()
    for own in (0.80, 0.90, 0.92, 0.94):  # their mean is .89: learnt more than 10 %
        update(hook, own, 1.0, runner)
    assert runner.said == []
    update(hook, 0.88, 1.0, runner)  # .91, without the first
    assert len(runner.said) == 1
    assert 'the content loss of rainy, hazy is 0.91, ' in runner.said[0]
    for _ in range(9):
        update(hook, 1.0, 1.0, runner)
    assert len(runner.said) == 1


def test_fewer_updates_than_the_window_are_not_judged():
    runner, hook = Runner(), PlateauHook()
    for _ in range(plateau_hook.WINDOW - 1):
        update(hook, 1.0, 1.0, runner)
    assert runner.said == []
