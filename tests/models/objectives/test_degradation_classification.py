"""Training only the degradation classifier of a finished network."""

import pytest
import torch
from blind_cases import ADAPTERS, CLASSIFIER, STEPS, TASKS, images
from finetune_cases import CONDITIONED
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from dtir_mm.registry import MODELS


def build(**arguments) -> nn.Module:
    """A restorer in float64 with random weights, of which only the classifier is trained."""
    settings = dict(
        backbone=CONDITIONED | dict(adapters=ADAPTERS),
        timesteps=STEPS,
        step=dict(objective=dict(type='DegradationClassification')),
        **arguments,
    )
    restorer = MODELS.build(dict(type='Restorer', **settings))
    restorer.set_precision('fp64')
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.2)
    return restorer


def make_batch(image_range: tuple) -> dict:
    """Six samples of all tasks, in a range."""
    low, high = image_range
    clean, degraded = (images(6, 16, 16) / 2 + 0.5) * (high - low) + low, images(6, 16, 16)
    return {
        'clean': clean,
        'degraded': (degraded / 2 + 0.5) * (high - low) + low,
        'task': ['hazy', 'noisy', 'rainy'] * 2,
        'domain': ['source'] * 6,
        'path': [f'photo_{i}.png' for i in range(6)],
        'key': torch.tensor([[11, 3, slot] for slot in range(6)]),
    }


def cross_entropies(restorer: nn.Module, batch: dict, image_range: tuple) -> Tensor:
    """Of each degraded image and, a third as strong, of each clean one; image by image."""
    classes, values, (low, high) = [*TASKS, 'clean'], [], image_range
    for i, task in enumerate(batch['task']):
        value = 0.0
        for name, answer, weight in (('degraded', task, 1.0), ('clean', 'clean', 1 / 3)):
            signed = 2 * (batch[name][i] - low) / (high - low) - 1
            logits = restorer.classifier(signed[None])[0]
            value = value + weight * (logits.exp().sum().log() - logits[classes.index(answer)])
        values.append(value)
    return torch.stack(values)


@pytest.mark.parametrize('image_range', [(-1, 1), (0, 1)])
@pytest.mark.parametrize('micro', [None, 2, 4])
def test_only_the_classifier_is_trained_by_cross_entropy(micro, image_range):
    """Whatever the model's range, it sees images in [-1, 1]."""
    restorer = build(classifier=CLASSIFIER, image_range=image_range)
    restorer.step.micro_batch_size = micro
    batch = make_batch(image_range)
    gradient, logged = restorer.step.gradient(restorer, batch)
    named = restorer.named_trained_parameters()
    assert named.keys() == {f'classifier.{n}' for n, _ in restorer.classifier.named_parameters()}
    entropies = cross_entropies(restorer, batch, image_range)
    assert logged.keys() == {'classifier_loss'}
    torch.testing.assert_close(logged['classifier_loss'], entropies.detach())
    entropies.mean().backward()
    parts = gradient.split([parameter.numel() for parameter in named.values()])
    for (name, parameter), part in zip(named.items(), parts, strict=True):
        torch.testing.assert_close(part.view_as(parameter), parameter.grad)
        assert float(parameter.grad.abs().max()) > 1e-6, name


def test_the_weight_of_clean_images_can_be_set():
    restorer, batch = build(classifier=CLASSIFIER), make_batch((-1, 1))
    values = []
    for weight in (0.0, 0.5, 1.0, None):
        restorer.step.objective.clean_weight = weight
        values.append(restorer.step.objective.losses(restorer, batch).total)
    degraded, half, both, like_a_task = values
    torch.testing.assert_close(half, (degraded + both) / 2)
    torch.testing.assert_close(like_a_task, degraded + (both - degraded) / 3)
    assert (both > degraded).all()


def test_an_update_changes_only_the_classifier():
    restorer = build(classifier=CLASSIFIER)
    before = {name: value.clone() for name, value in restorer.state_dict().items()}
    data = make_batch((0, 255))
    data |= {name: data[name].byte() for name in ('clean', 'degraded')}
    wrapper = OptimWrapper(torch.optim.SGD(restorer.trained_parameters(), lr=0.1))
    restorer.train_step(data, wrapper)
    moved = {n for n, value in restorer.state_dict().items() if not torch.equal(value, before[n])}
    assert moved == {f'classifier.{n}' for n, _ in restorer.classifier.named_parameters()}


def test_unknown_tasks_are_rejected():
    restorer, batch = build(classifier=CLASSIFIER), make_batch((-1, 1))
    batch['task'][2] = 'snowy'
    with pytest.raises(ValueError, match='no class for snowy; its tasks are hazy, noisy, rainy'):
        restorer.step.gradient(restorer, batch)


def test_a_classifier_is_required():
    message = r'DegradationClassification needs model\.classifier, got None'
    with pytest.raises(ValueError, match=message):
        build()
