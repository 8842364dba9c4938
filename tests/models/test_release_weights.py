"""All weights of the authors' release are mapped to our names and layout."""

import pytest
import torch
from torch import Tensor, nn

from dtir_mm.engine.weights_loading import load_weights
from dtir_mm.models.release_weights import from_release, is_release
from dtir_mm.registry import MODELS
from dtir_mm.weights_file import CheckpointError

WIDTH, EXPERTS = 4, 3
CONFIG = dict(
    type='ConditionedBackbone',
    backbone=dict(
        type='ReleasedNAFNet', width=WIDTH, encoder_blocks=(1, 2), middle_blocks=1,
        decoder_blocks=(1, 1),
    ),
    time_embedding=dict(type='GatedTimeEmbedding', dim=2 * WIDTH, sinusoid_dim=WIDTH),
    neutral_films=False,
)  # fmt: skip
BLOCKS = {
    'encoders.0.0': WIDTH,
    'encoders.1.0': 2 * WIDTH,
    'encoders.1.1': 2 * WIDTH,
    'middle_blks.0': 4 * WIDTH,
    'decoders.0.0': 2 * WIDTH,
    'decoders.1.0': WIDTH,
}


def their_shapes(adapters: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a tiny network of theirs."""
    layers = {  # of weight; a bias has the first of them
        'time_mlp.1': (8 * WIDTH, WIDTH),
        'time_mlp.3': (4 * WIDTH, 4 * WIDTH),
        'intro': (WIDTH, 3, 3, 3),
        'ending': (3, WIDTH, 3, 3),
        'downs.0': (2 * WIDTH, WIDTH, 2, 2),
        'downs.1': (4 * WIDTH, 2 * WIDTH, 2, 2),
    }
    shapes: dict[str, tuple[int, ...]] = {
        'ups.0.0.weight': (8 * WIDTH, 4 * WIDTH, 1, 1),
        'ups.1.0.weight': (4 * WIDTH, 2 * WIDTH, 1, 1),
    }
    for block, c in BLOCKS.items():
        layers |= {
            f'{block}.mlp.1': (4 * c, 2 * WIDTH),
            f'{block}.conv1': (2 * c, c, 1, 1),
            f'{block}.conv2': (2 * c, 1, 3, 3),
            f'{block}.conv3': (c, c, 1, 1),
            f'{block}.sca.1': (c, c, 1, 1),
            f'{block}.conv4': (2 * c, c, 1, 1),
            f'{block}.conv5': (c, c, 1, 1),
        }
        of_channels = ('norm1.g', 'norm2.g', 'beta', 'gamma')
        shapes |= {f'{block}.{name}': (1, c, 1, 1) for name in of_channels}
    for i, c in enumerate((2 * WIDTH, WIDTH) if adapters else ()):
        site = f'moe_adapters.{i}.adapter'
        shapes |= {f'{site}.scale': (1,), f'{site}.time_emb.weight': (51, c)}
        layers |= {f'{site}.router.0': (c, 2 * c), f'{site}.router.2': (EXPERTS, c)}
        for e in range(EXPERTS):
            layers[f'{site}.experts.{e}.0'] = (16, c, 3, 3)
            layers[f'{site}.experts.{e}.2'] = (16, 16, 3, 3)
            layers[f'{site}.experts.{e}.4'] = (c, 16, 1, 1)
    for layer, shape in layers.items():
        shapes |= {f'{layer}.weight': shape, f'{layer}.bias': shape[:1]}
    return shapes


def theirs(adapters: bool = False) -> dict[str, Tensor]:
    """Every value occurs once, so that a tensor in a wrong place shows."""
    shapes, weights, start = their_shapes(adapters), {}, 0
    for name, shape in shapes.items():
        size = torch.Size(shape).numel()
        weights[name] = torch.arange(start, start + size).double().reshape(shape)
        start += size
    return weights


def ours(adapters: bool = False) -> nn.Module:
    kind = dict(type='DecoderAdapters', num_experts=EXPERTS) if adapters else None
    return MODELS.build({**CONFIG, 'adapters': kind}).double()


@pytest.mark.parametrize('adapters', [False, True])
def test_every_tensor_is_mapped(adapters):
    weights, network = theirs(adapters), ours(adapters)
    network.load_state_dict(from_release(weights), strict=True)
    before = torch.cat([tensor.flatten() for tensor in weights.values()]).sort().values
    after = torch.cat([p.flatten() for p in network.parameters()]).sort().values
    assert torch.equal(after, before)  # all values, each once


def test_renamed_tensors_keep_their_values():
    weights = theirs()
    state = from_release(weights)
    renamed = {
        'net.stem.bias': 'intro.bias',
        'net.conv_out.weight': 'ending.weight',
        'net.downs.1.weight': 'downs.1.weight',
        'net.ups.0.0.weight': 'ups.0.0.weight',
        'time_embedding.mlp.0.weight': 'time_mlp.1.weight',
        'time_embedding.mlp.2.bias': 'time_mlp.3.bias',
        'net.encoders.1.1.widen.weight': 'encoders.1.1.conv1.weight',
        'net.encoders.1.1.depthwise.bias': 'encoders.1.1.conv2.bias',
        'net.middle.0.project.weight': 'middle_blks.0.conv3.weight',
        'net.middle.0.attention.weight': 'middle_blks.0.sca.1.weight',
        'net.decoders.0.0.widen_again.bias': 'decoders.0.0.conv4.bias',
        'net.decoders.0.0.project_again.weight': 'decoders.0.0.conv5.weight',
    }
    for name, their_name in renamed.items():
        assert torch.equal(state[name], weights[their_name]), name
    for name, their_name in {
        'norm1.weight': 'norm1.g', 'norm2.weight': 'norm2.g', 'scale1': 'beta', 'scale2': 'gamma'
    }.items():  # fmt: skip
        got = state[f'net.decoders.1.0.{name}'].flatten()
        assert torch.equal(got, weights[f'decoders.1.0.{their_name}'].flatten()), name


def test_shift_and_scale_of_both_norms_are_swapped():
    """Theirs: shift 1, scale 1, shift 2, scale 2 of one layer; ours: scale, shift of two."""
    weights = theirs()
    state = from_release(weights)
    weight, bias = (weights[f'encoders.0.0.mlp.1.{name}'] for name in ('weight', 'bias'))
    c = WIDTH
    for norm, shift, scale in ((1, 0, c), (2, 2 * c, 3 * c)):
        film = f'films.encoders_0_0_norm{norm}.linear'
        for i in range(c):
            assert torch.equal(state[f'{film}.weight'][i], weight[scale + i])
            assert torch.equal(state[f'{film}.weight'][c + i], weight[shift + i])
            assert state[f'{film}.bias'][i] == bias[scale + i]
            assert state[f'{film}.bias'][c + i] == bias[shift + i]


def test_experts_are_concatenated():
    weights = dict(reversed(theirs(adapters=True).items()))  # in any order
    state = from_release(weights)
    prefix, site = 'adapters.experts.decoders_1', 'moe_adapters.1.adapter'
    for name, index, rows in (('down', 0, 16), ('across', 2, 16), ('up', 4, WIDTH)):
        for e in range(EXPERTS):
            for kind in ('weight', 'bias'):
                got = state[f'{prefix}.{name}.{kind}'][e * rows : (e + 1) * rows]
                assert torch.equal(got, weights[f'{site}.experts.{e}.{index}.{kind}'])
    assert torch.equal(state[f'{prefix}.steps.weight'], weights[f'{site}.time_emb.weight'])
    assert torch.equal(state[f'{prefix}.router.2.weight'], weights[f'{site}.router.2.weight'])
    assert torch.equal(state[f'{prefix}.scale'], weights[f'{site}.scale'])


def test_the_prefix_of_distributed_training_is_stripped():
    weights = theirs(adapters=True)
    prefixed = {f'module.{name}': value for name, value in weights.items()}
    expected, got = from_release(weights), from_release(prefixed)
    assert list(got) == list(expected)
    assert all(torch.equal(got[name], value) for name, value in expected.items())
    assert is_release(weights) and is_release(prefixed)


@pytest.mark.parametrize(
    'name',
    [
        'intro.scale', 'ups.0.1.weight', 'encoders.0.0.conv6.weight', 'encoders.0.0.conv1.scale',
        'middle_blks.0.norm1.b', 'moe_adapters.0.adapter.experts.0.1.weight',
        'moe_adapters.0.adapter.router.1.weight', 'moe_adapters.0.scale', 'classifier.weight',
    ],
)  # fmt: skip
def test_unknown_tensors_are_rejected(name):
    weights = theirs() | {name: torch.zeros(4, 1), 'another': torch.zeros(1)}
    with pytest.raises(ValueError, match=f'no tensors of these names: {name}, another$'):
        from_release(weights)


def test_other_weights_are_not_taken_for_the_release():
    assert not is_release(ours().state_dict())
    nafnet = MODELS.build(
        dict(type='mmagic.NAFNet', mid_channels=4, enc_blk_nums=[1], dec_blk_nums=[1])
    )
    assert not is_release(nafnet.state_dict())


class Model(nn.Module):
    """As much of a restorer as loading needs."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone


@pytest.mark.parametrize('adapters', [False, True])
def test_a_file_of_the_release_is_loaded_as_weights(adapters):
    model, weights = Model(ours(adapters)), theirs(adapters)
    load_weights(model, weights, 'latest_model.pth')
    for name, value in from_release(weights).items():
        assert torch.equal(model.state_dict()[f'backbone.{name}'], value), name


def test_adapters_missing_from_the_file_keep_their_initialisation():
    model = Model(ours(adapters=True))
    before = {name: value.clone() for name, value in model.backbone.adapters.state_dict().items()}
    load_weights(model, theirs(), 'a.pth', new_parameter_prefixes=('backbone.adapters.',))
    after = model.backbone.adapters.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(model.backbone.net.stem.weight, theirs()['intro.weight'])


def test_mismatched_weights_raise_a_checkpoint_error():
    with pytest.raises(CheckpointError, match=r'in the file: backbone\.adapters\.experts'):
        load_weights(Model(ours()), theirs(adapters=True), 'a.pth')
    with pytest.raises(CheckpointError, match=r'a\.pth: .* no tensors of these names: odd$'):
        load_weights(Model(ours()), theirs() | {'odd': torch.zeros(1)}, 'a.pth')
