"""Importance before the first update, as in the released code, and as |mean gradient|."""

import itertools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from recorded_runs import (
    QUICK,
    RecordingHook,
    absolute,
    assert_close,
    carried,
    gradients,
    mean,
    norm,
    train,
)
from torch import Tensor
from toy_training import assert_same

from dtir_mm.datasets.base_dataset import SampleKey
from dtir_mm.engine import ImportanceAccumulationHook
from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint
from dtir_mm.engine.iteration_sampler import IterationSampler
from dtir_mm.randomness import seed_of
from dtir_mm.registry import DATASETS, MODELS

# L_reg is part of every update: its value depends on omega and the anchor.
RELEASED = QUICK + (
    "model['step'].update(regularizers=dict(importance=dict(share=1.0)), "
    'mixing=dict(probability=0.5))\n'
)


@pytest.fixture
def loaded(toy_backbone, tmp_path) -> Path:
    """A checkpoint to fine-tune, with an importance that must not be used."""
    model = MODELS.build(dict(type='Restorer', backbone=toy_backbone)).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    named = {name: p.detach() for name, p in model.named_parameters()}
    importance = dict(
        omega={name: torch.ones_like(p) for name, p in named.items()},
        anchor={name: torch.zeros_like(p) for name, p in named.items()},
        batches=9, statistic='abs_gradient',
    )  # fmt: skip
    save_checkpoint(
        {'state_dict': model.state_dict(), 'importance': importance}, tmp_path / 'loaded.pth'
    )
    return tmp_path / 'loaded.pth'


def omega_by_hand(path: Path, weights: Path, batches: int) -> dict[str, Tensor]:
    """The mean |gradient| of ``mean |x_t - f(x_t, t) - x_0|`` on the run's first batches."""
    config = Config.fromfile(path)
    restorer = MODELS.build(config.model).double().train()
    restorer.load_state_dict(load_checkpoint(weights).weights)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    keys = iter(IterationSampler(dataset, seed=0, batch_size=4))
    theta = torch.linspace(1e-4, 2e-2, 51, dtype=torch.float64) * 1000 / 51
    elapsed = theta.cumsum(0) - theta[0]
    decay = -torch.log(torch.tensor(0.005, dtype=torch.float64)) / elapsed[-1]
    sigma = 10 / 255 * (1 - torch.exp(-2 * elapsed * decay)).sqrt()
    total = {name: 0 for name, _ in restorer.named_parameters()}
    for _ in range(batches):
        losses = []
        for key in itertools.islice(keys, 4):
            assert isinstance(key, SampleKey)
            clean = dataset[key]['clean'].double()[None] / 255
            rng = torch.Generator().manual_seed(seed_of(*key[:3], 'noise'))
            t = torch.randint(1, 51, (), generator=rng)[None]
            noise = torch.randn(clean.shape[1:], generator=rng)[None].double()
            noisy = clean + sigma[t] * noise
            losses.append(
                (noisy - restorer.backbone.predict_residual(noisy, t, False) - clean).abs().mean()
            )
        named = dict(restorer.named_parameters())
        grads = torch.autograd.grad(torch.stack(losses).mean(), list(named.values()))
        for name, gradient in zip(named, grads, strict=True):
            total[name] = total[name] + gradient.abs() / batches
    return total


def test_omega_is_of_denoising_the_ground_truth(toy_config, tmp_path, loaded):
    path = toy_config('finetune', RELEASED.format(n=3), recipe='released')
    run = train(path, tmp_path / 'run', load_from=str(loaded))
    importance = carried(run, 1)['importance']
    assert (importance['batches'], importance['statistic']) == (3, 'abs_gradient')
    assert_close(importance['omega'], omega_by_hand(path, loaded, 3))
    anchor = load_checkpoint(loaded).weights
    assert_same(importance['anchor'], {name: anchor[name] for name in importance['anchor']})
    assert norm(importance['omega']) > 1e-3


def test_the_anchor_is_the_loaded_weights_also_after_resuming(toy_config, tmp_path, loaded):
    path = toy_config('finetune', RELEASED.format(n=2), recipe='released')
    for stop_at in (2, None):
        train(path, tmp_path / 'run', stop_at, load_from=str(loaded))
    omega, anchor = omega_by_hand(path, loaded, 2), load_checkpoint(loaded).weights
    values, updates = [], RecordingHook.updates
    for i in range(4):
        delta = {name: updates[i].weights[name] - anchor[name] for name in omega}
        pull = [omega[n] * d.abs() + 0.5 * (omega[n] * d).square() for n, d in delta.items()]
        values.append(0.2 * float(sum(part.sum() for part in pull)))
        assert float(updates[i].losses['importance']) == pytest.approx(values[i], rel=1e-6)
        assert float(updates[i].losses['drift']) == pytest.approx(norm(delta), rel=1e-6)
    assert values[0] == 0 < values[1] < values[3]
    whole = train(path, tmp_path / 'whole', load_from=str(loaded))
    for run in (tmp_path / 'run', whole):
        assert_same(carried(run, 4), carried(whole, 1))
    states = [load_checkpoint(run).weights for run in (tmp_path / 'run', whole)]
    assert_same(*map(dict, states))


def test_accumulation_does_not_change_the_batches_of_training(toy_config, tmp_path, loaded):
    batches = []
    for n, workers in ((1, 0), (3, 2)):
        more = f'train_dataloader.update(num_workers={workers})\n'
        path = toy_config('finetune', RELEASED.format(n=n) + more, recipe='released')
        train(path, tmp_path / f'run{n}', load_from=str(loaded))
        batches.append([RecordingHook.updates[i].batch for i in range(4)])
    assert_same(*batches)


def test_accumulation_at_the_start_needs_mixing(toy_config, tmp_path):
    more = "model['step'].update(mixing=None)\n"
    path = toy_config('finetune', QUICK.format(n=2) + more, recipe='released')
    with pytest.raises(ValueError, match=r'when="start".* needs model\.step\.mixing'):
        train(path, tmp_path / 'run')


def test_abs_mean_is_the_absolute_value_of_the_mean_gradient(toy_config, tmp_path):
    more = "default_hooks['importance'].update(statistic='abs_mean')\n"
    path = toy_config('pretrain', QUICK.format(n=3) + more)
    run = train(path, tmp_path / 'run')
    reference = [gradients(path, RecordingHook.updates[i]) for i in (1, 2, 3)]
    importance = carried(run, 4)['importance']
    assert importance['statistic'] == 'abs_mean'
    assert_close(importance['omega'], absolute(mean(reference)))
    other = mean([absolute(gradient) for gradient in reference])
    weights = torch.cat([(importance['omega'][n] / other[n]).flatten() for n in other])
    assert (weights < 0.9).double().mean() > 0.1  # gradients change their signs

    # Resuming within the window continues the signed sums.
    train(path, tmp_path / 'stopped', 3)
    train(path, tmp_path / 'stopped')
    assert_same(carried(tmp_path / 'stopped', 4), carried(run, 4))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [(dict(when='middle'), "when='middle'"), (dict(statistic='mean'), "statistic='mean'")],
)
def test_unknown_settings_are_rejected(settings, message):
    with pytest.raises(ValueError, match=message):
        ImportanceAccumulationHook(**settings)
