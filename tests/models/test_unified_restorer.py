"""One network for many tasks: its gradient, and how it finds out the time step."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dtir_mm.models.preprocessor import select
from dtir_mm.models.restorers import base_restorer, finetune_restorer
from dtir_mm.models.restorers.generative_consistency import generative_inconsistency
from dtir_mm.registry import MODELS

TINY = dict(
    type='DtirUNet', width=4, channel_multipliers=(1, 2), blocks_per_level=(1,), middle_blocks=1,
    attention=False, num_groups=2,
)  # fmt: skip
TASKS = ['hazy', 'noisy', 'rainy']
STEPS = dict(hazy=47, noisy=4, rainy=8)
CLASSIFIER = dict(type='DegradationClassifier', tasks=TASKS, width=4)
SLOTS = [5, 0, 3, 1, 4, 2]  # of six samples, of which the first two are generative


def build(kind: str = 'UnifiedRestorer', adapters: dict | None = None, **arguments) -> nn.Module:
    """A restorer in float64 whose weights are all random; a small network, and large adapters."""
    few = dict(num_experts=3, param_budget=3000, prompt_dim=8, **(adapters or {}))
    backbone = dict(type='ConditionedBackbone', backbone=TINY, embedding_dim=8, adapters=few)
    settings = dict(backbone=backbone, timesteps=STEPS, mix_ratio=1 / 3, **arguments)
    restorer = MODELS.build(dict(type=kind, **settings))
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


def by_name(restorer: nn.Module, gradient: Tensor) -> dict[str, Tensor]:
    named = restorer.named_trained_parameters()
    parts = gradient.split([parameter.numel() for parameter in named.values()])
    return {n: part.view_as(p) for (n, p), part in zip(named.items(), parts, strict=True)}


def cross_entropies(restorer: nn.Module, batch: dict, share: float) -> Tensor:
    """Of each degraded image and, at a share, of each clean one; written out image by image."""
    classes, values = [*TASKS, 'clean'], []
    for i, task in enumerate(batch['task']):
        value = 0.0
        for image, name, weight in (
            (batch['degraded'][i], task, 1.0), (batch['clean'][i], 'clean', share)
        ):  # fmt: skip
            logits = restorer.classifier(image[None])[0]
            value = value + weight * (logits.exp().sum().log() - logits[classes.index(name)])
        values.append(value)
    return torch.stack(values)


# --- training ---------------------------------------------------------------------------------


@pytest.mark.parametrize('micro', [None, 2, 4])
def test_a_classifier_trainer_learns_cross_entropy_and_nothing_else(micro):
    trainer = build('ClassifierTrainer', classifier=CLASSIFIER, micro_batch_size=micro)
    batch = make_batch()
    gradient, logged = trainer.compute_gradient(batch)
    parts = by_name(trainer, gradient)
    assert parts.keys() == {f'classifier.{n}' for n, _ in trainer.classifier.named_parameters()}
    entropies = cross_entropies(trainer, batch, 1 / 3)
    assert logged.keys() == {'classifier_loss'}
    torch.testing.assert_close(logged['classifier_loss'], entropies.detach())
    entropies.mean().backward()
    for name, parameter in trainer.classifier.named_parameters():
        torch.testing.assert_close(parts[f'classifier.{name}'], parameter.grad)
        assert float(parameter.grad.abs().max()) > 1e-6, name


def test_a_task_that_the_classifier_does_not_know_is_named(restorer):
    images = torch.zeros(1, 3, 16, 16, dtype=torch.float64)
    with pytest.raises(ValueError, match='no answer for snowy; its tasks are hazy, noisy, rainy'):
        restorer.classifier.losses(images, images, ['snowy'])


def test_a_trainer_without_a_classifier_is_refused():
    with pytest.raises(ValueError, match=r'ClassifierTrainer needs model\.classifier, got None'):
        build('ClassifierTrainer')


def test_what_restores_leaves_its_classifier_alone(restorer):
    assert not any(n.startswith('classifier.') for n in restorer.named_trained_parameters())


def by_name_of_finetuning(restorer: nn.Module, batch: dict) -> tuple[dict[str, Tensor], dict]:
    """The gradient of a ``FinetuneRestorer`` with the same weights, and what it logs."""
    other = build('FinetuneRestorer')
    state = restorer.state_dict()
    other.load_state_dict({n: v for n, v in state.items() if not n.startswith('classifier.')})
    gradient, logged = other.compute_gradient(batch)
    return by_name(other, gradient), logged


@pytest.mark.parametrize('micro', [1, 2, 4])
def test_micro_batches_do_not_change_the_update(restorer, micro):
    gradient, _ = restorer.compute_gradient(make_batch('rhrhrr'))
    restorer.micro_batch_size = micro
    again, _ = restorer.compute_gradient(make_batch('rhrhrr'))
    assert (again - gradient).norm() <= 1e-9 * gradient.norm()


def test_without_a_classifier_the_gradient_is_that_of_fine_tuning():
    restorer = build()
    gradient, logged = restorer.compute_gradient(make_batch())
    expected, _ = by_name_of_finetuning(restorer, make_batch())
    for name, part in by_name(restorer, gradient).items():
        torch.testing.assert_close(part, expected[name], rtol=1e-12, atol=0)
    assert 'classifier_loss' not in logged


def test_the_routing_entropy_of_the_restored_samples_is_logged(restorer):
    _, logged = restorer.compute_gradient(make_batch())
    # slots 0 and 1 are generative, and have no route
    t = torch.tensor([STEPS[task] for task in (np.array(make_batch()['task'])[[0, 2, 4, 5]])])
    gates = restorer.backbone.adapters.routing(t)
    expected = -(gates * gates.log()).sum(2).mean()
    torch.testing.assert_close(logged['routing_entropy'], expected.detach().reshape(1))
    restorer.mix_ratio = 0.5  # a process may have no pairs at all
    _, logged = restorer.compute_gradient({**select(make_batch(), [1, 3]), 'key': torch.tensor(
        [[11, 3, 0], [11, 3, 1]])})  # fmt: skip
    assert len(logged['content']) == 1


def test_all_processes_log_the_same_names(restorer, monkeypatch):
    """Also one whose samples are all generative: the means are sums over processes, in order."""
    for module in (base_restorer, finetune_restorer):
        monkeypatch.setattr(module, 'get_world_size', lambda: 3)
    batch = make_batch()
    of_processes = [
        restorer.compute_gradient(select(batch, [SLOTS.index(slot) for slot in slots]))[1]
        for slots in ([0, 1], [2, 3], [4, 5])
    ]
    assert [len(logged['content']) for logged in of_processes] == [0, 2, 2]
    assert {tuple(logged) for logged in of_processes} == {tuple(of_processes[-1])}
    assert [len(logged['routing_entropy']) for logged in of_processes] == [0, 1, 1]


def test_with_top_k_the_balance_of_the_experts_comes_on_top_of_each_content_loss():
    batch = make_batch()
    for top_k in (None, 1, 2):
        restorer = build(adapters=dict(top_k=top_k)).train()
        losses = restorer.content_losses(batch)
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


def test_adapters_are_bypassed_by_generative_samples_alone(restorer):
    batch, t = make_batch(), torch.tensor([4, 8, 47, 4, 8, 47])
    before = restorer.noise_losses(batch), restorer.content_losses(batch)
    score = generative_inconsistency(restorer, batch['clean'])
    for parameter in restorer.backbone.adapters.parameters():
        nn.init.normal_(parameter)
    assert torch.equal(restorer.noise_losses(batch), before[0])
    assert torch.equal(generative_inconsistency(restorer, batch['clean']), score)
    changed = (restorer.content_losses(batch) - before[1]).detach().abs()
    assert float(changed.min()) > 1e-6 and float(changed.max()) > 1e-3
    adapted, bare = (restorer.nuisance(batch['degraded'], t, adapted) for adapted in (True, False))
    torch.testing.assert_close(
        restorer(batch['degraded'], t),
        batch['degraded'] - restorer.scale_of(t)[:, None, None, None] * adapted,
    )
    assert float((adapted - bare).detach().abs().max()) > 1e-3
