"""What is found out about a network that does not state it."""

import pytest
import torch
from torch import Tensor, nn

from dtir_mm import compat
from dtir_mm.models.backbones import contract
from dtir_mm.models.backbones.dtir_unet import DtirUNet
from dtir_mm.registry import MODELS

NAFNET = dict(
    type='mmagic.NAFNet', mid_channels=4, middle_blk_num=1, enc_blk_nums=[1, 2], dec_blk_nums=[1, 1]
)


class Plain(nn.Module):
    """Two convolutions; the one that runs last was made first. Subclasses add to their output."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(4, 3, 3, padding=1)
        self.first = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(u)))


class Skipping(Plain):
    def forward(self, u: Tensor) -> Tensor:
        return u + super().forward(u)


class HalfSkipping(Plain):
    def forward(self, u: Tensor) -> Tensor:
        return 0.5 * u + super().forward(u)


class InBlocks(Skipping):
    """Takes sides that are multiples of 48 alone."""

    size_multiple = 48

    def forward(self, u: Tensor) -> Tensor:
        assert u.shape[-2] % 48 == 0 and u.shape[-1] % 48 == 0
        return super().forward(u)


class Staged(nn.Module):
    """A list, a list of lists and a chain, with norms and without them."""

    def __init__(self, with_norms: bool) -> None:
        super().__init__()

        def block(channels: int) -> nn.Module:
            norm = nn.GroupNorm(1, channels) if with_norms else nn.Identity()
            return nn.Sequential(norm, nn.Conv2d(channels, channels, 3, padding=1))

        self.stem = nn.Conv2d(3, 4, 1)
        self.levels = nn.ModuleList([nn.ModuleList([block(4), block(4)]), nn.ModuleList([])])
        self.tail = nn.Sequential(block(4), nn.Conv2d(4, 3, 1), block(3))


class Stating(Staged):
    def conditioning_groups(self) -> dict[str, list[str]]:
        return {'mine': ['tail.0.0']}


@pytest.mark.parametrize(('network', 'skips'), [(Plain, False), (Skipping, True), (InBlocks, True)])
def test_a_global_skip_is_found(network, skips):
    assert contract.has_global_skip(network()) is skips


def test_the_global_skip_of_real_networks_is_found(monkeypatch):
    assert contract.has_global_skip(MODELS.build(NAFNET)) is True
    monkeypatch.delattr(DtirUNet, 'global_skip')
    network = DtirUNet(width=8, channel_multipliers=(1, 2), blocks_per_level=(1,))
    assert contract.has_global_skip(network) is False


@pytest.mark.parametrize('stated', [True, False])
def test_a_stated_global_skip_counts_more_than_what_would_be_found(stated):
    network = HalfSkipping()
    network.global_skip = stated
    assert contract.has_global_skip(network) is stated


def test_the_probe_leaves_the_network_alone():
    network = Skipping().double().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    contract.has_global_skip(network)
    assert network.training
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize('network', [HalfSkipping(), nn.AvgPool2d(3, 1, padding=1)])
def test_a_network_that_does_neither_is_asked_to_state_it(network):
    with pytest.raises(ValueError, match='Set global_skip = True or False') as error:
        contract.has_global_skip(network)
    assert type(network).__name__ in str(error.value)


def test_a_network_with_another_output_is_refused():
    with pytest.raises(ValueError, match=r'Conv2d must map .*64, 64\) .* gave \(1, 4, 64, 64\)'):
        contract.has_global_skip(nn.Conv2d(3, 4, 1))


@pytest.mark.parametrize(
    ('output', 'got'),
    [(torch.zeros(2, 3, 8, 10), r'\(2, 3, 8, 10\)'), ([torch.zeros(2, 3, 8, 9)], 'list')],
)
def test_check_output_names_what_came_out(output, got):
    image = torch.zeros(2, 3, 8, 9)
    contract.check_output(Plain(), image, torch.ones(2, 3, 8, 9))
    with pytest.raises(ValueError, match=rf'Plain must map \(2, 3, 8, 9\) .* gave {got}$'):
        contract.check_output(Plain(), image, output)


def test_groups_of_nafnet_are_its_stages():
    network = MODELS.build(NAFNET)
    expected = {
        'encoders.0/4': ['encoders.0.0.norm1', 'encoders.0.0.norm2'],
        'encoders.1/8': [f'encoders.1.{i}.norm{k}' for i in (0, 1) for k in (1, 2)],
        'decoders.0/8': ['decoders.0.0.norm1', 'decoders.0.0.norm2'],
        'decoders.1/4': ['decoders.1.0.norm1', 'decoders.1.0.norm2'],
        'middle_blks/16': ['middle_blks.0.norm1', 'middle_blks.0.norm2'],
    }
    assert contract.conditioning_groups(network) == expected
    assert contract.conditioning_groups(compat.mend_layer_norm(network)) == expected


def test_a_stage_of_two_widths_makes_two_groups():
    assert contract.conditioning_groups(Staged(with_norms=True)) == {
        'levels.0.0/4': ['levels.0.0.0'],
        'levels.0.1/4': ['levels.0.1.0'],
        'tail/4': ['tail.0.0'],
        'tail/3': ['tail.2.0'],
    }


def test_without_norms_time_enters_behind_all_convolutions_but_the_last():
    assert contract.conditioning_groups(Staged(with_norms=False)) == {
        'stem/4': ['stem'],
        'levels.0.0/4': ['levels.0.0.1'],
        'levels.0.1/4': ['levels.0.1.1'],
        'tail/4': ['tail.0.1'],
        'tail/3': ['tail.1'],
    }


def test_stated_groups_are_taken():
    assert contract.conditioning_groups(Stating(with_norms=True)) == {'mine': ['tail.0.0']}


@pytest.mark.parametrize('network', [nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU())])
def test_a_network_with_nothing_to_condition_is_asked_for_names(network):
    with pytest.raises(ValueError, match=r'give it a method conditioning_groups\(\)') as error:
        contract.conditioning_groups(network)
    assert type(network).__name__ in str(error.value)


class FixedNorm(nn.Module):
    weight = torch.ones(4)


@pytest.mark.parametrize(
    ('module', 'expected'),
    [
        (nn.GroupNorm(2, 4), True),
        (nn.BatchNorm2d(4), True),
        (nn.LayerNorm(4), True),
        (nn.InstanceNorm2d(4, affine=True), True),
        (compat.LayerNorm2d(nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4)), 1e-6), True),
        (nn.GroupNorm(2, 4, affine=False), False),
        (nn.InstanceNorm2d(4), False),
        (nn.LayerNorm((4, 5)), False),
        (FixedNorm(), False),
        (nn.PReLU(4), False),
        (nn.Conv2d(4, 4, 1), False),
    ],
)
def test_affine_norms(module, expected):
    assert contract.is_affine_norm(module) is expected


@pytest.mark.parametrize(
    ('name', 'stage'),
    [
        ('stem', 'stem'),
        ('tail.0.1', 'tail'),
        ('levels.0.1.0', 'levels.0.1'),
        ('levels.1', 'levels.1'),
    ],
)
def test_a_stage_is_the_first_part_that_is_no_list(name, stage):
    assert contract.stage_of(Staged(with_norms=True), name) == stage


def test_size_multiple_is_one_where_nothing_is_stated():
    assert contract.size_multiple(Plain()) == 1
    assert contract.size_multiple(InBlocks()) == 48
