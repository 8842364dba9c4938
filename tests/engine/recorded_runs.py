"""Short runs of which every update is kept, and what plain autograd makes of them."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import Tensor

from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import HOOKS, MODELS, RUNNERS

# Four updates without validation, each with a checkpoint; gradients are clipped to almost nothing.
QUICK = """
train_cfg.update(max_iters=4)
train_dataloader.update(num_workers=0)
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
visualizer = dict(_delete_=True, type='ScalarVisualizer')
optim_wrapper = dict(clip_grad=dict(max_norm=1e-3))
custom_hooks = [dict(type='RecordingHook')]
precision = 'fp64'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep=10), layer_wise_decay=None, importance=dict(n_batches={n})
)
"""


class Stopped(Exception):
    pass


@HOOKS.register_module()
class RecordingHook(Hook):
    """Keeps each update's batch, the weights that it starts from, and its losses; stops a run."""

    updates: dict[int, SimpleNamespace] = {}
    stop_at: int | None = None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.stop_at:
            raise Stopped
        weights = copy.deepcopy(runner.restorer.state_dict())
        self.updates[runner.iter] = SimpleNamespace(
            batch=copy.deepcopy(data_batch), weights=weights
        )

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.updates[runner.iter].losses = outputs


def train(path: Path, work_dir: Path, stop_at: int | None = None, **more) -> Path:
    """Trains, until an update if one is named; resumes what lies there. Gives the directory."""
    config = Config.fromfile(path)
    resume = work_dir.exists()
    config.merge_from_dict({'work_dir': str(work_dir), 'resume': resume, **more})
    config.experiment_name = f'{work_dir}_{stop_at}_{resume}'
    RecordingHook.stop_at = stop_at
    try:
        RUNNERS.build(config).train()
    except Stopped:
        assert stop_at is not None
    return work_dir


def carried(work_dir: Path, iteration: int) -> dict[str, Any]:
    """What a checkpoint has about importance."""
    checkpoint = load_checkpoint(work_dir / f'iter_{iteration}.pth').content
    return {name: value for name, value in checkpoint.items() if name.startswith('importance')}


def gradients(path: Path, update: SimpleNamespace, num_generative: int = 4) -> dict[str, Tensor]:
    """The gradient of the mean loss of four samples, the first of which are generative."""
    restorer = MODELS.build(Config.fromfile(path).model)
    restorer.set_precision('fp64')
    restorer.load_state_dict(update.weights)
    batch = restorer.train().data_preprocessor(copy.deepcopy(update.batch))
    step = restorer.step
    noise = step.objective if step.mixing is None else step.mixing.objective
    loss = noise.losses(restorer, batch).total[:num_generative].sum() / 4
    if num_generative < 4:
        loss = loss + step.objective.losses(restorer, batch).total[num_generative:].sum() / 4
    loss.backward()
    return {name: parameter.grad for name, parameter in restorer.named_parameters()}


def absolute(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.abs() for name, tensor in tensors.items()}


def mean(dicts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: sum(d[name] for d in dicts) / len(dicts) for name in dicts[0]}


def norm(tensors: dict[str, Tensor]) -> float:
    return float(torch.cat([tensor.flatten() for tensor in tensors.values()]).norm())


def assert_close(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-10)
