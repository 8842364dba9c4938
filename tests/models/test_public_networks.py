"""Public networks by name, and from public weight files."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from zoo_cases import bare_network, in_its_own_way

from dtir_mm.models.backbones import zoo
from dtir_mm.models.backbones.xrestormer import XRestormer
from dtir_mm.registry import MODELS
from dtir_mm.weights_file import CheckpointError

ROOT = Path(__file__).resolve().parents[2]
NAFNET = dict(width=8, middle_blk_num=1, enc_blk_nums=[1], dec_blk_nums=[1])
pytestmark = pytest.mark.filterwarnings('ignore')  # of torch.jit and meshgrid, in spandrel


# --- by name ----------------------------------------------------------------------------------


def test_spandrel_is_imported_only_when_used():
    code = (
        'import sys, dtir_mm.models; from dtir_mm.registry import MODELS; '
        "MODELS.build(dict(type='XRestormer', dim=8)); "
        "assert not any(name.startswith('spandrel') for name in sys.modules); "
        "assert MODELS.get('spandrel.NAFNet').__name__ == 'NAFNet'"
    )
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'torch.jit' not in result.stderr, 'a warning of spandrel is shown'


@pytest.mark.parametrize(
    ('wrong', 'closest'),
    [
        ('spandrel.RetinexFormr', 'spandrel.RetinexFormer'),
        ('spandrel.MIRNetv2', 'spandrel.MIRNet2'),
        ('spandrel.ModelLoader', 'spandrel.'),  # spandrel has it, but it is no network
    ],
)
def test_unknown_names_list_the_closest(wrong, closest):
    with pytest.raises(KeyError) as error:
        MODELS.build(dict(type=wrong))
    assert wrong in str(error.value)
    assert str(error.value).split('Closest: ')[1].startswith(closest)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (
            dict(type='spandrel.ESRGAN', num_filters=8, num_blocks=1),
            r'spandrel.ESRGAN is ESRGAN for SR, from 3 to 3 channels at scale 4; .* at scale 1',
        ),
        (
            dict(
                type='spandrel.NAFNet', width=4, img_channel=1, enc_blk_nums=[1], dec_blk_nums=[1]
            ),
            r'spandrel.NAFNet is NAFNet for Restoration, from 1 to 1 channels',
        ),
        (
            dict(type='spandrel.DRUNet', in_nc=4, out_nc=3, nc=[8] * 4, nb=1),
            r"spandrel.DRUNet with \{'in_nc': 4.* is not recognised by spandrel",
        ),
    ],
)
def test_networks_that_do_not_restore_rgb_images_are_rejected(config, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(config)


@pytest.fixture
def without_extra_architectures(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        'find_spec',
        lambda name, *rest: None if name == 'spandrel_extra_arches' else find_spec(name, *rest),
    )
    monkeypatch.setattr(zoo.SPANDREL, '_module_dict', {})


@pytest.mark.usefixtures('without_extra_architectures')
def test_networks_of_the_missing_extra_package_name_it_and_its_licences():
    assert MODELS.get('spandrel.NAFNet').__name__ == 'NAFNet'
    with pytest.raises(
        ImportError, match='spandrel.Restormer needs .*pip install .*commercial use'
    ):
        MODELS.build(dict(type='spandrel.Restormer'))


@pytest.mark.usefixtures('without_extra_architectures')
def test_unknown_files_mention_the_missing_extra_package_only_as_a_possibility(tmp_path):
    save_public(nn.Conv2d(3, 3, 1), tmp_path / 'own.pth')
    with pytest.raises(ValueError, match='no public network') as raised:
        MODELS.build(dict(type='PublicNetwork', file=str(tmp_path / 'own.pth')))
    told = str(raised.value)
    assert 'where spandrel_extra_arches (M3SNet, MIRNet2, MPRNet, Restormer) is not inst' in told
    assert 'needs spandrel_extra_arches' not in told


# --- out of a file ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'kind'),
    [
        *((name, '.pth') for name in ('Restormer', 'SwinIR', 'MPRNet', 'KBNet', 'DRUNet')),
        *(('NAFNet', kind) for kind in ('.pth', 'params.pth', '.safetensors')),
    ],
)
def test_a_public_file_gives_architecture_sizes_and_weights(name, kind, tmp_path):
    bare, file = bare_network(name), tmp_path / f'public{kind}'
    save_public(bare, file)
    network = MODELS.build(dict(type='PublicNetwork', file=str(file)))
    torch.testing.assert_close(dict(network.state_dict()), dict(bare.state_dict()))
    image = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        expected = in_its_own_way(name, bare, image)
        torch.testing.assert_close(network.eval()(image * 2 - 1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('width', [{}, dict(ffn_expansion_factor=1.5, spatial_heads=[1, 3, 2, 1])])
@torch.no_grad()
def test_public_weights_of_x_restormer_are_recognised_too(width, tmp_path):
    """Which spandrel does not know; they take images in [0, 1] as its networks do."""
    arguments = dict(
        dim=8, num_blocks=[1, 2, 1, 1], num_refinement_blocks=3, channel_heads=[1, 2, 1, 4],
        window_size=4, spatial_dim_head=4, **width,
    )  # fmt: skip
    bare = XRestormer(**arguments)
    for parameter in bare.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    save_public(bare, tmp_path / 'params.pth')
    network = MODELS.build(dict(type='PublicNetwork', file=str(tmp_path / 'params.pth')))
    assert arguments.items() <= network.config().items()
    assert network.size_multiple == 32
    image = torch.rand(1, 3, 32, 64)
    torch.testing.assert_close(network(image * 2 - 1), bare(image) * 2 - 1, rtol=0, atol=1e-5)
    assert (bare(image) - image).abs().mean() > 1e-3


@pytest.mark.parametrize(
    'wrap',
    [
        lambda weights: {'model_state_dict': {f'module.{n}': w for n, w in weights.items()}},
        lambda weights: {
            'meta': {'epoch': 3},
            'state_dict': {f'generator.{n}': w for n, w in weights.items()}
            | {'step': torch.ones(1)},
        },
    ],
    ids=['a training loop', 'mmagic'],
)
def test_wrapped_state_dicts_are_recognised(wrap, tmp_path):
    network = MODELS.get('spandrel.NAFNet').network(**NAFNET)
    torch.save(wrap(network.state_dict()), tmp_path / 'a.pt')
    found = MODELS.build(dict(type='PublicNetwork', file=str(tmp_path / 'a.pt')))
    torch.testing.assert_close(dict(found.state_dict()), dict(network.state_dict()))


def save_public(network: nn.Module, file: Path) -> None:
    if file.suffix == '.safetensors':
        save_file({name: value.clone() for name, value in network.state_dict().items()}, file)
    elif 'params' in file.name:
        torch.save({'params': network.state_dict()}, file)
    else:
        torch.save(network.state_dict(), file)


def test_a_config_becomes_independent_of_the_file(tmp_path):
    arguments = dict(upscale=1, window_size=8, depths=[2], num_heads=[2], embed_dim=8)
    bare = MODELS.get('spandrel.SwinIR').network(**arguments)
    save_public(bare, tmp_path / 'a.pth')
    public = dict(type='PublicNetwork', file=str(tmp_path / 'a.pth'))
    config = dict(model=dict(backbone=dict(backbone=public)), hooks=[dict(type='A')], n=(1, 2))
    resolved = zoo.self_contained(config)
    assert config['model']['backbone']['backbone'] is public
    (tmp_path / 'a.pth').unlink()
    network = resolved['model']['backbone'].pop('backbone')
    assert resolved == dict(model=dict(backbone={}), hooks=[dict(type='A')], n=(1, 2))
    assert json.loads(json.dumps(network)) == network
    assert network['type'] == 'spandrel.SwinIR' and network['depths'] == [2]
    MODELS.build(network).load_state_dict(bare.state_dict())


@torch.no_grad()
def test_fine_tuning_of_a_public_file_starts_at_what_the_file_restores(tmp_path):
    bare = bare_network('NAFNet')
    save_public(bare, tmp_path / 'nafnet.pth')
    public = dict(type='PublicNetwork', file=str(tmp_path / 'nafnet.pth'))
    backbone = dict(type='ConditionedBackbone', backbone=public)
    head = dict(type='NoiseHead', residual_scale='one')
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, head=head)).eval()
    image = torch.rand(1, 3, 13, 21)
    expected = in_its_own_way('NAFNet', bare, image)
    for t in (1, 30):
        restored = restorer(image * 2 - 1, torch.tensor([t]))
        torch.testing.assert_close(restored, expected, rtol=1e-5, atol=1e-5)
    assert (expected - (image * 2 - 1)).abs().mean() > 1e-3


class Harm:
    def __reduce__(self):
        return Path.touch, (Path('harmed'),)


def test_code_in_a_file_is_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({**bare_network('NAFNet').state_dict(), 'harm': Harm()}, 'a.pth')
    with pytest.raises(CheckpointError, match='a.pth holds Python objects'):
        MODELS.build(dict(type='PublicNetwork', file='a.pth'))
    assert not Path('harmed').exists()


def test_files_without_a_known_network_are_rejected(tmp_path):
    def message(file: Path, error: type[Exception] = ValueError) -> str:
        with pytest.raises(error) as raised:
            MODELS.build(dict(type='PublicNetwork', file=str(file)))
        assert str(file) in str(raised.value)
        return str(raised.value)

    message(tmp_path / 'lost.pth', CheckpointError)
    (tmp_path / 'cut.pth').write_bytes(b'cut')
    message(tmp_path / 'cut.pth', CheckpointError)
    save_public(nn.Conv2d(3, 3, 1), tmp_path / 'own.pth')
    told = message(tmp_path / 'own.pth')
    assert 'no public network' in told and 'spandrel_extra_arches' not in told
    assert 'its 2 tensors are weight (3, 3, 1, 1), bias (3,)' in told
    network = MODELS.get('spandrel.NAFNet').network(**NAFNET)
    almost = network.state_dict() | {'intro.weight': torch.ones(16, 3, 5, 5)}
    torch.save(almost, tmp_path / 'almost.pth')
    assert 'almost holds the weights of a public network' in message(tmp_path / 'almost.pth')
    broken = network.state_dict() | {'intro.bias': torch.full((8,), float('nan'))}
    torch.save(broken, tmp_path / 'broken.pth')
    assert 'intro.bias are not finite' in message(tmp_path / 'broken.pth', CheckpointError)
    enlarging = MODELS.get('spandrel.ESRGAN').network(num_filters=8, num_blocks=1)
    save_public(enlarging, tmp_path / 'esrgan.pth')
    assert 'ESRGAN for SR' in message(tmp_path / 'esrgan.pth')


# --- the networks of mmagic are the published ones --------------------------------------------

TWINS = {
    'NAFNet': dict(
        type='mmagic.NAFNet', mid_channels=8, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1],
        middle_blk_num=1,
    ),
    'Restormer': dict(
        type='mmagic.Restormer', dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1,
        heads=[1, 1, 2, 2],
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', TWINS)
@torch.no_grad()
def test_mmagic_networks_equal_the_published_ones(name):
    bare = bare_network(name)
    backbone = MODELS.build(dict(type='ConditionedBackbone', backbone=TWINS[name])).eval()
    backbone.net.load_state_dict(bare.state_dict())
    image = torch.rand(2, 3, 32, 40)
    output, expected = backbone(image, torch.tensor([4, 40])), bare(image)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)
    assert (expected - image).abs().mean() > 1e-3


@pytest.mark.parametrize(
    ('config', 'parameters'),
    [
        (
            dict(
                type='mmagic.NAFNet', mid_channels=64, enc_blk_nums=[1, 1, 1, 28],
                middle_blk_num=1, dec_blk_nums=[1, 1, 1, 1],
            ),
            67_888_835,
        ),
        (dict(type='mmagic.Restormer'), 26_126_644),
        (dict(type='spandrel.Restormer'), 26_126_644),
    ],
)  # fmt: skip
def test_parameter_counts_at_full_size_are_the_published_ones(config, parameters):
    with torch.device('meta'):
        network = MODELS.build(config)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
