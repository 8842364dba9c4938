"""Fine-tuning with adapters: generative samples bypass them, and their routing is logged."""

import numpy as np
import pytest
import torch
from blind_cases import ADAPTERS, CLASSIFIER, STEPS, TASKS
from finetune_cases import CONDITIONED
from torch import Tensor, nn

from dtir_mm.models.preprocessor import select
from dtir_mm.models.restorers import update
from dtir_mm.models.restorers.generative_consistency import generative_inconsistency
from dtir_mm.registry import MODELS

SLOTS = [5, 0, 3, 1, 4, 2]  # of six samples, of which the first two are generative


def build(adapters: dict | None = None, **arguments) -> nn.Module:
    """A restorer in float64 whose weights are all random; a small network, and large adapters."""
    backbone = CONDITIONED | dict(adapters=ADAPTERS | (adapters or {}))
    step = dict(
        objective=dict(type='Reconstruction'),
        mixing=dict(type='SampleMixing', ratio=1 / 3, objective=dict(type='NoisePrediction')),
    )
    settings = dict(backbone=backbone, timesteps=STEPS, step=step, **arguments)
    restorer = MODELS.build(dict(type='Restorer', **settings))
    restorer.set_precision('fp64')
    torch.manual_seed(1)
    for name, parameter in sorted(restorer.named_parameters()):
        nn.init.normal_(parameter, std=0.5 if 'adapters' in name else 0.2)
    return restorer


@pytest.fixture
def restorer() -> nn.Module:
    return build(classifier=CLASSIFIER)


def make_batch(tasks: str = 'hnrhnr', iteration: int = 3) -> dict:
    rng = torch.Generator().manual_seed(2)
    images = 2 * torch.rand(2, 6, 3, 16, 16, generator=rng, dtype=torch.float64) - 1
    names = {task[0]: task for task in TASKS} | {'c': 'clean'}
    return {
        'clean': images[0],
        'degraded': images[1],
        'task': [names[letter] for letter in tasks],
        'domain': ['source'] * 6,
        'path': [f'photo_{i}.png' for i in range(6)],
        'key': torch.tensor([[11, iteration, slot] for slot in SLOTS]),
    }


def compute(restorer: nn.Module, batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
    return restorer.step.gradient(restorer, batch)


def losses_of(restorer: nn.Module, batch: dict) -> tuple[Tensor, Tensor]:
    """The generative and the content losses of all samples of a batch."""
    step = restorer.step
    return tuple(
        objective.losses(restorer, batch).total
        for objective in (step.mixing.objective, step.objective)
    )


def test_restoration_does_not_train_the_classifier(restorer):
    """And it changes no gradient that it is there."""
    assert not any(n.startswith('classifier.') for n in restorer.named_trained_parameters())
    gradient, logged = compute(restorer, make_batch())
    other = build()
    state = restorer.state_dict()
    other.load_state_dict({n: v for n, v in state.items() if not n.startswith('classifier.')})
    expected, logged_without = compute(other, make_batch())
    assert torch.equal(gradient, expected)
    assert 'classifier_loss' not in logged and set(logged) == set(logged_without)


@pytest.mark.parametrize('micro', [1, 2, 4])
def test_micro_batches_do_not_change_the_update(restorer, micro):
    gradient, _ = compute(restorer, make_batch('rhrhrr'))
    restorer.step.micro_batch_size = micro
    again, _ = compute(restorer, make_batch('rhrhrr'))
    assert (again - gradient).norm() <= 1e-9 * gradient.norm()


def test_the_routing_entropy_of_the_restored_samples_is_logged(restorer):
    _, logged = compute(restorer, make_batch())
    # slots 0 and 1 are generative, and have no route
    t = torch.tensor([STEPS[task] for task in (np.array(make_batch()['task'])[[0, 2, 4, 5]])])
    gates = restorer.backbone.adapters.routing(t)
    expected = -(gates * gates.log()).sum(2).mean()
    assert logged['routing_entropy'].mean().item() == pytest.approx(expected.item(), rel=1e-9)
    restorer.step.micro_batch_size = 3
    _, logged = compute(restorer, make_batch())
    assert logged['routing_entropy'].mean().item() == pytest.approx(expected.item(), rel=1e-9)


def test_all_processes_log_the_same_names(restorer, monkeypatch):
    """Also one whose samples are all generative: the means are sums over processes, in order."""
    monkeypatch.setattr(update, 'get_world_size', lambda: 3)
    batch = make_batch()
    of_processes = [
        compute(restorer, select(batch, [SLOTS.index(slot) for slot in slots]))[1]
        for slots in ([0, 1], [2, 3], [4, 5])
    ]
    assert [len(logged['content']) for logged in of_processes] == [0, 2, 2]
    assert {tuple(logged) for logged in of_processes} == {tuple(of_processes[-1])}
    assert [len(logged['routing_entropy']) for logged in of_processes] == [0, 2, 2]


def test_with_top_k_the_balance_loss_is_added_to_the_content_loss():
    batch = make_batch()
    for top_k in (None, 1, 2):
        restorer = build(adapters=dict(top_k=top_k)).train()
        _, losses = losses_of(restorer, batch)
        t = torch.tensor([STEPS[task] for task in batch['task']])
        plain = (restorer(batch['degraded'], t) - batch['clean']).abs().mean((1, 2, 3))
        balance = torch.zeros((), dtype=torch.float64)
        for adapter in restorer.backbone.adapters.experts.values():
            shares = adapter.router(restorer.backbone.adapters.prompt(t)).softmax(1)
            kept = torch.zeros(3, dtype=torch.float64)
            for row in shares:
                for expert in row.argsort(descending=True)[: top_k or 0]:
                    kept[expert] += 1 / (6 * top_k)
            balance = balance + 3 * (kept * shares.mean(0)).sum() / 2  # two sites
        torch.testing.assert_close(losses, plain + 0.01 * balance)
        router = next(iter(restorer.backbone.adapters.experts.values())).router.bias
        (gradient,) = torch.autograd.grad((losses - plain).sum(), router, allow_unused=True)
        assert top_k is None or float(gradient.abs().max()) > 1e-6


def test_only_generative_samples_bypass_the_adapters(restorer):
    batch, t = make_batch(), torch.tensor([4, 8, 47, 4, 8, 47])
    before = losses_of(restorer, batch)
    score = generative_inconsistency(restorer, batch['clean'])
    for parameter in restorer.backbone.adapters.parameters():
        nn.init.normal_(parameter)
    after = losses_of(restorer, batch)
    assert torch.equal(after[0], before[0])
    assert torch.equal(generative_inconsistency(restorer, batch['clean']), score)
    changed = (after[1] - before[1]).detach().abs()
    assert float(changed.min()) > 1e-6 and float(changed.max()) > 1e-3
    adapted, bare = (
        restorer.predict_residual(batch['degraded'], t, adapted) for adapted in (True, False)
    )
    torch.testing.assert_close(
        restorer(batch['degraded'], t),
        batch['degraded']
        - restorer.head.scale(restorer.schedule, t)[:, None, None, None] * adapted,
    )
    assert float((adapted - bare).detach().abs().max()) > 1e-3
