"""Traces of networks that are defined in another order than they run in."""

import pytest
import torch
from torch import Tensor, nn

import dtir_mm.models  # noqa: F401 - registers the networks
from dtir_mm.models.tracing.trace import trace
from dtir_mm.registry import MODELS

UNET = dict(
    type='DtirUNet', width=8, channel_multipliers=(1, 2), blocks_per_level=(2,), middle_blocks=1
)
NAFNET = dict(
    type='mmagic.NAFNet',
    mid_channels=4,
    middle_blk_num=1,
    enc_blk_nums=[1, 1, 1, 2],
    dec_blk_nums=[1, 1, 1, 1],
)
RESTORMER = dict(
    type='mmagic.Restormer', dim=8, num_blocks=[1, 2, 2, 2], num_refinement_blocks=2
)  # fmt: skip
SWINIR = dict(
    type='mmagic.SwinIRNet',
    upscale=1,
    in_chans=3,
    img_size=64,
    window_size=8,
    img_range=1.0,
    depths=[2, 2],
    embed_dim=12,
    num_heads=[2, 2],
    mlp_ratio=2,
    upsampler='',
    resi_connection='1conv',
)
ORDERS = {
    'unet': """
        stem encoders.0.0 encoders.0.1 encoders.0.2 downs.0 middle.0 middle.1
        ups.0 decoders.0.0 decoders.0.1 decoders.0.2 norm_out conv_out
    """,
    'nafnet': """
        intro encoders.0.0 downs.0 encoders.1.0 downs.1 encoders.2.0 downs.2
        encoders.3.0 encoders.3.1 downs.3 middle_blks.0
        ups.0.0 decoders.0.0 ups.1.0 decoders.1.0 ups.2.0 decoders.2.0 ups.3.0 decoders.3.0 ending
    """,
    'restormer': """
        patch_embed encoder_level1.0 down1_2 encoder_level2.0 encoder_level2.1 down2_3
        encoder_level3.0 encoder_level3.1 down3_4 latent.0 latent.1
        up4_3 reduce_chan_level3 decoder_level3.0 decoder_level3.1
        up3_2 reduce_chan_level2 decoder_level2.0 decoder_level2.1
        up2_1 decoder_level1.0 refinement.0 refinement.1 output
    """,
    'swinir': """
        conv_first patch_embed layers.0.residual_group.blocks.0 layers.0.residual_group.blocks.1
        layers.0.conv layers.1.residual_group.blocks.0 layers.1.residual_group.blocks.1
        layers.1.conv norm conv_after_body conv_last
    """,
}
DEEPEST_SITE = {
    'unet': {
        'encoders_0_0': 'encoders.0.0',
        'encoders_0_1': 'encoders.0.1',
        'middle_0': 'middle.0',
        'decoders_0_0': 'decoders.0.0',
        'decoders_0_1': 'decoders.0.1',
    },
    'nafnet': {
        'encoders_0/4': 'encoders.0.0',
        'encoders_1/8': 'encoders.1.0',
        'encoders_2/16': 'encoders.2.0',
        'encoders_3/32': 'encoders.3.1',
        'middle_blks/64': 'middle_blks.0',
        'decoders_0/32': 'decoders.0.0',
        'decoders_1/16': 'decoders.1.0',
        'decoders_2/8': 'decoders.2.0',
        'decoders_3/4': 'decoders.3.0',
    },
}


class Block(nn.Module):
    """A residual block whose layers are defined in reverse order."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.GroupNorm(1, 4)

    def forward(self, u: Tensor) -> Tensor:
        return u + self.conv(self.norm(u))


class HalfBlock(Block):
    """Its convolution never runs."""

    def forward(self, u: Tensor) -> Tensor:
        return u + self.norm(u)


class Stage(nn.Module):
    """Runs a list of parts in reverse, then a convolution, and adds its own parameter."""

    def __init__(self, parts: nn.ModuleList | nn.ModuleDict | nn.Sequential) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(4, 1, 1))
        self.conv = nn.Conv2d(4, 4, 1)
        self.parts = parts

    def forward(self, u: Tensor) -> Tensor:
        for name, _ in reversed(list(self.parts.named_children())):
            u = self.parts.get_submodule(name)(u)
        return self.conv(u) + self.bias


class Crossed(nn.Module):
    """Every kind of container, a block that runs twice and one that never does."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(4, 3, 1)
        self.unused = Block()
        self.chain = nn.Sequential(Block(), nn.ReLU(), nn.Conv2d(4, 4, 1))
        self.twice = Block()
        self.listed = nn.ModuleList([nn.ModuleList([Block()]), nn.Conv2d(4, 4, 1)])
        self.named = nn.ModuleDict({'b': nn.BatchNorm2d(4), 'a': HalfBlock()})
        self.first = nn.Conv2d(3, 4, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, u: Tensor) -> Tensor:
        h = self.twice(self.first(u))
        h = self.listed[0][0](self.listed[1](h))
        h = self.named['b'](self.named['a'](h))
        h = self.twice(self.dropout(h))
        return self.last(self.chain(h))


class Broken(Crossed):
    size_multiple = 1

    def forward(self, u: Tensor) -> Tensor:
        super().forward(u)
        raise KeyError('no such level')


class Scaled(nn.Module):
    """Its own parameter scales the output of its only block."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 3, 1)
        self.scale = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, u: Tensor) -> Tensor:
        return self.scale * self.body(u)


class Grouped(nn.Module):
    """States groups over blocks that run in the order c, b, a, d."""

    global_skip = False

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = Block(), Block(), Block(), Block()
        self.head, self.tail = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)

    def conditioning_groups(self) -> dict[str, list[str]]:
        return {'one.x': ['a.norm', 'b.norm', 'c.norm'], 'two': ['c.norm', 'b.conv']}

    def forward(self, u: Tensor) -> Tensor:
        return self.tail(self.d(self.a(self.b(self.c(self.head(u))))))


def conditioned(backbone: dict) -> nn.Module:
    return MODELS.build(
        dict(type='ConditionedBackbone', backbone=backbone, time_embedding=dict(dim=8))
    )


def state_of(net: nn.Module) -> dict[str, object]:
    """What a trace could change, apart from weights and running means."""
    return {
        'training': [module.training for module in net.modules()],
        'requires_grad': [parameter.requires_grad for parameter in net.parameters()],
        'grad': [parameter.grad for parameter in net.parameters()],
        'hooks': [
            (len(module._forward_hooks), len(module._forward_pre_hooks)) for module in net.modules()
        ],
        'random': torch.get_rng_state().tolist(),
    }


def test_blocks_are_ordered_by_their_first_call():
    expected = 'first twice listed.1 listed.0.0 named.a named.b chain.0 chain.2 last unused'.split()
    found = trace(Crossed())
    assert found.order == expected
    assert found.depths == {expected[i]: i / 9 for i in range(10)}
    assert trace(nn.Conv2d(3, 3, 1)).depths == {'': 0.0}


def test_every_parameter_is_assigned_to_its_block():
    assert trace(Crossed()).blocks == {
        f'{path}.{name}': block
        for block, parts in {
            'last': ['last'],
            'unused': ['unused.conv', 'unused.norm'],
            'chain.0': ['chain.0.conv', 'chain.0.norm'],
            'chain.2': ['chain.2'],
            'twice': ['twice.conv', 'twice.norm'],
            'listed.0.0': ['listed.0.0.conv', 'listed.0.0.norm'],
            'listed.1': ['listed.1'],
            'named.b': ['named.b'],
            'named.a': ['named.a.conv', 'named.a.norm'],
            'first': ['first'],
        }.items()
        for path in parts
        for name in ('weight', 'bias')
    }


class InFourChannels(nn.Sequential):
    global_skip = False

    def forward(self, u: Tensor) -> Tensor:
        return super().forward(u[:, [0, 1, 2, 0]])


OPENED = ['0', '0.parts.1', '0.parts.0', '0.conv', '1']  # its own parameter comes first
WHOLE = ['0', '1']


@pytest.mark.parametrize(
    ('parts', 'expected'),
    [
        (nn.ModuleList([Block(), Block()]), OPENED),
        (nn.Sequential(Block(), Block()), OPENED),
        (nn.ModuleDict({'0': Block(), '1': Block()}), OPENED),
        (nn.ModuleList([Block()]), WHOLE),
        (nn.ModuleList([Block(), HalfBlock()]), WHOLE),
        (nn.ModuleList([nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)]), WHOLE),
    ],
    ids=['list', 'chain', 'dict', 'single', 'two classes', 'convolutions'],
)
def test_modules_are_split_into_repeated_composite_parts(parts, expected):
    net = InFourChannels(Stage(parts), nn.Conv2d(4, 3, 1))
    found = trace(net)
    assert found.order == expected
    block_of = found.blocks
    assert block_of['0.bias'] == '0'
    assert block_of['0.conv.weight'] == ('0.conv' if expected == OPENED else '0')
    assert set(block_of) == {name for name, _ in net.named_parameters()}


def test_root_parameters_form_a_block_that_runs_first():
    found = trace(Scaled())
    assert found.order == ['', 'body']
    assert found.blocks == {'scale': '', 'body.weight': 'body', 'body.bias': 'body'}


@pytest.mark.parametrize('network', [Crossed, Broken])
def test_the_network_is_left_unchanged(network):
    net = network().double()
    net.twice.eval()
    net.chain.requires_grad_(False)
    before = state_of(net)
    values = {name: value.clone() for name, value in net.state_dict().items()}
    assert 0 < sum(before['training']) < len(before['training'])
    try:
        trace(net)
    except ValueError:
        assert network is Broken
    assert state_of(net) == before
    torch.testing.assert_close(dict(net.state_dict()), values, rtol=0, atol=0)


def test_failing_networks_are_named():
    with pytest.raises(ValueError, match=r'Broken cannot be run on \(2, 3, 72, 104\): .*no such'):
        trace(Broken())


def test_fully_declared_networks_run_once_in_their_own_dtype():
    seen = []
    net = nn.Conv2d(3, 3, 1).double()
    net.global_skip, net.size_multiple = False, 16
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert trace(net).order == ['']
    assert [(image.shape, image.dtype) for image in seen] == [((2, 3, 80, 112), torch.float64)]


def test_the_last_layers_are_found():
    found = trace(Crossed())
    assert found.last_layer == found.last_convolution == 'last'
    assert found.shapes['twice'] == [(2, 4, 72, 104)] * 2
    assert 'unused' not in found.shapes


@pytest.mark.parametrize(
    ('name', 'backbone'),
    [('unet', UNET), ('nafnet', NAFNET), ('restormer', RESTORMER), ('swinir', SWINIR)],
)
def test_blocks_of_real_networks(name, backbone):
    network = conditioned(backbone)
    before = state_of(network)
    order = network.trace.order
    blocks = network.parameter_blocks()
    assert state_of(network) == before
    assert order == ORDERS[name].split()
    assert set(blocks) == {parameter for parameter, _ in network.named_parameters()}
    films = {}
    for parameter, block in blocks.items():
        group = parameter.removeprefix('films.').split('.linear')[0]
        if parameter.startswith('net.'):
            # Names of blocks contain no others here, so it is the one that the path begins with.
            assert [b for b in order if parameter.startswith(f'net.{b}.')] == [block]
        elif parameter.startswith('time_embedding.'):
            assert block == order[0]
        else:
            assert films.setdefault(group, block) == block
    assert films == DEEPEST_SITE.get(name, films)


def test_film_is_assigned_to_its_deepest_site():
    network = conditioned(dict(type=Grouped))
    assert network.trace.order == ['head', 'c', 'b', 'a', 'd', 'tail']
    blocks = network.parameter_blocks()
    assert set(blocks) == {parameter for parameter, _ in network.named_parameters()}
    assert blocks['films.one_x.linear.weight'] == blocks['films.one_x.linear.bias'] == 'a'
    assert blocks['films.two.linear.weight'] == blocks['films.two.linear.bias'] == 'b'
    assert {block for p, block in blocks.items() if p.startswith('time_embedding')} == {'head'}
    assert blocks['net.d.norm.weight'] == 'd'


def test_composite_blocks_hold_several_layers_but_no_other_block():
    """Those of a U-Net are its residual blocks: neither lone convolutions nor stages of blocks."""
    net = MODELS.build(
        dict(type='DtirUNet', width=8, channel_multipliers=(1, 2), blocks_per_level=(2,),
             middle_blocks=1, attention=False)
    )  # fmt: skip
    name_of = {module: name for name, module in net.named_modules()}
    found = [name_of[block] for block in trace(net).composite_blocks()]
    assert found == ['decoders.0.0', 'decoders.0.1', 'encoders.0.0', 'encoders.0.1', 'middle.0']
