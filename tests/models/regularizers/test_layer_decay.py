"""How much of the generative gradient a layer takes: by hand, and the schedule of the paper."""

import math

import pytest
import torch
from torch import Tensor

from dtir_mm.models.regularizers.layer_decay import layer_decay

DEPTH = torch.linspace(0, 1, 12, dtype=torch.float64)
MODES = ['cut', 'soft', 'scalar', 'none']
WEIGHTS = {4: 0.82, 8: 0.67, 12: 0.55, 15: 0.47, 19: 0.39, 22: 0.33, 27: 0.26, 38: 0.15}
WEIGHTS |= {47: 0.095, 50: 0.082}


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize('t', WEIGHTS)
def test_the_schedule_of_the_paper(t):
    """The weight itself, and the depths just before and beyond which the cut is."""
    weight, rounding = WEIGHTS[t], 0.0005 if t > 40 else 0.005
    factors = layer_decay(DEPTH, t, mode='scalar')
    assert (factors == factors[0]).all()
    assert float(factors[0]) == pytest.approx(weight, abs=rounding)
    assert layer_decay(double(weight - rounding, weight + rounding), t).tolist() == [1, 0]


def test_every_mode_by_hand():
    """At t = 7 with rate 0.1, w = exp(-0.7) = 0.49659."""
    depth = double(0, 0.4965, 0.4966, 1)
    expected = {
        'cut': [1.0, 1.0, 0.0, 0.0],
        'soft': [1.0, math.exp(-0.7 * 0.4965), math.exp(-0.7 * 0.4966), math.exp(-0.7)],
        'scalar': [math.exp(-0.7)] * 4,
        'none': [1.0] * 4,
    }
    for mode in MODES:
        factors = layer_decay(depth, 7, rate=0.1, mode=mode)
        torch.testing.assert_close(factors, double(*expected[mode]), rtol=1e-12, atol=0)
    assert torch.equal(depth, double(0, 0.4965, 0.4966, 1))


def test_only_the_first_of_twelve_layers_remains_at_the_last_step():
    assert layer_decay(DEPTH, 50).tolist() == [1] + [0] * 11
    assert layer_decay(DEPTH, 1).sum() == 11


def test_a_fixed_fraction_replaces_the_weight():
    """Whatever the step and the rate; the depth at the fraction itself still counts."""
    depth = double(0, 0.25, 0.5, 0.75, 1)
    for fraction, expected in (
        (0.0, [1, 0, 0, 0, 0]),
        (0.5, [1, 1, 1, 0, 0]),
        (0.7, [1, 1, 1, 0, 0]),
        (1.0, [1, 1, 1, 1, 1]),
    ):
        for t, rate in ((1, 0.05), (50, 0.05), (20, 3.0)):
            assert layer_decay(depth, t, rate, 'cut', fraction).tolist() == expected


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        *((dict(mode=mode, fraction=0.0), 'fraction') for mode in ('soft', 'scalar', 'none')),
        (dict(fraction=-0.01), 'fraction'),
        (dict(fraction=1.01), 'fraction'),
        (dict(mode='hard'), 'hard'),
    ],
)
def test_invalid_arguments_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        layer_decay(DEPTH, 5, **arguments)
