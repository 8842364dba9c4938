"""Weights as training codes save them, found in their dicts and under their prefixes."""

import pytest
import torch

from dtir_mm.models.wrapped_weights import candidates, described
from dtir_mm.weights_file import CheckpointError

NET = {f'body.{i}.weight': torch.full((2, i + 1), float(i)) for i in range(4)}
OTHER = {name: value + 9 for name, value in NET.items()}


def under(prefix: str) -> dict:
    return {prefix + name: value for name, value in NET.items()}


OPTIMIZER = {'state': {0: {'exp_avg': torch.ones(2)}}, 'param_groups': [{'lr': 1e-3}]}
# What a file holds, and how the weights are found in it.
FILES = {
    'bare': (NET, ''),
    'mmengine': ({'meta': {'epoch': 3}, 'state_dict': NET, 'optimizer': OPTIMIZER}, ''),
    'data parallel': (under('module.'), "without the prefix 'module.'"),
    'BasicSR': ({'params': OTHER, 'params_ema': NET}, "under 'params_ema'"),
    'mmagic': (
        {'meta': {}, 'state_dict': {**under('generator.'), 'pixel_loss.weight': torch.ones(1)}},
        "without the prefix 'generator.', 1 tensors beside them left out",
    ),
    'with an average': (
        {'state_dict': {**under('generator.'), **under('generator_ema.')}},
        "without the prefix 'generator_ema.', 4 tensors beside them left out",
    ),
    'GAN': ({'net_g': under('module.'), 'net_d': {'x': torch.ones(2)}},
            "under 'net_g', without the prefix 'module.'"),
    'plain training loop': (
        {'epoch': 3, 'model_state_dict': NET, 'optimizer_state_dict': OPTIMIZER},
        "under 'model_state_dict'",
    ),
    'model': ({'model': NET, 'lr': 1e-3}, "under 'model'"),
    'Lightning': (
        {'state_dict': under('model.net.'), 'callbacks': {}}, "without the prefix 'model.net.'"
    ),
    'compiled': ({'model': under('_orig_mod.module.')},
                 "under 'model', without the prefix '_orig_mod.module.'"),
    'a key of its own': ({'deblur': {'model': NET}}, "under 'deblur.model'"),
    'strings beside': ({**NET, 'comment': 'x', 3: torch.ones(1)}, ''),
}  # fmt: skip


@pytest.mark.parametrize('kind', FILES)
def test_the_networks_names_are_among_the_candidates(kind):
    content, found = FILES[kind]
    matching = [c for c in candidates(content, 'a.pth') if c.weights.keys() == NET.keys()]
    assert matching[0].found == found
    assert all(torch.equal(matching[0].weights[name], value) for name, value in NET.items())


def test_unchanged_names_come_first():
    """A network may have a submodule that is called "model"."""
    first, second = candidates({**under('model.'), 'head': torch.ones(1)}, 'a.pth')
    assert first.weights.keys() == {*under('model.'), 'head'} and first.found == ''
    assert second.weights.keys() == NET.keys()


def test_many_prefixes_are_fast():
    name = 'net.module.model.' * 2000
    found = list(candidates({f'{name}{i}': torch.ones(1) for i in range(20)}, 'a.pth'))
    assert len(found) == 4  # three prefixes, and none


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([1, 2], 'a.pth holds data of type list, where a dict'),
        (torch.ones(2), 'a.pth holds data of type Tensor'),
        ('text', 'a.pth holds data of type str'),
        ({}, 'a.pth holds no weights: none of its 0 keys'),
        ({'epoch': 3, 'optimizer': OPTIMIZER}, r"its 2 keys \('epoch', 'optimizer'\)"),
        ({'state_dict': [1]}, 'a.pth holds no weights'),
    ],
)
def test_content_without_weights_is_described(content, message):
    with pytest.raises(CheckpointError, match=message):
        list(candidates(content, 'a.pth'))


def test_names_are_described_with_their_shapes():
    assert described(dict(list(NET.items())[:1])) == 'body.0.weight (2, 1)'
    assert described(NET).endswith('body.2.weight (2, 3) and 1 more')
    assert described({}) == 'none'
