"""Validation of checkpoints and their metadata."""

import pytest
import torch

from dtir_mm.engine.checkpoint import Checkpoint, CheckpointError
from dtir_mm.engine.checkpoint_meta import CheckpointMeta

META = dict(
    iter=5, seed=0, precision='fp32', objective='content', config_json='{}', tasks=['rainy'],
    timesteps={'rainy': 8}, fixed_timestep=None, global_batch=8,
)  # fmt: skip
IMPORTANCE = {'omega': {}, 'anchor': {}, 'statistic': 'abs_gradient'}
OPTIMIZER = {'state': {}, 'param_groups': [{'params': [0], 'lr': 0.1}]}
REST = {
    'state_dict': {}, 'optimizer': OPTIMIZER, 'param_schedulers': [], 'importance': IMPORTANCE,
}  # fmt: skip
WHOLE = {'meta': META, **REST}


def with_meta(**changes) -> dict:
    return {'meta': {**META, **changes}, **REST}


def test_a_complete_checkpoint_is_accepted():
    checkpoint = Checkpoint.of(WHOLE, 'a.pth')
    checkpoint.require_resumable()
    for name, value in META.items():
        assert getattr(checkpoint.meta, name) == value, name
    assert Checkpoint.of(with_meta(iter=0, fixed_timestep=8), 'a.pth').timesteps == 'fixed:8'


@pytest.mark.parametrize(
    ('checkpoint', 'message'),
    [
        ({'meta': 'abc', 'state_dict': {}}, "its meta is 'abc', but must be a dict"),
        ({'meta': [1] * 10**6}, r'its meta is \[1, 1, 1, .*\.\.\.\], but'),
        (with_meta(iter='abc'), "meta.iter is 'abc', but must be of type int"),
        (with_meta(iter=True), 'meta.iter is True, but must be of type int'),
        (with_meta(iter=float('nan')), 'meta.iter is nan'),
        (with_meta(iter=10**12), r'meta.iter is 1000000000000, but must lie in 0\.\.1000000000'),
        (with_meta(iter=10**6000), 'meta.iter is a number of 19932 bits'),
        (with_meta(iter=-4), 'meta.iter is -4, but must lie in 0..'),
        (with_meta(global_batch=0), 'meta.global_batch is 0, but must lie in 1..'),
        (with_meta(seed=None), 'meta.seed is None'),
        (with_meta(timesteps='abc'), 'meta.timesteps is .* type dict'),
        (with_meta(fixed_timestep='8'), 'meta.fixed_timestep is .* type int or None'),
        (with_meta(tasks='rainy'), 'meta.tasks is .* type list'),
        (with_meta(tasks=[['rainy']]), 'a task in its meta.tasks is .* type str'),
        (with_meta(stage=['a']), 'meta.stage is .* type str'),
        ({**WHOLE, 'state_dict': [1]}, r'its state_dict is \[1\], but must be of type dict'),
        ({**WHOLE, 'importance': 'x'}, "its importance is 'x'"),
        ({**WHOLE, 'importance': {'omega': {}}}, 'its importance.anchor is None'),
        (
            {**WHOLE, 'importance': {**IMPORTANCE, 'omega': {'w': 'x'}}},
            r"its importance.omega\['w'\] is 'x', but must be of type Tensor",
        ),
        ({**WHOLE, 'importance_so_far': {'omega': {}}}, 'importance_so_far.batches is None'),
    ],
)
def test_invalid_entries_are_one_line_errors(checkpoint, message):
    with pytest.raises(CheckpointError, match=message) as raised:
        Checkpoint.of(checkpoint, 'a.pth')
    assert str(raised.value).startswith('a.pth: ') and len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ('checkpoint', 'message'),
    [
        ({**WHOLE, 'optimizer': {'x': 1}}, 'its optimizer.state is None, but must be of type dict'),
        ({**WHOLE, 'optimizer': {**OPTIMIZER, 'param_groups': [3]}}, 'optimizer.param_groups is 3'),
        ({**WHOLE, 'optimizer': {**OPTIMIZER, 'param_groups': [{}]}}, 'params in its optimizer'),
        ({**WHOLE, 'param_schedulers': 'x'}, "its param_schedulers is 'x'"),
        ({**WHOLE, 'param_schedulers': [1]}, 'a part of its param_schedulers is 1'),
        (with_meta(loss_watch='x'), "its meta.loss_watch is 'x', but must be of type dict"),
        (with_meta(loss_watch={'lowest': 'a'}), "loss_watch.lowest is 'a', .* float or None"),
        (with_meta(loss_watch={'good': 3}), 'loss_watch.good is 3, .* str or None'),
    ],
)
def test_invalid_training_state_is_rejected_on_resume(checkpoint, message):
    broken = Checkpoint.of(checkpoint, 'a.pth')
    with pytest.raises(CheckpointError, match=message) as raised:
        broken.require_resumable()
    assert str(raised.value).startswith('a.pth: ')


def test_weights_of_other_code_bases_have_no_meta():
    for content in (
        {'w': torch.ones(1)},
        {'state_dict': {}, 'meta': {'iter': 'late', 'epoch': 3}},  # mmengine's, say
    ):
        checkpoint = Checkpoint.of(content, 'a.pth')
        assert checkpoint.meta == CheckpointMeta() and not checkpoint.meta.is_ours
        assert checkpoint.pretraining_warning is None
        with pytest.raises(CheckpointError, match='it holds only weights.*load_from'):
            checkpoint.require_resumable()


@pytest.mark.parametrize('missing', ['optimizer', 'param_schedulers', 'state_dict'])
def test_an_incomplete_checkpoint_is_rejected_on_resume(missing):
    partial = {key: value for key, value in WHOLE.items() if key != missing}
    with pytest.raises(CheckpointError, match=f'it lacks {missing}.*load_from'):
        Checkpoint.of(partial, 'a.pth').require_resumable()
    without_seed = {**WHOLE, 'meta': {k: v for k, v in META.items() if k != 'seed'}}
    with pytest.raises(CheckpointError, match='it lacks meta.seed'):
        Checkpoint.of(without_seed, 'a.pth').require_resumable()


def test_pre_training_checkpoints_have_a_warning():
    assert Checkpoint.of(WHOLE, 'a.pth').pretraining_warning is None
    for objective in ('noise', 'denoising'):
        warning = Checkpoint.of(with_meta(objective=objective), 'a.pth').pretraining_warning
        assert warning.startswith('a.pth is a pre-training checkpoint') and objective in warning
