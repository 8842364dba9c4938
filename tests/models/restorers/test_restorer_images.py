"""Images of any size, predictions, precision and invalid arguments of restorers."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dtir_mm.models.objectives.noisy_samples import noisy_samples
from dtir_mm.registry import MODELS

SIGMA = np.sqrt(1 - np.cumprod(1 - np.linspace(0.002, 0.4, 50)))
ONE = dict(type='NoiseHead', residual_scale='one')
STEP = dict(objective=dict(type='Reconstruction'))


def build(backbone: dict, precision: str = 'fp64', **arguments) -> nn.Module:
    """A restorer with random weights everywhere, and outputs of moderate size."""
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, step=STEP, **arguments))
    restorer.set_precision(precision)
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.2)
    last = [m for m in restorer.backbone.net.modules() if isinstance(m, nn.Conv2d)][-1]
    last.weight.data.mul_(0.1)
    return restorer.eval()


def images(batch: int, height: int, width: int) -> Tensor:
    return torch.rand(batch, 3, height, width, dtype=torch.float64) * 2 - 1


@pytest.fixture
def coarse_backbone(toy_backbone) -> dict:
    """Three levels: sizes must be multiples of four."""
    toy_backbone['backbone'] |= dict(channel_multipliers=(1, 1, 2), blocks_per_level=(1, 1))
    return toy_backbone


@pytest.mark.parametrize(
    ('height', 'width', 'mode'),
    [
        (8, 12, None),
        (5, 7, 'reflect'),
        (3, 8, 'reflect'),
        (4, 6, 'reflect'),
        (2, 9, 'edge'),  # too small to be reflected
        (1, 6, 'edge'),
        (1, 1, 'edge'),
    ],
)
def test_images_of_any_size_are_padded_and_cropped(coarse_backbone, height, width, mode):
    restorer = build(coarse_backbone)
    y, t = images(2, height, width), torch.tensor([8, 47])
    padding = ((0, 0), (0, 0), (0, -height % 4), (0, -width % 4))
    padded = torch.from_numpy(np.pad(y.numpy(), padding, mode=mode)) if mode else y
    with torch.no_grad():
        expected = (restorer(padded, t)[..., :height, :width].numpy() + 1) / 2
    assert np.mean((expected > 0) & (expected < 1)) > 0.5
    np.testing.assert_allclose(restorer.restore_images(y, t), expected.clip(0, 1), atol=1e-12)


@MODELS.register_module()
class Local(nn.Module):
    """Sees two pixels far."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(u)))


def test_tiled_restoration_equals_the_whole_image():
    restorer = build(dict(type='ConditionedBackbone', backbone=dict(type='Local')), tile_overlap=8)
    y, t = images(2, 29, 23), torch.tensor([3, 40])
    whole = restorer.restore_images(y, t)
    sizes = []
    restorer.backbone.register_forward_hook(lambda _, inputs, __: sizes.append(inputs[0].shape[2:]))
    restorer.tile = 16
    torch.testing.assert_close(restorer.restore_images(y, t), whole)
    assert sizes == [(height, width) for height in (15, 15, 15) for width in (16, 15)]
    sizes.clear()
    restorer.tile = 29
    assert torch.equal(restorer.restore_images(y, t), whole)
    assert sizes == [(29, 23)]


def make_data() -> dict:
    """A collated batch of two tasks with all 256 values."""
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(2, 3, 16, 16)
    return {
        'clean': values.flip(-1).contiguous(),
        'degraded': values.contiguous(),
        'task': ['hazy', 'rainy'],
        'domain': ['source', 'target'],
        'path': ['a.png', 'b.png'],
        'key': torch.tensor([[0, 0, 0], [0, 0, 1]]),
    }


@pytest.mark.parametrize('step', ['val_step', 'test_step'])
@pytest.mark.parametrize(('added', 'rounded'), [(0.0, 0), (0.4, 0), (0.6, 1), (-0.6, -1)])
def test_predictions_are_rounded_pixels(toy_backbone, step, added, rounded):
    restorer = build(toy_backbone, 'fp32', head=ONE)
    last = restorer.backbone.net.conv_out
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, -added / 127.5)
    data = make_data()
    results = getattr(restorer, step)(data)
    for i, result in enumerate(results):
        pixels = data['degraded'][i].permute(1, 2, 0).numpy()
        assert result['restored'].dtype == np.uint8
        expected = np.clip(pixels.astype(int) + rounded, 0, 255)
        np.testing.assert_array_equal(result['restored'], expected)
        np.testing.assert_array_equal(result['degraded'], pixels)
        np.testing.assert_array_equal(result['clean'], pixels[:, ::-1])
    described = [tuple(r[name] for name in ('task', 'domain', 'path', 't')) for r in results]
    assert described == [('hazy', 'source', 'a.png', 47), ('rainy', 'target', 'b.png', 8)]


def test_each_image_is_restored_at_its_tasks_time_step(toy_backbone):
    restorer = build(toy_backbone)
    data = make_data()
    results = restorer.test_step(data)
    y = data['degraded'].double() / 127.5 - 1
    for i, t in enumerate((47, 8)):
        with torch.no_grad():
            c = max(SIGMA[t - 1], 0.25)
            restored = y[i] - c * restorer.backbone(y[i : i + 1], torch.tensor([t]))[0]
        expected = np.rint(((restored.numpy() + 1) * 127.5).clip(0, 255)).transpose(1, 2, 0)
        np.testing.assert_array_equal(results[i]['restored'], expected)
    assert not np.array_equal(results[0]['restored'], results[1]['restored'])


def test_bf16_is_used_only_in_training(toy_backbone):
    restorer = build(toy_backbone, 'fp32')
    y, t = images(2, 8, 8).float(), torch.tensor([8, 47])
    batch = restorer.data_preprocessor(make_data())
    exact = restorer.predict_residual(y, t)
    gradient = restorer.step.gradient(restorer, batch)[0]
    restorer.set_precision('bf16')
    assert torch.equal(restorer.predict_residual(y, t), exact)
    restorer.train()
    rounded = restorer.predict_residual(y, t)
    assert rounded.dtype == torch.float32
    rounded_gradient, losses = restorer.step.gradient(restorer, batch)
    assert {rounded_gradient.dtype, losses['content'].dtype} == {torch.float32}
    for got, expected in ((rounded, exact), (rounded_gradient, gradient)):
        assert 1e-4 < ((got - expected).norm() / expected.norm()).item() < 0.1


@pytest.mark.parametrize(('precision', 'dtype'), [('fp32', torch.float32), ('fp64', torch.float64)])
def test_precision_applies_to_every_tensor(toy_backbone, precision, dtype):
    restorer = build(toy_backbone, precision)
    batch = restorer.data_preprocessor(make_data())
    gradient, losses = restorer.step.gradient(restorer, batch)
    _, noise, _ = noisy_samples(restorer.schedule, batch)
    restored = restorer.restore_images(batch['degraded'], torch.tensor([8, 47]))
    tensors = [*restorer.parameters(), batch['clean'], gradient, losses['content'], noise, restored]
    assert {tensor.dtype for tensor in tensors} == {dtype}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(head=dict(type='NoiseHead', residual_scale='sgima')), "='sgima' must be .*floor"),
        (dict(passes='ddim'), r"passes='ddim' of Restorer must be one of \('one', 'sdedit'\)"),
        (dict(image_range=(0, 255)), r'image_range=\(0, 255\) must be \(-1.0, 1.0\) or \(0.0, 1.0'),
        (dict(tile=64), 'tile_overlap=64 must lie in 1..63, below tile=64'),
        (dict(tile=32, tile_overlap=0), 'tile_overlap=0 must lie in 1..31, below tile=32'),
        (dict(timesteps='tabel'), "timesteps='tabel' must be"),
        (dict(step=STEP | dict(micro_batch_size=0)), 'micro_batch_size=0 must be at least 1'),
        (dict(schedule=dict(name='linear')), "noise schedule 'linear' must be one of"),
        (
            dict(schedule=dict(num_steps=40), timesteps=dict(hazy=47)),
            'hazy has t=47; it must lie in 1..40',
        ),
    ],
)
def test_invalid_arguments_are_rejected(toy_backbone, arguments, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='Restorer', backbone=toy_backbone, **arguments))
