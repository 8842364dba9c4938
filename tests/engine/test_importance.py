"""Importance over several stages."""

import pytest
import torch

from dtir_mm.engine.importance import Importance
from dtir_mm.weights_file import CheckpointError


def importance(statistic: str = 'abs_gradient', **omega: float) -> Importance:
    """Of scalar weights, with each omega's negative as its anchor."""
    tensors = {name: torch.tensor([value]) for name, value in omega.items()}
    return Importance(tensors, {name: -value for name, value in tensors.items()}, 5, statistic)


def test_omega_is_averaged_over_stages_and_the_anchor_is_the_last():
    two = importance(a=3.0, new=8.0).after(importance(a=1.0, frozen=4.0))
    three = importance(a=5.0).after(two)
    assert three.omega == {'a': 3.0, 'new': 4.0, 'frozen': 4.0}
    assert three.anchor == {'a': -5.0, 'new': -8.0, 'frozen': -4.0}
    assert (two.stages, three.stages, three.batches) == (2, 3, 5)
    assert two.after(None) is two


def test_an_entry_of_a_checkpoint_round_trips():
    single, joined = importance(a=1.0), importance(a=3.0).after(importance(a=1.0))
    assert list(single.entry()) == ['omega', 'anchor', 'batches', 'statistic']
    assert list(joined.entry()) == ['omega', 'anchor', 'batches', 'statistic', 'stages']
    for value in (single, joined):
        assert Importance.from_entry(value.entry()) == value
    for other in (None, [1], {'omega': {}}):
        assert Importance.from_entry(other) is None


def test_another_statistic_is_rejected():
    with pytest.raises(CheckpointError, match="statistic 'fisher' cannot be continued with 'abs_g"):
        importance(a=1.0).after(importance('fisher', a=1.0))
