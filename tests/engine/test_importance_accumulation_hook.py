"""Importance of runs, against gradients by plain autograd."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
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
from toy_training import assert_same

from dtir_mm.engine import ImportanceAccumulationHook
from dtir_mm.engine.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from dtir_mm.registry import MODELS

PENALTY = "model['step']['regularizers'].update(importance={penalty})\n"
TOOL = 'dtir-mm accumulate-importance'


@pytest.fixture
def pretrained(toy_backbone, tmp_path) -> Path:
    """A checkpoint with random importance, whose weights differ from the anchor."""
    model = MODELS.build(dict(type='Restorer', backbone=toy_backbone))
    named = {name: p.detach().double() for name, p in model.named_parameters()}
    importance = {
        'omega': {name: torch.rand_like(value) * 1e-3 for name, value in named.items()},
        'anchor': {name: value + 0.01 * torch.randn_like(value) for name, value in named.items()},
        'batches': 17,
        'statistic': 'abs_gradient',
    }
    path = tmp_path / 'pretrained.pth'
    save_checkpoint({'state_dict': model.state_dict(), 'importance': importance}, path)
    return path


@pytest.mark.parametrize(('n_batches', 'window'), [(2, [2, 3]), (200, [0, 1, 2, 3])])
def test_omega_is_averaged_over_the_last_updates(toy_config, tmp_path, n_batches, window):
    path = toy_config('pretrain', QUICK.format(n=n_batches))
    run = train(path, tmp_path / 'run')
    updates = RecordingHook.updates
    reference = [absolute(gradients(path, updates[i])) for i in window]
    assert min(norm(gradient) for gradient in reference) > 0.1  # so not clipped to 1e-3
    at_end = carried(run, 4)
    importance = at_end.pop('importance')
    assert_close(importance['omega'], mean(reference))
    assert (importance['batches'], importance['statistic']) == (len(window), 'abs_gradient')
    state = load_checkpoint(run / 'iter_4.pth').weights
    assert_same(importance['anchor'], {name: state[name] for name in reference[0]})
    assert norm({n: state[n] - updates[3].weights[n] for n in reference[0]}) > 1e-4

    assert at_end == {}
    for done in range(1, window[0] + 1):
        assert carried(run, done) == {}
    so_far = carried(run, 3)
    assert so_far.keys() == {'importance_so_far'}
    assert so_far['importance_so_far']['batches'] == len(window) - 1
    assert_close(so_far['importance_so_far']['omega'], mean(reference[:-1]))


def test_importance_resumes_bit_exactly(toy_config, tmp_path):
    path = toy_config('pretrain', QUICK.format(n=3))
    whole = carried(train(path, tmp_path / 'whole'), 4)
    for stop_at in (1, 2, 3, None):  # before the window, and twice in it
        train(path, tmp_path / 'stopped', stop_at)
    assert_same(carried(tmp_path / 'stopped', 4), whole)


def test_a_longer_resumed_run_accumulates_at_its_new_end(toy_config, tmp_path):
    path = toy_config('pretrain', QUICK.format(n=2))
    train(path, tmp_path / 'run', stop_at=3)  # one update into the window
    longer = {'train_cfg.max_iters': 5}
    importance = carried(train(path, tmp_path / 'run', **longer), 5)['importance']
    reference = [absolute(gradients(path, RecordingHook.updates[i])) for i in (3, 4)]
    assert_close(importance['omega'], mean(reference))
    assert importance['batches'] == 2


@pytest.mark.parametrize('stage', ['pretrain', 'finetune'])
def test_load_from_an_unfinished_run_discards_its_sums(toy_config, tmp_path, stage):
    path = toy_config('pretrain', QUICK.format(n=2))
    unfinished = train(path, tmp_path / 'unfinished', stop_at=3) / 'iter_3.pth'
    path = toy_config(stage, QUICK.format(n=1 if stage == 'pretrain' else 0))
    short = {'load_from': str(unfinished), 'train_cfg.max_iters': 1}
    at_end = carried(train(path, tmp_path / 'run', **short), 1)
    if stage == 'finetune':
        assert at_end == {}
    else:
        assert_close(
            at_end['importance']['omega'], absolute(gradients(path, RecordingHook.updates[0]))
        )
        assert at_end['importance']['batches'] == 1


def test_fine_tuning_keeps_the_pretrained_importance(toy_config, tmp_path, pretrained):
    penalty = PENALTY.format(penalty=dict(type='ImportancePenalty', weight=0.2))
    path = toy_config('finetune', QUICK.format(n=0) + penalty)
    for stop_at in (2, None):
        train(path, tmp_path / 'run', stop_at, load_from=str(pretrained))
    former = load_checkpoint(pretrained).content['importance']
    for done in (1, 2, 3, 4):
        assert_same(carried(tmp_path / 'run', done), {'importance': former})

    drifts = []
    for update in RecordingHook.updates.values():  # two of them after resuming
        weights, losses = update.weights, update.losses
        delta = {name: weights[name] - anchor for name, anchor in former['anchor'].items()}
        sums = [float((former['omega'][name] * delta[name].abs()).sum()) for name in delta]
        expected = 0.2 * sum(s + s * s for s in sums) / 2
        assert float(losses['importance']) == pytest.approx(expected, rel=1e-6)
        assert float(losses['drift']) == pytest.approx(norm(delta), rel=1e-6)
        drifts.append(norm(delta))
    assert len(set(drifts)) == 4 and min(drifts) > 1


def test_importance_excludes_penalty_and_layer_decay(toy_config, tmp_path, pretrained):
    more = """
model['step'].update(mixing=dict(ratio=0.25))
model['step']['regularizers'].update(importance=dict(type='ImportancePenalty', weight=1e3))
default_hooks.update(layer_wise_decay=dict(type='LayerWiseDecayHook', gate='cut', fraction=0.0))
train_cfg.update(max_iters=2)
"""
    path = toy_config('finetune', QUICK.format(n=1) + more)
    run = train(path, tmp_path / 'run', load_from=str(pretrained))
    update = RecordingHook.updates[1]
    new = absolute(gradients(path, update, slice(1), slice(1, None)))
    former = load_checkpoint(pretrained).content['importance']['omega']
    joined = {name: (former[name] + new[name]) / 2 for name in new}
    assert_close(carried(run, 2)['importance']['omega'], joined)
    assert_same(carried(run, 1), {'importance': load_checkpoint(pretrained).content['importance']})


def start_fine_tuning(checkpoint: dict[str, Any] | None, form: str, backbone: dict) -> None:
    """Starts fine-tuning with a penalty of this form."""
    step = dict(
        objective=dict(type='Reconstruction'),
        regularizers=dict(importance=dict(type='ImportancePenalty', form=form)),
    )
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, step=step))
    hook = ImportanceAccumulationHook(n_batches=0)
    visualizer = SimpleNamespace(add_scalars=lambda *_: None)
    runner = SimpleNamespace(restorer=restorer, visualizer=visualizer, iter=0)
    if checkpoint is not None:
        hook.after_load_checkpoint(runner, Checkpoint.of(checkpoint, 'a.pth'))
    hook.before_train(runner)


def test_a_penalty_without_load_from_is_rejected(toy_config, tmp_path):
    penalty = PENALTY.format(penalty=dict(type='ImportancePenalty'))
    path = toy_config('finetune', QUICK.format(n=0) + penalty)
    with pytest.raises(CheckpointError, match=rf"form='pigwm'.*load_from .*{TOOL}, or set"):
        train(path, tmp_path / 'run')


def test_each_penalty_form_needs_its_statistic(pretrained, toy_backbone):
    checkpoint = load_checkpoint(pretrained).content
    bare = {'state_dict': checkpoint['state_dict']}
    fisher = {'importance': {**checkpoint['importance'], 'statistic': 'fisher'}}
    with pytest.raises(CheckpointError, match=rf"form='l2sp' .*carries it.*{TOOL}, or set"):
        start_fine_tuning(bare, 'l2sp', toy_backbone)
    with pytest.raises(CheckpointError, match=rf"'ewc' .*'fisher', .*'abs_gradient'.*{TOOL} --fis"):
        start_fine_tuning(checkpoint, 'ewc', toy_backbone)
    with pytest.raises(CheckpointError, match=rf"'diag2' .*'abs_mean', .*'fisher'.*{TOOL}$"):
        start_fine_tuning(fisher, 'diag2', toy_backbone)
    for fitting, form in ((bare, 'none'), (None, 'none'), (fisher, 'ewc'), (checkpoint, 'eq16')):
        start_fine_tuning(fitting, form, toy_backbone)
    for either in (checkpoint, fisher):
        start_fine_tuning(either, 'l2sp', toy_backbone)


@pytest.mark.parametrize('part', ['omega', 'anchor'])
def test_importance_of_another_network_is_rejected(pretrained, toy_backbone, part):
    for change, problem in (
        (lambda values: values.update(other=torch.zeros(2)), 'other'),
        (
            lambda values: values.update({'backbone.net.conv_out.bias': torch.zeros(4)}),
            r'backbone\.net\.conv_out\.bias: \(4,\) instead of \(3,\)',
        ),
    ):
        checkpoint = load_checkpoint(pretrained).content
        change(checkpoint['importance'][part])
        with pytest.raises(CheckpointError, match=f'importance .* of another network: {problem}'):
            start_fine_tuning(checkpoint, 'pigwm', toy_backbone)


def test_a_negative_number_of_batches_is_rejected():
    with pytest.raises(ValueError, match='n_batches=-1 must be at least 0'):
        ImportanceAccumulationHook(n_batches=-1)
