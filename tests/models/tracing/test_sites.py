"""Where time enters networks of many kinds, and their channel axes there."""

import pytest
import torch
from network_cases import NAFNET
from torch import Tensor, nn

from dtir_mm import compat
from dtir_mm.models.tracing.sites import Site, conditioning_sites, is_affine_norm, stage_of
from dtir_mm.models.tracing.trace import trace
from dtir_mm.registry import MODELS


def names(groups: dict[str, list[Site]]) -> dict[str, list[str]]:
    return {group: [site.name for site in sites] for group, sites in groups.items()}


class Staged(nn.Module):
    """A list, a list of lists and a chain, with norms and without them; the head runs last."""

    def __init__(self, with_norms: bool) -> None:
        super().__init__()

        def block(channels: int) -> nn.Module:
            norm = nn.GroupNorm(1, channels) if with_norms else nn.Identity()
            return nn.Sequential(norm, nn.Conv2d(channels, channels, 3, padding=1))

        self.head = nn.Conv2d(3, 3, 1)
        self.stem = nn.Conv2d(3, 4, 1)
        self.levels = nn.ModuleList([nn.ModuleList([block(4), block(4)]), nn.ModuleList([])])
        self.tail = nn.Sequential(block(4), nn.Conv2d(4, 3, 1), block(3))

    def forward(self, u: Tensor) -> Tensor:
        h = self.stem(u)
        for block in self.levels[0]:
            h = block(h)
        return self.head(self.tail(h))


class Stating(Staged):
    def conditioning_groups(self) -> dict[str, list[str]]:
        return {'mine': ['tail.0.0']}


class TokenNorm(nn.Module):
    """A custom norm; the axes that it normalises over do not matter here."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, h: Tensor) -> Tensor:
        return h


class Layouts(nn.Module):
    """Norms on every layout there is, 8 channels wide, and on windows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.map_norm = nn.InstanceNorm2d(8, affine=True)
        self.token_norm = nn.LayerNorm(8)
        self.own_map_norm = TokenNorm(8)
        self.own_last_norm = TokenNorm(8)
        self.own_token_norm = TokenNorm(8)
        self.own_row_norm = TokenNorm(8)
        self.own_other_norm = TokenNorm(5)
        self.window_norm = nn.LayerNorm(8)
        self.unused_norm = nn.LayerNorm(8)
        self.up = nn.ConvTranspose2d(8, 6, 1)
        self.weighted = nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 3, 1))
        self.pooled = nn.Conv2d(3, 3, 1)

    def forward(self, u: Tensor) -> Tensor:
        h = self.own_map_norm(self.map_norm(self.stem(u)))
        last = self.own_last_norm(self.token_norm(h.movedim(1, -1)))
        tokens = self.own_token_norm(last.flatten(1, 2))
        h = self.own_row_norm(tokens.transpose(1, 2))
        h = self.own_other_norm(h).unflatten(2, u.shape[2:])
        windows = h.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 4, 5, 1)
        self.window_norm(windows.flatten(0, 2).flatten(1, 2))
        h = self.weighted(self.up(h))
        return u + h * self.pooled(h.mean((2, 3), keepdim=True))


def test_groups_of_nafnet_are_its_stages():
    network = MODELS.build(NAFNET)
    expected = {
        'encoders.0/4': ['encoders.0.0.norm1', 'encoders.0.0.norm2'],
        'encoders.1/8': [f'encoders.1.{i}.norm{k}' for i in (0, 1) for k in (1, 2)],
        'decoders.0/8': ['decoders.0.0.norm1', 'decoders.0.0.norm2'],
        'decoders.1/4': ['decoders.1.0.norm1', 'decoders.1.0.norm2'],
        'middle_blks/16': ['middle_blks.0.norm1', 'middle_blks.0.norm2'],
    }
    assert names(conditioning_sites(trace(network))) == expected
    assert names(conditioning_sites(trace(compat.mend_custom_functions(network)))) == expected


def test_a_stage_with_two_widths_forms_two_groups():
    assert names(conditioning_sites(trace(Staged(with_norms=True)))) == {
        'levels.0.0/4': ['levels.0.0.0'],
        'levels.0.1/4': ['levels.0.1.0'],
        'tail/4': ['tail.0.0'],
        'tail/3': ['tail.2.0'],
    }


def test_without_norms_time_enters_after_all_convolutions_but_the_last():
    assert names(conditioning_sites(trace(Staged(with_norms=False)))) == {
        'stem/4': ['stem'],
        'levels.0.0/4': ['levels.0.0.1'],
        'levels.0.1/4': ['levels.0.1.1'],
        'tail/4': ['tail.0.1'],
        'tail/3': ['tail.1', 'tail.2.1'],
    }


def test_declared_groups_are_used():
    assert names(conditioning_sites(trace(Stating(with_norms=True)))) == {'mine': ['tail.0.0']}


@pytest.mark.parametrize('network', [nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU())])
def test_networks_without_sites_require_explicit_names(network):
    with pytest.raises(
        ValueError, match=r'conditioning=\[\.\.\.\] of ConditionedBackbone'
    ) as error:
        conditioning_sites(trace(network))
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
    assert is_affine_norm(module) is expected


@pytest.mark.parametrize(
    ('name', 'stage'),
    [
        ('stem', 'stem'),
        ('tail.0.1', 'tail'),
        ('levels.0.1.0', 'levels.0.1'),
        ('levels.1', 'levels.1'),
    ],
)
def test_a_stage_is_the_outermost_module_that_is_not_a_list(name, stage):
    assert stage_of(Staged(with_norms=True), name) == stage


def test_channels_are_found_in_every_layout_and_windows_are_skipped():
    assert conditioning_sites(trace(Layouts())) == {
        f'{name}/8': [Site(name, 8, axis)]
        for name, axis in {
            'map_norm': 1,
            'token_norm': 3,
            'own_map_norm': 1,
            'own_last_norm': 3,
            'own_token_norm': 2,
            'own_row_norm': 1,
        }.items()
    }


def test_sites_can_be_selected_with_wildcards():
    found = conditioning_sites(trace(Layouts()), ['own_*map*', 'up', 'weighted', 'token_norm'])
    assert found == {
        'token_norm/8': [Site('token_norm', 8, 3)],
        'own_map_norm/8': [Site('own_map_norm', 8, 1)],
        'up/6': [Site('up', 6, 1)],
        'weighted/3': [Site('weighted', 3, 1)],
    }


@pytest.mark.parametrize(
    ('pattern', 'message'),
    [
        ('token_nrom', r"'token_nrom' matches no module of Layouts. Closest: token_norm"),
        ('window_norm', r"'window_norm' \(LayerNorm\): its output .* have the batch size of"),
        ('unused_norm', r"'unused_norm' \(LayerNorm\): it does not run"),
        ('own_other_norm', r"'own_other_norm' .* has the 5 channels of its weight"),
    ],
)
def test_unusable_sites_are_rejected(pattern, message):
    with pytest.raises(ValueError, match=message):
        conditioning_sites(trace(Layouts()), ['map_norm', pattern])


def test_convolutions_of_pooled_values_are_skipped():
    network = Layouts()
    for name, _ in list(network.named_children()):
        if name.endswith('norm'):
            setattr(network, name, nn.Identity())
    # pooled runs last; weighted is the last that gives a map, and is not the last layer.
    assert names(conditioning_sites(trace(network))) == {
        'stem/8': ['stem'],
        'weighted/3': ['weighted'],
    }
