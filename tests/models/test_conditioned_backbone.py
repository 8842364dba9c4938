"""Time conditioning: the identity at first, then exactly the expected modulation."""

import copy

import pytest
import torch
import torch.nn.functional as F
from network_cases import NAFNET, UNET, images, randomised, wrap
from torch import Tensor, nn

from dtir_mm.models.conditioning.time_embedding import sinusoid
from dtir_mm.models.tracing.sites import conditioning_sites
from dtir_mm.models.tracing.trace import trace
from dtir_mm.registry import MODELS

NETWORKS = pytest.mark.parametrize('backbone', [NAFNET, UNET], ids=['nafnet', 'unet'])


@pytest.mark.parametrize(('backbone', 'tolerance'), [(NAFNET, 1e-12), (UNET, 0)])
def test_a_new_wrapper_equals_the_unconditioned_network_at_every_step(backbone, tolerance):
    bare = randomised(MODELS.build(backbone))
    conditioned = MODELS.build(dict(type='ConditionedBackbone', backbone=backbone)).double()
    conditioned.net.load_state_dict(bare.state_dict())
    image = images(1)
    with torch.no_grad():
        output = conditioned(image.expand(50, -1, -1, -1), torch.arange(1, 51))
        expected = bare(image.expand(50, -1, -1, -1))
    torch.testing.assert_close(output, expected, rtol=0, atol=tolerance)


def test_the_residual_of_a_network_with_a_skip_is_input_less_output():
    conditioned = wrap(NAFNET)
    u, t = images(), torch.tensor([1, 20, 50])
    body = []
    conditioned.net.ending.register_forward_hook(lambda module, inputs, output: body.append(output))
    f, net = conditioned.predict_residual(u, t), conditioned(u, t)
    torch.testing.assert_close(f + net, u, rtol=0, atol=1e-14)
    torch.testing.assert_close(f, -body[0])


def test_the_residual_of_a_network_without_a_skip_is_its_output():
    conditioned = wrap(UNET)
    u, t = images(), torch.tensor([1, 20, 50])
    assert torch.equal(conditioned.predict_residual(u, t), conditioned(u, t))


@NETWORKS
def test_every_sample_has_its_own_time_step(backbone):
    conditioned = wrap(backbone)
    u, t = images(), torch.tensor([50, 1, 7])
    together = conditioned(u, t)
    alone = [conditioned(u[i : i + 1], t[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))
    assert (together - conditioned(u, torch.tensor([50, 2, 7]))).flatten(1).abs().amax(1)[1] > 1e-3


@NETWORKS
def test_film_folds_into_the_norms_for_a_fixed_time_step(backbone):
    """The whole modulation against scale and shift computed from the weights."""
    conditioned = wrap(backbone)
    weights = conditioned.state_dict()
    bare = MODELS.build(backbone).double()
    bare.load_state_dict(conditioned.net.state_dict())

    e = sinusoid(torch.tensor([13.0], dtype=torch.float64), 64)
    for layer in ('time_embedding.mlp.0', 'time_embedding.mlp.2'):
        e = F.silu(F.linear(e, weights[f'{layer}.weight'], weights[f'{layer}.bias']))
    groups = conditioning_sites(trace(bare))
    assert set(conditioned.films) == {group.replace('.', '_') for group in groups}
    for group, sites in groups.items():
        film = f'films.{group.replace(".", "_")}.linear'
        gamma, delta = F.linear(e, weights[f'{film}.weight'], weights[f'{film}.bias'])[0].chunk(2)
        for site in sites:
            norm = bare.get_submodule(site.name)
            norm.weight.data = (1 + gamma) * norm.weight.data
            norm.bias.data = (1 + gamma) * norm.bias.data + delta

    u = images()
    with torch.no_grad():
        torch.testing.assert_close(conditioned(u, torch.full((3,), 13)), bare(u))


def test_time_enters_the_unet_once_a_residual_block():
    conditioned = wrap(UNET)
    assert {name: film.channels for name, film in conditioned.films.items()} == {
        'encoders_0_0': 8,
        'encoders_0_1': 8,
        'middle_0': 16,
        'decoders_0_0': 8,
        'decoders_0_1': 8,
    }
    hooked = [name for name, module in conditioned.net.named_modules() if module._forward_hooks]
    assert hooked == [f'{name.replace("_", ".")}.norm2' for name in conditioned.films]


@pytest.mark.parametrize(
    'more',
    [
        dict(),
        dict(adapters=dict(num_experts=3, param_budget=4_000, prompt_dim=8)),
        dict(adapters=dict(type='DecoderAdapters', num_experts=3)),
        dict(restoration_head=True),
    ],
    ids=['bare', 'adapters', 'released adapters', 'head'],
)
@NETWORKS
def test_a_copy_is_independent(backbone, more):
    original = wrap(backbone, **more)
    u, t = images(), torch.tensor([3, 30, 50])
    before = original(u, t)
    duplicate = copy.deepcopy(original)
    assert torch.equal(duplicate(u, t), before)

    randomised(duplicate)
    rebuilt = wrap(backbone, **more)
    rebuilt.load_state_dict(duplicate.state_dict())
    assert torch.equal(duplicate(u, t), rebuilt(u, t))
    assert torch.equal(original(u, t), before)

    randomised(original)
    assert torch.equal(duplicate(u, t), rebuilt(u, t))


@pytest.mark.parametrize(
    ('height', 'width', 'seen'),
    [(8, 12, (8, 12)), (7, 10, (6, 9))],  # where it pads, the last ones see beyond the image
)
def test_features_of_nafnet_are_the_input_of_its_last_convolution(height, width, seen):
    conditioned = wrap(NAFNET)
    u, t = images(2, height, width), torch.tensor([4, 44])
    residual, features = conditioned.residual_and_features(u, t)
    assert torch.equal(residual, conditioned.predict_residual(u, t))
    ending = conditioned.net.ending
    b = F.conv2d(features, ending.weight, ending.bias, padding=1)
    assert features.shape == (2, 4, height, width)
    rows, columns = seen
    torch.testing.assert_close(residual[..., :rows, :columns], -b[..., :rows, :columns])
    assert not any(module._forward_pre_hooks for module in conditioned.modules())


class Windows(nn.Module):
    """Normalises windows of 4 x 4 pixels, each as a separate sample."""

    global_skip = False

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({'norm': nn.LayerNorm(3)})

    def forward(self, u: Tensor) -> Tensor:
        windows = u.unfold(2, 4, 4).unfold(3, 4, 4)
        tokens = windows.permute(0, 2, 3, 4, 5, 1).reshape(-1, 16, 3)
        return u + self.inner['norm'](tokens).mean()


def test_modules_with_another_batch_size_are_rejected():
    settings = dict(type='ConditionedBackbone', backbone=dict(type=Windows))
    with pytest.raises(ValueError, match='Windows has no affine norm that keeps the batch'):
        MODELS.build(settings)
    with pytest.raises(ValueError, match="'inner.norm' .* have the batch size of the images, 2"):
        MODELS.build(dict(settings, conditioning=['inner.norm']))


def test_conditioning_selects_the_sites():
    conditioned = wrap(NAFNET, conditioning=['middle_blks.*.norm?', 'encoders.*.norm1'])
    assert set(conditioned.films) == {'middle_blks/16', 'encoders_0/4', 'encoders_1/8'}
    hooked = [name for name, module in conditioned.net.named_modules() if module._forward_hooks]
    assert hooked == [
        'encoders.0.0.norm1',
        'encoders.1.0.norm1',
        'encoders.1.1.norm1',
        'middle_blks.0.norm1',
        'middle_blks.0.norm2',
    ]


class Alike(nn.Module):
    """Two groups of different widths whose names differ only in a dot; one has weight norm."""

    global_skip = False

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.ModuleList([nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 1))])
        self.a_0 = nn.ConvTranspose2d(4, 6, 1)
        self.last = nn.Conv2d(6, 3, 1)

    def conditioning_groups(self) -> dict[str, list[str]]:
        return {'a.0': ['a.0'], 'a_0': ['a_0']}

    def forward(self, u: Tensor) -> Tensor:
        return self.last(self.a_0(self.a[0](u)))


def test_groups_with_similar_names_stay_separate():
    conditioned = wrap(dict(type=Alike))
    assert {name: film.channels for name, film in conditioned.films.items()} == {
        'a_0': 4,
        'a_0_': 6,
    }
    u, t = images(), torch.tensor([1, 20, 50])
    e = conditioned.time_embedding(t)
    h = u
    sites = {'a_0': conditioned.net.a[0], 'a_0_': conditioned.net.a_0}
    for film, module in sites.items():
        scale, shift = conditioned.films[film](e)
        h = module.forward(h) * scale[:, :, None, None] + shift[:, :, None, None]
    torch.testing.assert_close(conditioned(u, t), conditioned.net.last(h))
    blocks = conditioned.parameter_blocks()
    assert set(blocks) == {name for name, _ in conditioned.named_parameters()}
    assert blocks['films.a_0.linear.weight'] == 'a.0'
    assert blocks['films.a_0_.linear.weight'] == 'a_0'


def test_the_network_does_not_run_without_its_wrapper():
    conditioned = wrap(UNET)
    with pytest.raises(RuntimeError, match='norm2 ran without a time step'):
        conditioned.net(images())
    conditioned(images(), torch.tensor([1, 2, 3]))
    with pytest.raises(RuntimeError, match='norm2 ran without a time step'):
        conditioned.net(images())
    with pytest.raises(RuntimeError, match='Sizes of tensors must match'):
        conditioned(images(height=7), torch.tensor([1, 2, 3]))
    with pytest.raises(RuntimeError, match='norm2 ran without a time step'):
        conditioned.net(images())


@pytest.mark.parametrize(
    ('backbone', 'said'),
    [
        (UNET | dict(width=-8), 'width=-8.*negative dimension'),
        (UNET | dict(width=8 * 10**12), "width=8000000000000.*can't allocate memory"),
        (NAFNET | dict(mid_channels=-4), 'mid_channels=-4.*negative dimension'),
    ],
)
def test_impossible_sizes_name_their_config_key(backbone, said):
    with pytest.raises(ValueError, match=f'^model.backbone.backbone, with .*{said}') as error:
        wrap(backbone)
    assert len(str(error.value).splitlines()) == 1
