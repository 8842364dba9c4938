"""The importance penalty of fine-tuning written out, and which batches the update refuses."""

import itertools
import math

import pytest
import torch
from finetune_cases import build, compute, gradient_of, make_batch

from dtir_mm.models.losses import ImportanceLoss, OrthogonalityLoss
from dtir_mm.models.restorers import base_restorer, finetune_restorer


@pytest.mark.parametrize('form', ['pigwm', 'l2sp'])
def test_the_importance_penalty_written_out(form):
    restorer = build()
    named = restorer.named_trained_parameters()
    decay = dict(zip(reversed(named), itertools.cycle([1.0, 0.5, 0.125]), strict=False))
    gate = dict(zip(named, itertools.cycle([0.0, 1.0]), strict=False))
    restorer.set_layer_decay(gate, decay)
    plain, losses = compute(restorer)

    omega = {name: torch.rand_like(p) for name, p in named.items()}
    anchor = {name: p.detach() + 0.1 * torch.randn_like(p) for name, p in named.items()}
    free = 'backbone.net.conv_out.weight'
    del omega[free], anchor[free]
    restorer.set_importance(omega, anchor)
    assert compute(restorer)[0].equal(plain)  # the weights are known, but there is no penalty
    restorer.importance_loss = ImportanceLoss(form, weight=0.3)
    gradient, logged = compute(restorer)

    moved = {name: named[name] - value for name, value in anchor.items()}
    sums = {name: (omega[name] * delta.abs()).sum() for name, delta in moved.items()}
    penalty = sum(
        0.3 * decay[n] / 2 * (s + s**2 if form == 'pigwm' else moved[n].square().sum())
        for n, s in sums.items()
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
    restorer.importance_loss = None
    parts = [p.numel() for p in named.values()]
    pull = dict(zip(named, (gradient_elsewhere - compute(restorer)[0]).split(parts), strict=True))
    assert (pull[free] == 0).all()


def test_importance_of_another_network_is_refused():
    restorer = build()
    values = {name: p.detach() for name, p in restorer.named_trained_parameters().items()}
    wrong = {**values, 'backbone.net.stem.bias': torch.zeros(5), 'backbone.adapter': torch.ones(1)}
    message = r'backbone\.adapter; backbone\.net\.stem\.bias: \(5,\) instead of \(4,\)'
    for omega, anchor in ((wrong, values), (values, wrong)):
        with pytest.raises(ValueError, match=message):
            restorer.set_importance(omega, anchor)


def test_a_penalty_without_importance_is_refused():
    restorer = build()
    plain, losses = compute(restorer)
    restorer.importance_loss = ImportanceLoss('none')
    gradient, logged = compute(restorer)
    assert torch.equal(gradient, plain) and set(logged) == set(losses)
    for form in ('pigwm', 'ewc', 'l2sp'):
        restorer.importance_loss = ImportanceLoss(form)
        with pytest.raises(RuntimeError, match='importance_loss.*ImportanceAccumulationHook'):
            compute(restorer)


def test_all_processes_log_the_same_names(monkeypatch):
    """Also one that has no pair: the means are sums over processes, name by name."""
    restorer = build(importance_loss=dict(type='ImportanceLoss'))
    restorer.orthogonality_loss = OrthogonalityLoss(interval=1)
    named = restorer.named_trained_parameters()
    values = {name: torch.ones_like(parameter) for name, parameter in named.items()}
    restorer.set_importance(values, values)
    for module in (base_restorer, finetune_restorer):
        monkeypatch.setattr(module, 'get_world_size', lambda: 4)
    of_processes = [
        restorer.compute_gradient(make_batch(restorer, slots=slots))[1]
        for slots in ([0, 1], [2, 3], [4, 5], [6, 7])
    ]
    assert {tuple(logged) for logged in of_processes} == {tuple(of_processes[-1])}
    assert all(len(logged['importance_ratio']) == 1 for logged in of_processes)


def test_a_batch_without_a_pair_is_refused():
    restorer = build()
    restorer.mix_ratio = 0.95
    with pytest.raises(ValueError, match=r'mix_ratio=0\.95 makes all 8 samples .* generative'):
        compute(restorer)
