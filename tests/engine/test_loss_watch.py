"""Which checkpoint counts as the last good one."""

import pytest
import torch

from dtir_mm.engine.loss_watch import UPDATES, LossWatch


def run(watch: LossWatch, losses: list[float], newest: str) -> str | None:
    """Saves a checkpoint after some updates; returns the last good one."""
    for loss in losses:
        watch.add(torch.tensor(loss))
    watch.judge(newest)
    return watch.good


def test_a_checkpoint_is_good_if_training_did_not_diverge_after_it():
    watch = LossWatch()
    assert run(watch, [1.0, 0.9], 'a') is None
    assert run(watch, [0.8, 0.1, 0.8], 'b') == 'a'
    assert run(watch, [0.08, 7.9, 7.9], 'c') == 'b'  # below ten times 0.8
    assert watch.state() == {'good': 'b', 'lowest': pytest.approx(0.8)}
    for name in ('d', 'e', 'f'):  # finite, and diverged
        assert run(watch, [0.5, 8.1, 1e30], name) == 'b'
    assert run(watch, [0.5, 0.5, 1e30], 'g') == 'f'  # it recovered


def test_the_losses_right_after_a_checkpoint_decide():
    watch = LossWatch('a', lowest=1.0)
    assert run(watch, [1.0] * UPDATES + [1e9] * 5 * UPDATES, 'b') == 'a'
    assert run(watch, [1e9] * UPDATES + [1.0] * 5 * UPDATES, 'c') == 'a'


def test_missing_losses_and_new_tasks():
    watch = LossWatch('b', good='a', lowest=0.01)
    watch.add(None)
    watch.judge('c')
    assert (watch.good, watch.newest) == ('a', 'c')
    watch.add(torch.tensor(0.02))
    watch.forget_lowest()
    assert run(watch, [5.0], 'd') == 'c'
    assert watch.lowest == 5.0
