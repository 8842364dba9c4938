"""Short runs that record every update, and their gradients by plain autograd."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import Tensor
from toy_training import FAST, build_runner

from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import HOOKS, MODELS

# Four updates, each with a checkpoint; gradients are clipped to almost nothing.
QUICK = f"""{FAST}
train_cfg.update(max_iters=4)
optim_wrapper = dict(clip_grad=dict(max_norm=1e-3))
custom_hooks = [dict(type='RecordingHook')]
precision = 'fp64'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep=10), layer_wise_decay=None,
    importance=dict(n_batches={{n}}),
)
"""


class Stopped(Exception):
    pass


@HOOKS.register_module()
class RecordingHook(Hook):
    """Records the state before each update and its losses; can stop a run."""

    priority = 'LOW'
    updates: dict[int, SimpleNamespace] = {}
    validated: list[int] = []
    stop_at: int | str | None = None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.stop_at == runner.iter:
            raise Stopped
        optimizer = runner.optim_wrapper.optimizer
        self.updates[runner.iter] = SimpleNamespace(
            batch=copy.deepcopy(data_batch),
            weights=copy.deepcopy(runner.restorer.state_dict()),
            moments=len(optimizer.state),
            rates=[group['lr'] for group in optimizer.param_groups],
            names=list(runner.restorer.named_trained_parameters()),
            layer_decay=copy.deepcopy(runner.restorer.step.layer_decay),
        )

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.updates[runner.iter].losses = outputs

    def before_val(self, runner):
        if self.stop_at == f'validation {runner.iter}':
            raise Stopped
        self.validated.append(runner.iter)


def train(path: Path, work_dir: Path, stop_at: int | str | None = None, **changes) -> Path:
    """Trains, or resumes the run in ``work_dir``; returns that folder.

    ``RecordingHook.updates`` then has the updates of the whole run, ``validated`` those after which
    this call validated. ``stop_at`` is 3 for before update 3, "validation 4" for before validation.
    """
    resume = changes.setdefault('resume', work_dir.exists())
    RecordingHook.stop_at, RecordingHook.validated = stop_at, []
    if not resume:
        RecordingHook.updates = {}
    runner = build_runner(path, work_dir, **changes)
    try:
        runner.train()
    except Stopped:
        assert stop_at is not None
    return work_dir


def carried(work_dir: Path, iteration: int) -> dict[str, Any]:
    """The entries of a checkpoint about importance."""
    checkpoint = load_checkpoint(work_dir / f'iter_{iteration}.pth').content
    return {name: value for name, value in checkpoint.items() if name.startswith('importance')}


def gradients(
    path: Path, update: SimpleNamespace, mixed: slice = slice(0), main: slice = slice(None)
) -> dict[str, Tensor]:
    """The gradient of the batch's mean loss over its mixed and main samples, by plain autograd."""
    restorer = MODELS.build(Config.fromfile(path).model)
    restorer.set_precision('fp64')
    restorer.load_state_dict(update.weights)
    batch = restorer.train().data_preprocessor(copy.deepcopy(update.batch))
    loss = torch.zeros(())
    for objective, samples in (
        (restorer.step.mixing and restorer.step.mixing.objective, mixed),
        (restorer.step.objective, main),
    ):
        if samples != slice(0):
            losses = objective.losses(restorer, batch).total
            loss = loss + losses[samples].sum() / len(losses)
    loss.backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in restorer.named_parameters()
    }


def absolute(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.abs() for name, tensor in tensors.items()}


def mean(dicts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: sum(d[name] for d in dicts) / len(dicts) for name in dicts[0]}


def norm(tensors: dict[str, Tensor]) -> float:
    return float(torch.cat([tensor.flatten() for tensor in tensors.values()]).norm())


def assert_close(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-10)
