"""Deployed networks restore as the restorer does at one time step."""

import errno
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, weight_norm

from dtir_mm.apis.deployment import deploy, load_deployed, save_deployed
from dtir_mm.engine.checkpoint import CheckpointError
from dtir_mm.registry import MODELS


@MODELS.register_module()
class ConvolutionsOnly(nn.Module):
    """Three convolutions without norms, the second without a bias, with an optional global skip."""

    def __init__(self, skip: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.last = nn.Conv2d(6, 3, 3, padding=1)
        self.skip = skip

    def forward(self, u: Tensor) -> Tensor:
        output = self.last(F.silu(self.conv2(F.silu(self.conv1(u)))))
        return u + output if self.skip else output


@MODELS.register_module()
class ScalesAfterwards(ConvolutionsOnly):
    """Ends with tanh, into which the scale of the head cannot be folded."""

    def forward(self, u: Tensor) -> Tensor:
        return super().forward(u).tanh()


@MODELS.register_module()
class RepeatsABlock(nn.Module):
    """Runs one block twice, which it has under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.block = nn.Sequential(nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1))
        self.again = self.block
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return u + self.last(self.again(self.block(self.stem(u))))


@MODELS.register_module()
class WeightNormed(nn.Module):
    """Convolutions under weight norm, in torch's present or its former implementation."""

    global_skip = True

    def __init__(self, norm: str) -> None:
        super().__init__()
        normed = {'present': parametrizations.weight_norm, 'former': weight_norm}[norm]
        self.stem = normed(nn.Conv2d(3, 8, 3, padding=1))
        self.last = normed(nn.Conv2d(8, 3, 3, padding=1))

    def forward(self, u: Tensor) -> Tensor:
        return u + self.last(F.silu(self.stem(u)))


UNET = dict(
    type='DtirUNet', width=8, channel_multipliers=(1, 2), blocks_per_level=(2,), middle_blocks=1
)
NAFNET = dict(
    type='mmagic.NAFNet', mid_channels=4, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]
)
RESTORMER = dict(
    type='mmagic.Restormer', dim=4, num_blocks=[1] * 4, num_refinement_blocks=1, heads=[1, 1, 2, 2]
)
BIAS_FREE = dict(RESTORMER, LayerNorm_type='BiasFree')
RELEASED = dict(
    type='ReleasedNAFNet', width=4, encoder_blocks=[1], middle_blocks=1, decoder_blocks=[1]
)
NETWORKS = {
    # name: (config, parameters that deployment adds)
    'unet': (UNET, 0),
    'nafnet': (NAFNET, 0),
    'restormer': (RESTORMER, 0),
    'restormer without bias': (BIAS_FREE, 2 * (4 + 8 + 16 + 32 + 16 + 8 + 8 + 8)),
    'released': (RELEASED, 2 * (4 + 8 + 4)),
    'convolutions': (dict(type='ConvolutionsOnly', skip=False), 6),
    'convolutions with skip': (dict(type='ConvolutionsOnly', skip=True), 6),
}
EVERY_NETWORK = pytest.mark.parametrize('network', NETWORKS)
ADAPTERS = dict(num_experts=3, param_budget=20_000, prompt_dim=8)


def wrapped(backbone: dict, **kwargs) -> dict:
    return dict(type='ConditionedBackbone', backbone=backbone, time_embedding=dict(dim=8), **kwargs)


def trained(backbone: dict, precision: str = 'fp64', **arguments) -> nn.Module:
    """A restorer with random weights and outputs of moderate size."""
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, **arguments))
    restorer.set_precision(precision)
    for name, parameter in restorer.named_parameters():
        norm = name.endswith('weight') and parameter.ndim == 1
        nn.init.normal_(parameter, mean=1.0 if norm else 0.0, std=0.2)
    return restorer.eval()


def images(batch: int = 2, height: int = 16, width: int = 24, dtype=torch.float64) -> Tensor:
    return torch.rand(batch, 3, height, width, dtype=dtype)


def assert_same(network: nn.Module, restorer: nn.Module, t: int, atol: float = 1e-12) -> None:
    """Asserts equal clamped and unclamped images at ``t`` that differ from the input."""
    image = images(dtype=next(network.parameters()).dtype)
    steps = torch.full((len(image),), t)
    with torch.no_grad():
        restored, unclamped = network(image), network.unclamped(image * 2 - 1)
        expected = restorer(image * 2 - 1, steps)
    largest = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(unclamped, expected, rtol=0, atol=atol * largest)
    torch.testing.assert_close(
        restored, restorer.restore_images(image * 2 - 1, steps), rtol=0, atol=atol * largest
    )
    assert (restored - image).abs().mean() > 1e-3


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@EVERY_NETWORK
def test_a_deployed_network_restores_as_the_restorer_does(network):
    restorer = trained(wrapped(NETWORKS[network][0]))
    before = {name: value.clone() for name, value in restorer.state_dict().items()}
    for t in (1, 8, 50):
        assert_same(deploy(restorer, t), restorer, t)
    after = restorer.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert_same(deploy(restorer, 8), restorer, 8)  # it keeps its hooks


@pytest.mark.parametrize('residual_scale', ['one', 'sigma', 'sigma_floor'])
@pytest.mark.parametrize('network', ['unet', 'nafnet'])
def test_the_scale_of_the_head_is_folded(network, residual_scale):
    head = dict(type='NoiseHead', residual_scale=residual_scale)
    restorer = trained(wrapped(NETWORKS[network][0]), head=head)
    assert_same(deploy(restorer, 3), restorer, 3)


def test_deployment_in_float32():
    restorer = trained(wrapped(UNET), 'fp32')
    assert_same(deploy(restorer, 8), restorer, 8, atol=1e-5)


@EVERY_NETWORK
def test_only_the_unconditioned_network_with_added_biases_remains(network):
    config, new = NETWORKS[network]
    deployed = deploy(trained(wrapped(config)), 8)
    assert size(deployed) == size(MODELS.build(config)) + new
    names = [name for name, _ in deployed.named_modules()]
    assert not any('film' in name or 'time' in name for name in names)
    assert not any(module._forward_hooks for module in deployed.modules())
    multiples = {'unet': 2, 'released': 2, 'restormer': 8, 'restormer without bias': 8}
    assert deployed.size_rule.multiple == multiples.get(network, 1)


def test_hooks_of_the_network_are_kept():
    restorer = trained(wrapped(UNET))
    seen = []
    restorer.backbone.net.stem.register_forward_hook(lambda *_: seen.append('stem'))
    network = deploy(restorer, 8)
    seen.clear()
    network(images())
    assert seen == ['stem']


@pytest.mark.parametrize('network', ['unet', 'nafnet', 'restormer without bias'])
def test_adapters_are_merged(network):
    backbone = wrapped(NETWORKS[network][0], adapters=ADAPTERS)
    restorer = trained(backbone)
    for t in (4, 30):
        deployed = deploy(restorer, t)
        assert_same(deployed, restorer, t)
    merged = sum(size(adapter) for adapter in restorer.backbone.adapters.merged(4).values())
    assert 0 < merged < size(restorer.backbone.adapters) / 3
    bare, new = NETWORKS[network]
    assert size(deployed) == size(MODELS.build(bare)) + new + merged


def test_nested_adapters_are_merged():
    adapters = dict(ADAPTERS, sites=['encoders.0', 'encoders.0.1', 'middle'])
    restorer = trained(wrapped(UNET, adapters=adapters))
    assert_same(deploy(restorer, 8), restorer, 8)


@pytest.mark.parametrize('network', ['unet', 'nafnet', 'released'])
def test_a_restoration_head_is_folded(tmp_path, network):
    backbone = wrapped(NETWORKS[network][0], restoration_head=True)
    restorer = trained(backbone)
    for t in (1, 30):
        assert_same(deploy(restorer, t), restorer, t)
    deployed = deploy(restorer.float(), 8)
    save_deployed(deployed, tmp_path / 'a.safetensors', backbone)
    image = images(dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(load_deployed(tmp_path / 'a.safetensors')(image), deployed(image))


@pytest.mark.parametrize(
    ('adapters', 'message'),
    [
        (dict(ADAPTERS, router_input='t+content'), r't\+content'),
        (dict(type='DecoderAdapters', num_experts=2), 'DecoderAdapters cannot be merged'),
    ],
)
def test_adapters_that_cannot_be_merged_are_rejected(adapters, message):
    with pytest.raises(ValueError, match=message):
        deploy(trained(wrapped(UNET, adapters=adapters)), 8)


def test_a_network_that_cannot_be_folded_is_rejected():
    restorer = trained(wrapped(dict(type='ScalesAfterwards', skip=False)))
    with pytest.raises(ValueError, match=r'ScalesAfterwards cannot be deployed.*0\.\d+'):
        deploy(restorer, 8)


@pytest.mark.parametrize('site', ['conv1', 'last'])
def test_an_adapter_between_folded_layers_is_rejected(site):
    adapters = dict(ADAPTERS, sites=[site])
    backbone = wrapped(dict(type='ConvolutionsOnly', skip=True), adapters=adapters)
    with pytest.raises(ValueError, match='without an adapter'):
        deploy(trained(backbone), 8)


@pytest.mark.parametrize(
    ('network', 'adapters'),
    [('unet', ADAPTERS), ('restormer without bias', ADAPTERS), ('convolutions with skip', None)],
)
def test_a_saved_network_round_trips(tmp_path, network, adapters):
    backbone = wrapped(NETWORKS[network][0], adapters=adapters)
    deployed = deploy(trained(backbone, 'fp32'), 8, 'rainy')
    save_deployed(deployed, tmp_path / 'a.safetensors', backbone)
    (tmp_path / 'any').touch()
    assert (tmp_path / 'a.safetensors').stat().st_mode == (tmp_path / 'any').stat().st_mode
    loaded = load_deployed(tmp_path / 'a.safetensors')
    image = images(dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(loaded(image), deployed(image))
    assert loaded.size_rule == deployed.size_rule and not loaded.training
    assert loaded.step == (8, 'rainy')


@pytest.mark.filterwarnings('ignore:.*weight_norm.* is deprecated')
@pytest.mark.parametrize(
    'network',
    [
        dict(type='RepeatsABlock'),
        dict(type='WeightNormed', norm='present'),
        dict(type='WeightNormed', norm='former'),
    ],
)
def test_shared_blocks_and_weight_norm_round_trip(tmp_path, network):
    backbone = wrapped(network)
    restorer = trained(backbone, 'fp32')
    deployed = deploy(restorer, 8)
    assert_same(deployed, restorer, 8, atol=1e-5)  # also after a copy was folded
    save_deployed(deployed, tmp_path / 'a.safetensors', backbone)
    loaded = load_deployed(tmp_path / 'a.safetensors')
    image = images(dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(loaded(image), deployed(image))
    assert not any('original' in name or 'weight_g' in name for name in loaded.state_dict())


def test_a_full_disk_is_reported_with_the_size_of_the_file(tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(errno.ENOSPC, 'No space left on device')

    backbone = wrapped(dict(type='ConvolutionsOnly', skip=True))
    deployed = deploy(trained(backbone, 'fp32'), 8)
    file = tmp_path / 'a.safetensors'
    save_deployed(deployed, file, backbone)
    needed = f'{file.stat().st_size / 2**10:.1f} KiB'
    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(OSError, match=rf'a\.safetensors needs {needed}, and .* were free'):
        save_deployed(deployed, file, backbone)


def test_other_files_are_rejected(tmp_path):
    from safetensors.torch import save_file

    file = tmp_path / 'a.safetensors'
    with pytest.raises(CheckpointError, match='a.safetensors'):
        load_deployed(file)
    file.write_bytes(b'no tensors')
    with pytest.raises(CheckpointError, match='a.safetensors is no safetensors file'):
        load_deployed(file)
    for metadata in (None, {'format': 'pt'}):
        save_file({'x': torch.zeros(2)}, file, metadata)
        with pytest.raises(ValueError, match='a.safetensors has format .*dtir_mm.deployed'):
            load_deployed(file)
    about = {'format': 'dtir_mm.deployed', 'backbone': json.dumps(wrapped(UNET))}
    save_file({'x': torch.zeros(2)}, file, about)
    with pytest.raises(CheckpointError, match='network of its metadata: net.stem.weight'):
        load_deployed(file)
    save_file({'x': torch.zeros(2)}, file, about | {'backbone': '{"type": "Missing"}'})
    with pytest.raises(KeyError, match='Missing'):
        load_deployed(file)
