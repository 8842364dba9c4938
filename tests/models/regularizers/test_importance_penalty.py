"""The importance penalty as a term of the update, written out, and when it acts."""

import itertools
import math

import pytest
import torch
from finetune_cases import build, compute, gradient_of, set_layer_decay, set_term
from torch import Tensor, nn

from dtir_mm.models.regularizers.importance_penalty import ImportancePenalty
from dtir_mm.models.restorers.mixing import UpdateMixing


def penalty_of_tensor(form: str, omega: Tensor, delta: Tensor) -> Tensor:
    """At lambda = 1, by the table of method.md 3.4 and the released code's (docs/method.md)."""
    first, second = (omega * delta.abs()).sum(), (omega**2 * delta**2).sum()
    return {
        'pigwm': (first + first**2) / 2,
        'l2sp': delta.square().sum() / 2,
        'diag2': (first + second) / 2,
        'elementwise': first + second / 2,
    }[form]


def importance_near(restorer: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Importance of every weight, and an anchor at some distance from each."""
    named = restorer.named_trained_parameters()
    omega = {name: torch.rand_like(p) for name, p in named.items()}
    return omega, {name: p.detach() + 0.1 * torch.randn_like(p) for name, p in named.items()}


@pytest.mark.parametrize('form', ['pigwm', 'l2sp', 'diag2', 'elementwise'])
def test_the_importance_penalty_written_out(form):
    restorer = build()
    named = restorer.named_trained_parameters()
    decay = dict(zip(reversed(named), itertools.cycle([1.0, 0.5, 0.125]), strict=False))
    gate = dict(zip(named, itertools.cycle([0.0, 1.0]), strict=False))
    set_layer_decay(restorer, [gate[n] for n in named], [decay[n] for n in named])
    plain, losses = compute(restorer)

    omega, anchor = importance_near(restorer)
    free = 'backbone.net.conv_out.weight'
    del omega[free], anchor[free]
    penalty_term = ImportancePenalty(form, weight=0.3)
    penalty_term.set_importance(omega, anchor, named)
    set_term(restorer, 'importance', penalty_term)
    gradient, logged = compute(restorer)

    moved = {name: named[name] - value for name, value in anchor.items()}
    sums = {name: (omega[name] * delta.abs()).sum() for name, delta in moved.items()}
    penalty = sum(
        0.3 * decay[name] * penalty_of_tensor(form, omega[name], delta)
        for name, delta in moved.items()
    )
    expected = gradient_of(penalty, restorer)
    torch.testing.assert_close(gradient - plain, expected, rtol=1e-9, atol=1e-13)
    figures = {
        'drift': math.sqrt(sum(delta.square().sum().item() for delta in moved.values())),
        'importance': penalty.item(),
        'importance_s': sum(s.item() for s in sums.values()),
        'importance_s2': sum(s.item() ** 2 for s in sums.values()),
        'importance_ratio': penalty.item() / losses['content'].mean().item(),
    }
    assert {name: logged[name].item() for name in figures} == pytest.approx(figures, rel=1e-10)

    with torch.no_grad():
        named[free].add_(0.1)
    gradient_elsewhere, logged = compute(restorer)
    for name in ('drift', 'importance', 'importance_s', 'importance_s2'):
        assert logged[name].item() == pytest.approx(figures[name], rel=1e-10)
    set_term(restorer, 'importance', None)
    parts = [p.numel() for p in named.values()]
    pull = dict(zip(named, (gradient_elsewhere - compute(restorer)[0]).split(parts), strict=True))
    assert (pull[free] == 0).all()


def test_a_share_acts_in_the_updates_that_a_mixing_of_that_probability_mixes():
    restorer = build()
    term = ImportancePenalty('elementwise', weight=0.3, share=0.1)
    term.set_importance(*importance_near(restorer), restorer.named_trained_parameters())
    restorer.step.mixing = UpdateMixing(dict(type='NoisePrediction'), probability=0.1)
    plain = [compute(restorer, iteration) for iteration in range(26, 36)]
    set_term(restorer, 'importance', term)
    acted = []
    for iteration, (expected, logged_without) in enumerate(plain, start=26):
        gradient, logged = compute(restorer, iteration)
        acted.append(not torch.equal(gradient, expected))
        assert acted[-1] == ('importance' in logged) == ('noise' in logged_without)
    assert sum(acted) == 4  # at iterations 28, 31, 34 and 35


@pytest.mark.parametrize(
    ('form', 'accepted'),
    [
        ('pigwm', {'abs_gradient', 'abs_mean'}),
        ('elementwise', {'abs_gradient', 'abs_mean'}),
        ('diag2', {'abs_gradient', 'abs_mean'}),
        ('ewc', {'fisher'}),
        ('l2sp', {'abs_gradient', 'abs_mean', 'fisher'}),
        ('none', set()),
    ],
)
def test_what_omega_may_be_the_mean_of(form, accepted):
    """The Fisher diagonal is a mean of squares: another unit, for another formula."""
    assert set(ImportancePenalty(form).statistics) == accepted


def test_importance_of_another_network_is_rejected():
    named = build().named_trained_parameters()
    values = {name: p.detach() for name, p in named.items()}
    wrong = {**values, 'backbone.net.stem.bias': torch.zeros(5), 'backbone.adapter': torch.ones(1)}
    message = r'backbone\.adapter; backbone\.net\.stem\.bias: \(5,\) instead of \(4,\)'
    for omega, anchor in ((wrong, values), (values, wrong)):
        with pytest.raises(ValueError, match=message):
            ImportancePenalty().set_importance(omega, anchor, named)


def test_a_penalty_without_importance_is_rejected():
    restorer = build()
    plain, losses = compute(restorer)
    set_term(restorer, 'importance', ImportancePenalty('none'))
    gradient, logged = compute(restorer)
    assert torch.equal(gradient, plain) and set(logged) == set(losses)
    for form in ('pigwm', 'ewc', 'l2sp'):
        set_term(restorer, 'importance', ImportancePenalty(form))
        with pytest.raises(RuntimeError, match=r'regularizers\.importance.*AccumulationHook'):
            compute(restorer)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(form='eq27'), "form='eq27' of ImportancePenalty must be one of .*elementwise"),
        (dict(share=0.0), r'share=0.0 of ImportancePenalty must lie in \(0, 1\]'),
        (dict(share=1.1), r'share=1.1 of ImportancePenalty must lie in \(0, 1\]'),
    ],
)
def test_invalid_arguments_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImportancePenalty(**arguments)
