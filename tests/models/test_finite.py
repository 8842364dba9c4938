"""NaN and Inf never become pixels: errors name the layer and the file."""

import numpy as np
import pytest
import torch
from torch import nn

from dtir_mm.apis import restore_pixels
from dtir_mm.apis.deployment import deploy
from dtir_mm.datasets.degradations.base import to_uint8 as degraded_to_uint8
from dtir_mm.evaluation.mean_metric import MeanMetric
from dtir_mm.evaluation.metrics import psnr, ssim
from dtir_mm.models.finite import NotFiniteError, naming, require_finite_output
from dtir_mm.models.preprocessor import IMAGE_RANGES, to_uint8
from dtir_mm.registry import MODELS

BAD = pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 22, 3), dtype=np.uint8)


def build(toy_backbone: dict, **arguments) -> nn.Module:
    arguments = {'head': dict(type='NoiseHead', residual_scale='one'), **arguments}
    return MODELS.build(dict(type='Restorer', backbone=toy_backbone, **arguments)).eval()


@torch.no_grad()
def spoil(restorer: nn.Module, layer: str, value: float) -> nn.Module:
    restorer.get_submodule(layer).weight.view(-1)[0] = value
    return restorer


def make_data(**more) -> dict:
    pixels = torch.from_numpy(IMAGE.transpose(2, 0, 1).copy())[None].expand(2, -1, -1, -1)
    names = dict(task=['rainy'] * 2, domain=['source'] * 2, path=['in/a.png', 'in/b.png'])
    return dict(clean=pixels, key=torch.tensor([[0, 0, 0], [0, 0, 1]]), **names, **more)


@BAD
@pytest.mark.parametrize('scaled', IMAGE_RANGES)
def test_non_finite_values_are_not_converted_to_pixels(bad, scaled):
    image = torch.zeros(1, 3, 4, 4)
    assert to_uint8(scaled.to_unit_range(image)).dtype == np.uint8
    image[0, 1, 2, 3] = bad
    for convert in (to_uint8, scaled.to_unit_range):
        with pytest.raises(NotFiniteError, match='an image holds NaN or infinity'):
            convert(image)


@BAD
def test_degradations_and_metrics_reject_non_finite_values(bad):
    image = IMAGE.astype(np.float64)
    image[3, 4, 0] = bad
    with pytest.raises(ValueError, match='a degradation gave NaN or infinity'):
        degraded_to_uint8(image / 255)
    for figure in (psnr, ssim):
        with pytest.raises(ValueError, match='the images hold NaN or infinity'):
            figure(image, IMAGE.astype(np.float64))
    sample = {'path': 'in/a.png', 'val_noise_loss': bad}
    with pytest.raises(ValueError, match=f'in/a.png: val_noise_loss is {bad}, so it has no mean'):
        MeanMetric(['val_noise_loss']).process(None, [sample])


@BAD
@pytest.mark.parametrize(
    ('layer', 'kind', 'weights'),
    [('backbone.net.conv_out', 'Conv2d', 219), ('backbone.net.middle.0.norm1', 'GroupNorm', 32)],
)
@pytest.mark.parametrize(
    'settings', [{}, dict(passes='sdedit'), dict(tile=12, tile_overlap=4), dict(ensemble=True)]
)
def test_non_finite_weights_are_named(toy_backbone, bad, layer, kind, weights, settings):
    restorer = spoil(build(toy_backbone, **settings), layer, bad)
    with pytest.raises(NotFiniteError) as error:
        restore_pixels(restorer, IMAGE, 8)
    assert str(error.value) == (
        f'the network gives NaN or infinity: {layer} ({kind}) is the first layer, with 1 of '
        f'{weights} weights not finite'
    )
    assert not any(module._forward_hooks for module in (restorer, restorer.backbone.net.conv_out))


def test_overflowing_weights_are_named(toy_backbone):
    """Clamping would make white and black of it, and DDIM would go on from there."""
    for settings in ({}, dict(passes='sdedit')):
        restorer = build(toy_backbone, **settings)
        nn.init.constant_(restorer.backbone.net.conv_out.weight, 3e38)
        with pytest.raises(NotFiniteError, match=r'conv_out \(Conv2d\) .* at most 3e\+38: its val'):
            restore_pixels(restorer, IMAGE, 8)


def test_test_and_validation_name_the_files(toy_backbone):
    step = dict(
        objective=dict(type='Reconstruction'),
        mixing=dict(type='SampleMixing', objective=dict(type='NoisePrediction')),
    )
    restorer = spoil(build(toy_backbone, step=step), 'backbone.net.conv_out', np.nan)
    data = make_data()
    paired = make_data(degraded=data['clean'].flip(-1))
    for run, batch in (
        (restorer.test_step, paired),
        (restorer.val_step, paired),
        (restorer.val_step, data),  # L_g on clean images, as in pre-training
    ):
        with pytest.raises(NotFiniteError, match=r'^in/a.png, in/b.png: the network .*conv_out'):
            run(batch)


@pytest.mark.parametrize('inference', ['predict', 'try_all'])
def test_time_steps_are_not_predicted_from_non_finite_values(toy_backbone, inference):
    classifier = dict(type='DegradationClassifier', tasks=['noisy', 'rainy'], width=4)
    restorer = build(
        toy_backbone, inference=inference, classifier=classifier, timesteps=dict(noisy=4, rainy=8)
    )
    restore_pixels(restorer, IMAGE, None)
    layer = 'classifier.layers.3' if inference == 'predict' else 'backbone.net.conv_out'
    spoil(restorer, layer, np.nan)
    with pytest.raises(NotFiniteError, match=f'{layer.removeprefix("classifier.")} '):
        restore_pixels(restorer, IMAGE, None)


def test_deployment_and_deployed_networks_reject_non_finite_values(toy_backbone):
    network = deploy(build(toy_backbone), 8)
    image = torch.rand(1, 3, 8, 8)
    assert torch.isfinite(network(image)).all()
    spoil(network, 'net.conv_out', np.inf)
    with pytest.raises(NotFiniteError, match=r'net.conv_out \(Conv2d\) is the first layer'):
        network(image)
    with pytest.raises(NotFiniteError, match='conv_out'):
        deploy(spoil(build(toy_backbone), 'backbone.net.conv_out', np.nan), 8)


def test_finite_outputs_need_one_pass(toy_backbone):
    restorer, calls = build(toy_backbone), []
    restorer.backbone.register_forward_hook(lambda *_: calls.append(1))
    restore_pixels(restorer, IMAGE, 8)
    assert len(calls) == 1
    spoil(restorer, 'backbone.net.conv_out', np.nan)
    with pytest.raises(NotFiniteError):
        restore_pixels(restorer, IMAGE, 8)
    assert len(calls) == 3, 'and the bad one twice'


def test_non_finite_operations_outside_layers_are_named():
    class Divides(nn.Identity):
        def forward(self, image):
            return image / 0

    net, image = nn.Sequential(nn.Identity(), nn.Identity()), torch.zeros(2)
    with pytest.raises(NotFiniteError, match='no layer does, but an operation on their outputs'):
        require_finite_output(net, image / 0, lambda: net(image))
    net = nn.Sequential(nn.Identity(), Divides())
    with pytest.raises(NotFiniteError, match=r'1 \(Divides\) is the first layer'):
        require_finite_output(net, net(image), lambda: net(image))


def test_other_errors_are_unchanged():
    with pytest.raises(ValueError, match=r'^something else$'), naming(['a.png']):
        raise ValueError('something else')
