"""Compat repairs upstream bugs."""

import importlib
import pickle
import subprocess

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.registry import Registry as MMEngineRegistry
from torch import Tensor, nn
from torch.nn import functional as F
from trap import TYPES

from dtir_mm import compat
from dtir_mm.image_io import save_image
from dtir_mm.registry import DATASETS, MODELS

LAYER_NORMS = {
    'mmagic': 'mmagic.models.editors.nafnet.naf_layerNorm2d',
    'spandrel NAFNet': 'spandrel.architectures.NAFNet.__arch.arch_util',
    'spandrel KBNet': 'spandrel.architectures.KBNet.__arch.kb_utils',
    'spandrel M3SNet': 'spandrel_extra_arches.architectures.M3SNet.__arch.arch_utils',
}


def layer_norm_of(package: str, channels: int) -> nn.Module:
    """A package's own LayerNorm2d in float64, with weights that are not one and zero."""
    compat.import_mmagic('NAFNet')
    norm = importlib.import_module(LAYER_NORMS[package]).LayerNorm2d(channels).double()
    torch.manual_seed(1)
    nn.init.normal_(norm.weight, 1.0, 0.3)
    nn.init.normal_(norm.bias, 0.0, 0.3)
    return norm


def derivatives(function, x: Tensor, direction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The output, the gradient of sum(y^3) by x, and its derivative in a direction."""
    x = x.clone().requires_grad_()
    output = function(x)
    (first,) = torch.autograd.grad((output**3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((first * direction).sum(), x)
    return output.detach(), first.detach(), second


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('package', LAYER_NORMS)
def test_mended_layer_norm_has_the_right_second_derivative(package):
    generator = torch.Generator().manual_seed(0)
    x, direction = torch.randn(2, 2, 6, 4, 5, generator=generator, dtype=torch.float64)
    network = nn.Sequential(layer_norm_of(package, 6))
    weight, bias, eps = network[0].weight, network[0].bias, network[0].eps

    def reference(x: Tensor) -> Tensor:
        return F.layer_norm(x.movedim(1, -1), (6,), weight, bias, eps).movedim(-1, 1)

    broken = derivatives(network, x, direction)
    expected = derivatives(reference, x, direction)
    torch.testing.assert_close(broken[:2], expected[:2])
    wrong_by = (broken[2] - expected[2]).norm() / expected[2].norm()
    assert wrong_by > 0.1, f'{package} has mended its layer norm: compat need not any more'

    names = list(network.state_dict())
    assert compat.mend_custom_functions(network) is network
    assert network[0].weight is weight
    assert network[0].bias is bias
    assert list(network.state_dict()) == names
    torch.testing.assert_close(derivatives(network, x, direction), expected)


@pytest.mark.filterwarnings('ignore')
def test_mended_kernel_basis_attention_has_the_right_second_derivative():
    """KBNet's: at each pixel, kernels (groups of 4 channels, 3 x 3) mixed out of a basis."""
    from spandrel.architectures.KBNet.__arch.kbnet_s import KBBlock_s

    block = KBBlock_s(8, nset=3).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    att, kernels, bias = torch.randn(2, 3, 4, 5).double().requires_grad_(), block.w, block.b
    x, direction = torch.randn(2, 2, 8, 4, 5).double()

    def reference(x: Tensor) -> Tensor:
        patches = F.unfold(x, 3, padding=1).reshape(2, 2, 36, 4, 5)
        basis = kernels.reshape(3, 2, 4, 36)
        mixed = torch.einsum('bnhw,ngck,bgkhw->bgchw', att, basis, patches).flatten(1, 2)
        return mixed + torch.einsum('bnhw,nc->bchw', att, bias[0])

    def attention(x: Tensor) -> Tensor:
        return block.KBA(x, att, block.k, block.g, bias, kernels)

    def mixed_derivative(function) -> Tensor:
        """Of the squared gradient by the kernels, by the mixture."""
        (first,) = torch.autograd.grad((function(x) ** 3).sum(), kernels, create_graph=True)
        return torch.autograd.grad(first.square().sum(), att)[0]

    expected = derivatives(reference, x, direction)
    torch.testing.assert_close(derivatives(attention, x, direction)[:2], expected[:2])
    exact = mixed_derivative(reference)
    wrong_by = (mixed_derivative(attention) - exact).norm() / exact.norm()
    assert wrong_by > 0.1, 'spandrel has mended its attention: compat need not any more'
    compat.mend_custom_functions(block)
    torch.testing.assert_close(derivatives(attention, x, direction), expected)
    torch.testing.assert_close(mixed_derivative(attention), exact)


def test_mending_reaches_every_norm_of_nafnet():
    compat.import_mmagic('NAFNet')
    from mmagic.models.editors.nafnet.nafnet_net import NAFNet

    torch.manual_seed(0)
    network = NAFNet(mid_channels=4, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        before = network(image)
        compat.mend_custom_functions(network)
        torch.testing.assert_close(network(image), before)
    assert sum(isinstance(m, compat.LayerNorm2d) for m in network.modules()) == 10
    assert not any('mmagic' in type(m).__module__ for m in network.modules() if is_norm(m))


def is_norm(module: nn.Module) -> bool:
    return 'Norm' in type(module).__name__


def test_a_network_of_mmagic_without_mmagic_names_the_command(monkeypatch):
    monkeypatch.setattr(compat, 'installed_version', {'mmagic': None}.__getitem__)
    with pytest.raises(ImportError, match='pip install --no-deps mmagic==1.2.0'):
        compat.import_mmagic('NAFNet')


def load(path) -> dict:
    with torch.serialization.safe_globals(compat.safe_checkpoint_globals()):
        return torch.load(path, weights_only=True)


def save_history(path) -> None:
    buffer = HistoryBuffer()
    for value in (1.0, 2.0, 6.0):
        buffer.update(value)
    torch.save({'message_hub': {'loss': buffer}}, path)


def test_history_buffers_load_with_weights_only(tmp_path):
    save_history(tmp_path / 'a.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'a.pth', weights_only=True)
    loaded = load(tmp_path / 'a.pth')['message_hub']['loss']
    assert loaded.mean(3) == 3.0
    assert loaded.current() == 6.0


@pytest.mark.parametrize('package', [b'numpy.core', b'numpy._core'])
def test_history_buffers_of_both_numpys_load(tmp_path, package):
    values = {'loss': np.arange(3.0)}
    torch.save(values, tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    content = (tmp_path / 'a.pth').read_bytes()
    for written in (b'numpy._core', b'numpy.core'):
        content = content.replace(b'c' + written + b'.multiarray', b'c' + package + b'.multiarray')
    (tmp_path / 'a.pth').write_bytes(content)
    np.testing.assert_array_equal(load(tmp_path / 'a.pth')['loss'], values['loss'])


class Calls:
    """Pickles as a call of ``function(*args)``."""

    def __init__(self, function, *args) -> None:
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'harm',
    [
        Calls(getattr, np.ndarray, 'tofile'),
        Calls(getattr, 'text', 'format'),
        Calls(getattr, HistoryBuffer, '__subclasses__'),
        Calls(getattr, HistoryBuffer(), 'mean'),
        Calls(eval, '1 + 1'),
    ],
    ids=['class', 'string', 'dunder', 'instance', 'eval'],
)
def test_pickles_that_call_something_else_are_rejected(tmp_path, harm):
    torch.save({'state_dict': harm}, tmp_path / 'a.pth')
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        load(tmp_path / 'a.pth')


def test_allowed_globals_are_restored_after_loading(tmp_path):
    save_history(tmp_path / 'a.pth')
    load(tmp_path / 'a.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'a.pth', weights_only=True)


def test_the_data_set_of_mmagic_reads_pairs(tmp_path):
    """What ``benchmarks/data_pipeline.py`` compares with."""
    rng = np.random.default_rng(0)
    images = {kind: rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for kind in ('LQ', 'GT')}
    for kind, image in images.items():
        save_image(tmp_path / kind / 'a.png', image)
    for name in ('LoadImageFromFile', 'PackInputs'):
        compat.import_mmagic(name)
    dataset = DATASETS.build(
        dict(
            type='mmagic.BasicImageDataset',
            data_root=str(tmp_path),
            data_prefix=dict(img='LQ', gt='GT'),
            pipeline=[
                dict(type='mmagic.LoadImageFromFile', key='img'),
                dict(type='mmagic.LoadImageFromFile', key='gt'),
                dict(type='mmagic.PackInputs'),
            ],
        )
    )
    assert len(dataset) == 1
    bgr = {kind: image.transpose(2, 0, 1)[::-1] for kind, image in images.items()}
    np.testing.assert_array_equal(dataset[0]['inputs'].numpy(), bgr['LQ'])
    np.testing.assert_array_equal(dataset[0]['data_samples'].gt_img.numpy(), bgr['GT'])


def test_names_are_not_imported_inside_the_context(trap):
    registry = MMEngineRegistry('test')
    names = [*TYPES, 'subprocess.getoutput']
    with compat.names_are_not_imported():
        assert [registry.get(name) for name in names] == [None] * len(names)
        with registry.switch_scope_and_registry('trap_package') as switched:
            assert switched is registry
        assert not trap.sprung
        registry.register_module(name='Known', module=dict)
        assert registry.get('Known') is dict
        assert MODELS.get('DtirUNet') is not None
    assert registry.get('subprocess.getoutput') is subprocess.getoutput
    with pytest.raises(ZeroDivisionError), compat.names_are_not_imported():
        1 / 0  # noqa: B018
    for name in TYPES:  # the trap works
        trap.reset()
        registry.get(name)
        assert trap.sprung, name
