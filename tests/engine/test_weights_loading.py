"""Which weights of a file are loaded, and what is logged."""

import pytest
import torch

from dtir_mm.engine import weights_loading
from dtir_mm.engine.checkpoint import CheckpointError
from dtir_mm.engine.weights_loading import load_weights
from dtir_mm.registry import MODELS


@pytest.fixture
def restorer(toy_backbone):
    return MODELS.build(dict(type='dtir_mm.Restorer', backbone=toy_backbone))


@pytest.fixture
def checkpoint(restorer) -> dict:
    return {'meta': {'timesteps': {'rainy': 8}}, 'state_dict': restorer.state_dict()}


def test_another_architecture_is_rejected_with_its_keys(restorer, checkpoint, toy_backbone):
    wider = {**toy_backbone, 'backbone': {**toy_backbone['backbone'], 'width': 16}}
    other = MODELS.build(dict(type='dtir_mm.Restorer', backbone=wider))
    weights = dict(checkpoint['state_dict'])
    weights['backbone.net.foreign'] = weights.pop('backbone.net.stem.bias')
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        load_weights(other, {'state_dict': weights}, 'theirs.pth')
    message = str(error.value)
    assert message.startswith('theirs.pth holds weights of another architecture')
    in_file, in_network = message.splitlines()[1:]
    assert in_file.startswith('  in the file: backbone.net.stem.weight (8, 3, 3, 3), ')
    assert in_network.startswith(
        '  in Restorer: backbone.net.stem.weight (16, 3, 3, 3), backbone.net.stem.bias (16,), '
    )
    assert in_file.endswith('more') and in_network.endswith('more')
    for key, value in other.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize('wrap', [lambda weights: weights, lambda weights: {'params': weights}])
def test_weights_of_an_unconditioned_network_are_loaded(restorer, toy_backbone, wrap):
    torch.manual_seed(9)
    bare = MODELS.build(toy_backbone['backbone'])
    load_weights(restorer, wrap(bare.state_dict()), 'bare.pth')
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(restorer.backbone(image, torch.tensor([30])), bare(image))


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    """Lines logged while weights are loaded."""
    lines: list[str] = []
    monkeypatch.setattr(weights_loading, 'print_log', lambda text, logger: lines.append(text))
    return lines


def test_loading_a_file_of_another_code_base_is_logged(restorer, toy_backbone, logged):
    bare = MODELS.build(toy_backbone['backbone']).state_dict()
    wrapped = {f'module.{name}': value for name, value in bare.items()}
    load_weights(restorer, {'net_g': wrapped, 'epoch': 3}, 'theirs.pth')
    for name, value in restorer.backbone.net.state_dict().items():
        assert torch.equal(value, bare[name])
    assert logged == [
        f"theirs.pth: {len(bare)} tensors loaded, under 'net_g', without the prefix 'module.'; "
        f'into DtirUNet only: the rest of the restorer keeps its initial values'
    ]


def test_loading_our_checkpoint_is_not_logged(restorer, checkpoint, logged):
    wrapped = {f'module.{name}': value for name, value in checkpoint['state_dict'].items()}
    load_weights(restorer, checkpoint, 'ours.pth')
    assert logged == []
    load_weights(restorer, {'model': wrapped}, 'ours.pth')  # a restorer's under a wrapper's prefix
    assert logged == [
        f"ours.pth: {len(wrapped)} tensors loaded, under 'model', without the prefix 'module.'"
    ]


def test_non_strict_loading_loads_matching_tensors(restorer, checkpoint, logged):
    weights = {name: value + 1 for name, value in checkpoint['state_dict'].items()}
    weights['head.weight'] = weights.pop('backbone.net.stem.bias')
    weights['backbone.net.stem.weight'] = weights['backbone.net.stem.weight'][:4]
    before = {name: value.clone() for name, value in restorer.state_dict().items()}
    load_weights(restorer, {'state_dict': weights}, 'part.pth', strict=False)
    stayed = ['backbone.net.stem.weight', 'backbone.net.stem.bias']
    for name, value in restorer.state_dict().items():
        assert torch.equal(value, before[name] if name in stayed else weights[name]), name
    (line,) = logged
    assert f'{len(before) - 2} tensors loaded' in line
    assert f'2 of the network keep their values: {", ".join(stayed)};' in line
    assert '2 of the file are not used: backbone.net.stem.weight, head.weight' in line
    with pytest.raises(CheckpointError, match='0 of the 1 tensors fit'):
        load_weights(restorer, {'odd': torch.ones(2)}, 'odd.pth', strict=False)


def test_a_classifier_is_left_out_of_a_model_without_one(restorer, toy_backbone, logged):
    classifier = dict(type='DegradationClassifier', tasks=['rainy'])
    both = MODELS.build(
        dict(type='dtir_mm.Restorer', backbone=toy_backbone, classifier=classifier,
             timesteps=dict(rainy=8))
    )  # fmt: skip
    load_weights(restorer, {'state_dict': both.state_dict()}, 'blind.pth')
    for name, value in restorer.state_dict().items():
        assert torch.equal(value, both.state_dict()[name])
    assert 'without the classifier, which this model does not have' in logged[0]
    broken = {**both.state_dict()}
    del broken['backbone.net.stem.bias']
    with pytest.raises(CheckpointError, match='without the classifier.*\n.*in the file: none'):
        load_weights(restorer, {'state_dict': broken}, 'blind.pth')
