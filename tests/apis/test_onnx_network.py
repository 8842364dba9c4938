"""ONNX files: written by ``export_onnx`` or by others, and run at any size."""

import importlib.util

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from test_deployment import ADAPTERS, NETWORKS, UNET, images, trained, wrapped
from torch import Tensor, nn

from dtir_mm.apis import load_restorer, restore_pixels
from dtir_mm.apis.deployment import deploy
from dtir_mm.apis.onnx_network import export_onnx, load_onnx
from dtir_mm.engine.checkpoint import CheckpointError
from dtir_mm.models.tracing.sizes import SizeRule


class Halves(nn.Module):
    """A network of another program: takes multiples of 4, and halves the brightness."""

    def forward(self, image: Tensor) -> Tensor:
        small = F.pixel_unshuffle(image, 4)
        return F.pixel_shuffle(small / 2, 4)


def foreign(path, shape=('b', 3, 'h', 'w'), inputs=('image',), kind=TensorProto.FLOAT):
    """An ONNX file that returns its first input."""
    values = [helper.make_tensor_value_info(name, kind, shape) for name in inputs]
    result = helper.make_tensor_value_info('restored', kind, shape)
    node = helper.make_node('Identity', [inputs[0]], ['restored'])
    graph = helper.make_graph([node], 'graph', values, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ('network', 'multiple'),
    [('unet', 2), ('nafnet', 1), ('restormer without bias', 8), ('convolutions', 1)],
)
def test_onnxruntime_gives_the_same_images(tmp_path, network, multiple):
    adapters = None if network == 'convolutions' else ADAPTERS
    restorer = trained(wrapped(NETWORKS[network][0], adapters=adapters), 'fp32')
    deployed, file = deploy(restorer, 8, 'rainy'), tmp_path / 'a.onnx'
    assert export_onnx(deployed, file, 'run/iter_2.pth') == multiple
    assert [each.name for each in tmp_path.iterdir()] == ['a.onnx']
    session = onnxruntime.InferenceSession(file)
    assert session.get_modelmeta().custom_metadata_map == {
        'format': 'dtir_mm.deployed',
        'task': 'rainy',
        't': '8',
        'size_multiple': str(multiple),
        'size_minimum': '1',
        'square_only': 'False',
        'image_range': '[0.0, 1.0]',
        'checkpoint': 'run/iter_2.pth',
    }
    loaded = load_onnx(file)
    assert (loaded.step, loaded.size_rule) == ((8, 'rainy'), SizeRule(multiple))
    for shape in ((2, 24, 40), (1, 72, 16)):
        image = images(*shape, dtype=torch.float32)
        (restored,) = session.run(['restored'], {'image': image.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(restored, deployed(image).numpy(), rtol=0, atol=1e-4)
        np.testing.assert_allclose(loaded(image), restored, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')  # of torch.onnx
def test_sizes_of_other_programs_are_found_by_trying(tmp_path):
    axes = {0: 'batch', 2: 'height', 3: 'width'}
    torch.onnx.export(
        Halves(), (torch.rand(1, 3, 16, 16),), str(tmp_path / 'a.onnx'), dynamo=False,
        input_names=['x'], output_names=['y'], dynamic_axes={'x': axes, 'y': axes},
    )  # fmt: skip
    assert load_onnx(tmp_path / 'a.onnx').size_rule == SizeRule(4, 4)
    image = np.random.default_rng(0).integers(0, 256, (101, 63, 3), dtype=np.uint8)
    restored = restore_pixels(load_restorer(tmp_path / 'a.onnx'), image, 1)
    assert restored.shape == image.shape
    assert np.abs(restored - image / 2).max() <= 0.51


@pytest.mark.parametrize('shape', [('b', 3, 'h', 'w'), (1, 3, 'h', 'w'), ('b', 'c', 'h', 'w')])
def test_any_batch_is_run_image_by_image(tmp_path, shape):
    image = images(3, 7, 5, dtype=torch.float32)
    assert torch.equal(load_onnx(foreign(tmp_path / 'a.onnx', shape))(image), image)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (dict(shape=(1, 3, 256, 128)), 'takes only images of 256 x 128 pixels'),
        (dict(shape=('b', 1, 'h', 'w')), 'must have one input and one output of 32-bit floats'),
        (dict(shape=('b', 3, 'h')), 'must have one input'),
        (dict(inputs=('image', 'mask')), 'must have one input'),
        (dict(kind=TensorProto.FLOAT16), r'must have one input.*tensor\(float16\)'),
    ],
)
def test_networks_that_do_not_take_images_are_rejected(tmp_path, arguments, said):
    file = foreign(tmp_path / 'a.onnx', **arguments)
    with pytest.raises(ValueError, match=rf'a\.onnx {said}'):
        load_restorer(file)


def test_damaged_files_and_wrong_metadata_are_rejected(tmp_path):
    file = foreign(tmp_path / 'a.onnx')
    for content in (b'', b'no network', file.read_bytes()[:-20]):
        (tmp_path / 'b.onnx').write_bytes(content)
        with pytest.raises(CheckpointError, match=r'b\.onnx is no ONNX network') as error:
            load_restorer(tmp_path / 'b.onnx')
        assert '\n' not in str(error.value)
    model = onnx.load(file)
    for wrong in (
        {'t': 'x'},
        {'t': '9' * 5000},
        {'size_multiple': '-1'},
        {'size_minimum': '9' * 99},
    ):
        stated = {'format': 'dtir_mm.deployed', 't': '8', 'size_multiple': '2', 'size_minimum': '1'}
        helper.set_model_props(model, stated | wrong)
        onnx.save(model, file)
        with pytest.raises(ValueError, match=rf'a\.onnx: .*{next(iter(wrong))}') as error:
            load_restorer(file)
        assert len(str(error.value)) < 300


def test_onnxruntime_is_optional_and_has_the_threads_of_torch(tmp_path, monkeypatch):
    file, seen = foreign(tmp_path / 'a.onnx'), []
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 3)
    start = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, 'InferenceSession', lambda *a, **k: seen.append(a[1]) or start(*a, **k)
    )
    load_onnx(file)
    assert [options.intra_op_num_threads for options in seen] == [3]
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'a\.onnx needs onnxruntime: pip install onnxruntime'):
        load_restorer(file)


def test_a_failing_run_is_one_error(tmp_path):
    export_onnx(deploy(trained(wrapped(UNET), 'fp32'), 8), tmp_path / 'a.onnx')
    with pytest.raises(RuntimeError, match='^onnxruntime: ') as error:
        load_onnx(tmp_path / 'a.onnx')(images(1, 15, 15, dtype=torch.float32))
    assert '\n' not in str(error.value)
