"""Valid sizes of networks that declare none are detected, without changing the network."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm.models.tracing import sizes
from dtir_mm.models.tracing.sizes import SizeRule, size_rule
from dtir_mm.models.tracing.trace import trace
from dtir_mm.registry import MODELS


class Demanding(nn.Module):
    """Accepts only the sizes of a rule; draws random numbers and counts its passes in a buffer."""

    global_skip = True

    def __init__(self, rule: SizeRule | None = None) -> None:
        super().__init__()
        self.rule = rule or SizeRule()
        self.first, self.norm = nn.Conv2d(3, 4, 1), nn.GroupNorm(1, 4)
        self.last = nn.Conv2d(4, 3, 1)
        self.register_buffer('passes', torch.zeros(()))

    def forward(self, u: Tensor) -> Tensor:
        if not self.rule.takes(*u.shape[-2:]):
            raise RuntimeError(f'Sizes of tensors must match, {self.rule}')
        self.passes += torch.rand(())
        self.passes = self.passes + 1
        return u + self.last(F.silu(self.norm(self.first(u))))


@pytest.mark.parametrize(
    'rule',
    [
        *(SizeRule(multiple, multiple) for multiple in (1, 2, 3, 7, 8, 12, 16, 64, 128)),
        SizeRule(1, 40),
        SizeRule(8, 48),
        SizeRule(4, 100),
        SizeRule(32, 32, square=True),
        SizeRule(64, 128, square=True),
    ],
)
def test_the_valid_sizes_are_found(rule):
    assert size_rule(Demanding(rule)) == rule


def test_the_network_is_left_unchanged():
    network = Demanding(SizeRule(8, 16)).train()
    network.norm.eval()
    buffer, before = network.passes, {n: v.clone() for n, v in network.state_dict().items()}
    random_numbers = torch.get_rng_state()
    size_rule(network)
    assert network.passes is buffer
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random_numbers)
    assert network.training and network.first.training and not network.norm.training


@pytest.mark.parametrize('statement', ['size_multiple', 'size_minimum', 'square_only'])
def test_networks_that_declare_their_sizes_are_not_probed(statement):
    network = Demanding(SizeRule(8, 8))
    setattr(network, statement, 8)
    assert size_rule(network) != SizeRule()
    assert network.passes == 0


def test_two_passes_suffice_if_any_size_is_valid():
    shapes = []
    network = Demanding()
    network.first.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape[2:]))
    size_rule(network)
    assert shapes == [(65, 67), (1, 1)]


def test_detected_sizes_are_logged(monkeypatch):
    said = []
    monkeypatch.setattr(sizes, 'print_log', lambda message, logger: said.append(message))
    size_rule(Demanding())
    assert said == []
    size_rule(Demanding(SizeRule(8, 48)))
    assert said == [
        'Demanding does not state its sizes; by trying, the network takes sides of multiples of 8, '
        'from 48 on. Images are padded to that, and training patches must have such a size. '
        'To state it: '
        'size_multiple = 8, size_minimum = 48'
    ]


class Grey(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return self.body(u)


class ToGrey(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(3, 1, 1)


class NeedsLevel(Demanding):
    def forward(self, u: Tensor, level: float, kind: str = 'a') -> Tensor:
        return super().forward(u)


class Lists(Demanding):
    def forward(self, u: Tensor) -> list[Tensor]:
        return [super().forward(u), u]


class Doubles(Demanding):
    def forward(self, u: Tensor) -> Tensor:
        return F.interpolate(super().forward(u), scale_factor=2)


class Broken(Demanding):
    def forward(self, u: Tensor) -> Tensor:
        raise AssertionError


@pytest.mark.parametrize(
    ('network', 'message'),
    [
        (Grey, r'Grey takes images of 1 channel, but must take and give RGB, 3 channels'),
        (ToGrey, r'ToGrey .* \(1, 3, 128, 128\) to the same shape, but gave \(1, 1, 128, 128\)'),
        (NeedsLevel, r'NeedsLevel must take a single image, but its forward needs u, level\. Give'),
        (Lists, r'Lists cannot be a backbone: must map \(1, 3, 128, 128\) .* but gave list'),
        (Doubles, r'Doubles .* \(1, 3, 128, 128\) to the same shape, but gave \(1, 3, 256, 256\)'),
        (Broken, r'Broken cannot be a backbone: on \(1, 3, 128, 128\) it fails: AssertionError'),
    ],
)
def test_networks_that_do_not_map_images_to_images_are_rejected(network, message):
    with pytest.raises(ValueError, match=message) as error:
        MODELS.build(dict(type='ConditionedBackbone', backbone=dict(type=network)))
    assert '\n' not in str(error.value)


class InPlace(nn.Conv2d):
    change = staticmethod(lambda u: u.sub_(0.5))

    def forward(self, u: Tensor) -> Tensor:
        return super().forward(self.change(u))


@pytest.mark.parametrize('change', [Tensor.relu_, lambda u: u.mul_(0.5), lambda u: u.clamp_(-1, 1)])
@pytest.mark.parametrize('declares', [False, True])
def test_networks_that_modify_their_input_are_rejected(change, declares):
    net = InPlace(3, 3, 1)
    net.change = change
    if declares:
        net.size_multiple = 1
    with pytest.raises(ValueError, match='InPlace .*changes its input in place'):
        trace(net)
