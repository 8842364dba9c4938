"""Sizes of the terms of an update, against vectors that are known."""

from types import SimpleNamespace

import pytest
import torch
from evidence.gradients import gradient_sizes
from torch import nn

CONTENT = torch.tensor([3.0, 4.0, 0.0, 2.0])
GENERATIVE = torch.tensor([0.0, 0.0, 0.0, -1.0])
PENALTY = torch.tensor([0.3, 0.4, 0.0, 0.0])


class Penalty:
    num_groups, second_order = 0, False

    def is_due(self, update):
        return update.iteration % 2 == 0

    def gradient(self, update):
        return PENALTY.clone()


class Step:
    """Adds up fixed gradients; the penalty is in every second update."""

    def __init__(self):
        self.regularizers, self.observers = {'importance': Penalty()}, []

    def gradient(self, restorer, batch):
        update = SimpleNamespace(iteration=batch['iteration'], main=CONTENT.clone())
        for observe in self.observers:
            observe(update)
        total = update.main + GENERATIVE
        for term in self.regularizers.values():
            if term.is_due(update):
                total += term.gradient(update)
        update.main.zero_()  # it is freed
        return total, {}


def test_norms_and_cosines_are_those_of_each_term():
    # The block "deep" comes last, but its parameters come first.
    named = {'a.weight': nn.Parameter(torch.ones(1, 2)), 'b.weight': nn.Parameter(torch.ones(2))}
    restorer = SimpleNamespace(
        step=Step(),
        backbone=SimpleNamespace(
            parameter_blocks=lambda: {'a.weight': 'deep', 'b.weight': 'shallow'},
            trace=SimpleNamespace(order=['shallow', 'deep']),
        ),
        named_trained_parameters=lambda: {f'backbone.{n}': p for n, p in named.items()},
        trained_parameters=lambda: list(named.values()),
    )
    anchor = torch.tensor([1.0, 1.0, 1.0, 3.0])
    found = gradient_sizes(restorer, anchor, [{'iteration': i} for i in range(4)])
    assert found['blocks'] == ['shallow', 'deep']
    assert found['norms'] == {
        'content': [2.0, 5.0],
        'importance': pytest.approx([0.0, 0.5]),
        'generative': pytest.approx([1.0, 0.0], abs=1e-5),
    }
    assert found['updates'] == {'content': 1, 'importance': 0.5, 'generative': 1}
    size = 29**0.5
    assert found['cosines']['importance'] == pytest.approx(2.5 / (0.5 * size), abs=1e-3)
    assert found['cosines']['generative'] == pytest.approx(-2 / size, abs=1e-3)
    assert found['drift'] == pytest.approx([(4 / 10) ** 0.5, 0], abs=1e-5)
    assert found['drift_of_all'] == pytest.approx((4 / 12) ** 0.5, abs=1e-4)
