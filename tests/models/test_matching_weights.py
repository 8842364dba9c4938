"""Which weights match a network, and whether their values are valid."""

import pytest
import torch
from torch import nn

from dtir_mm.models.matching_weights import best, fit, require_same_architecture, require_sound
from dtir_mm.models.wrapped_weights import Candidate
from dtir_mm.weights_file import CheckpointError


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer('mask', torch.full((2, 2), float('-inf')))


def test_architecture_mismatches_list_both_sides():
    expected = Network().state_dict()
    weights = {**expected, 'conv.weight': torch.ones(8, 3, 1, 1), 'odd': torch.ones(2)}
    del weights['conv.bias']
    with pytest.raises(CheckpointError) as raised:
        require_same_architecture(weights, expected, 'a.pth', 'Network')
    assert str(raised.value).split('\n') == [
        'a.pth holds weights of another architecture than Network: 6 of the 8 tensors fit by name '
        'and shape. The others:',
        '  in the file: conv.weight (8, 3, 1, 1), odd (2,)',
        '  in Network: conv.weight (4, 3, 1, 1), conv.bias (4,)',
    ]
    require_same_architecture(expected, expected, 'a.pth', 'Network')


def test_the_best_fit_has_the_most_matching_tensors():
    expected = Network().state_dict()
    shapes = {name: torch.zeros(1, 1, 1, 1, 1) for name in expected}
    part = {'mask': expected['mask']}
    fits = [fit(Candidate(w, str(i)), expected) for i, w in enumerate((shapes, part, dict(part)))]
    assert [len(f.names) for f in fits] == [0, 1, 1]
    assert best(fits) is fits[1]


@pytest.mark.parametrize(
    ('name', 'change', 'message'),
    [
        ('conv.weight', lambda w: w * float('nan'), '12 of 12 values of conv.weight are not fin'),
        ('conv.bias', lambda w: w.index_fill(0, torch.tensor([1]), float('inf')), '1 of 4 values'),
        ('norm.running_var', lambda w: w * float('nan'), '4 of 4 values of norm.running_var'),
        ('conv.weight', lambda w: w.to(torch.int64), 'conv.weight is torch.int64 .* torch.float32'),
        ('conv.weight', lambda w: w.to(torch.complex64), 'conv.weight is torch.complex64'),
        ('norm.num_batches_tracked', lambda w: w + 0.5, 'num_batches_tracked is torch.float32'),
        ('conv.weight', lambda w: w.double() + 1e300, 'not finite'),  # in float32
    ],
)
def test_unsound_values_name_the_tensor(name, change, message):
    network = Network()
    weights = network.state_dict()
    with pytest.raises(CheckpointError, match=message) as raised:
        require_sound({**weights, name: change(weights[name])}, network, 'a.pth')
    assert str(raised.value).startswith('a.pth: ') and '\n' not in str(raised.value)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_and_masks_of_infinity_are_sound(dtype):
    network = Network()
    weights = {
        n: w.to(dtype) if w.is_floating_point() else w for n, w in network.state_dict().items()
    }
    require_sound(weights, network, 'a.pth')
    require_sound({'conv.bias': weights['conv.bias']}, network, 'a.pth')
