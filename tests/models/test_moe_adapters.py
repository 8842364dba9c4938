"""Adapters of whole networks: bypassing, routing and merging."""

import copy
import math

import pytest
import torch
from network_cases import NAFNET, UNET, images, wrap
from torch import nn

NETWORKS = pytest.mark.parametrize('backbone', [UNET, NAFNET], ids=['unet', 'nafnet'])
SMALL = dict(num_experts=3, param_budget=4_000, num_steps=50, prompt_dim=8)
STEPS = torch.tensor([3, 20, 50])


@NETWORKS
def test_bypassing_adapters_equals_having_none(backbone):
    plain = wrap(backbone, None)
    conditioned = wrap(backbone, SMALL)
    missing, unexpected = conditioned.load_state_dict(plain.state_dict(), strict=False)
    assert missing == [f'adapters.{name}' for name in conditioned.adapters.state_dict()]
    assert unexpected == []
    u = images()
    assert torch.equal(conditioned(u, STEPS, restoring=False), plain(u, STEPS))
    assert torch.equal(
        conditioned.predict_residual(u, STEPS, restoring=False), plain.predict_residual(u, STEPS)
    )
    residual, features = conditioned.residual_and_features(u, STEPS)
    assert torch.equal(residual, plain.predict_residual(u, STEPS))
    assert torch.equal(features, plain.residual_and_features(u, STEPS)[1])
    difference = conditioned.predict_residual(u, STEPS) - plain.predict_residual(u, STEPS)
    assert difference.flatten(1).abs().amax(1).min() > 1e-3
    assert torch.equal(conditioned(u, STEPS, restoring=False), plain(u, STEPS))


@NETWORKS
@pytest.mark.parametrize('mix', ['weight', 'output'])
def test_every_sample_has_its_own_time_step(backbone, mix):
    conditioned = wrap(backbone, SMALL | dict(mix=mix))
    u = images()
    alone = [conditioned(u[i : i + 1], STEPS[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(conditioned(u, STEPS), torch.cat(alone))


@pytest.mark.parametrize('top_k', [None, 2])
def test_merged_adapters_equal_the_adapters_at_their_time_step(top_k):
    conditioned = wrap(UNET, SMALL | dict(top_k=top_k))
    u, t = images(), torch.full((3,), 20)
    expected = conditioned(u, t)
    merged = conditioned.adapters.merged(20)
    assert list(merged) == ['encoders.0', 'middle']
    for site, module in merged.items():
        conditioned.net.get_submodule(site).append(module)
    merged_output = conditioned(u, t, restoring=False)
    torch.testing.assert_close(merged_output, expected, rtol=0, atol=1e-12)


def test_routing_matches_a_forward_pass():
    conditioned = wrap(UNET, SMALL | dict(top_k=2))
    conditioned(images(), STEPS)
    routing = conditioned.adapters.routing(STEPS)
    assert routing.shape == (2, 3, 3)
    assert not torch.equal(routing[0], routing[1])
    latest = [conditioned.adapters.latest[site] for site in conditioned.adapters.sites]
    for gates, noted in zip(routing, latest, strict=True):
        torch.testing.assert_close(gates, noted.gates_BE)

    mean_entropy = -(routing * routing.clamp(min=1e-300).log()).sum() / 6
    torch.testing.assert_close(conditioned.adapters.routing_entropy, mean_entropy)
    mean_loss = (latest[0].balance_loss + latest[1].balance_loss) / 2
    torch.testing.assert_close(conditioned.adapters.balance_loss, mean_loss)


def test_experts_unused_by_every_step_are_dead():
    adapters = wrap(UNET, SMALL).adapters
    for adapter in adapters.experts.values():
        nn.init.zeros_(adapter.router.weight)
        nn.init.zeros_(adapter.router.bias)
    assert adapters.dead_experts(STEPS) == {'encoders.0': [], 'middle': []}

    adapters.experts['middle'].router.bias.data[1] = -100
    assert adapters.dead_experts(STEPS) == {'encoders.0': [], 'middle': [1]}

    # A gate of g among e^s, 1, 1 is a tenth of 1/3 at e^s = 2 / 29.
    adapters.experts['encoders_0'].router.bias.data[2] = math.log(2 / 29) - 0.01
    adapters.experts['middle'].router.bias.data[1] = math.log(2 / 29) + 0.01
    assert adapters.dead_experts(STEPS) == {'encoders.0': [2], 'middle': []}


def test_an_expert_used_by_one_step_is_not_dead():
    adapters = wrap(UNET, SMALL).adapters
    middle = adapters.experts['middle']
    nn.init.zeros_(middle.router.weight)
    middle.router.bias.data = torch.tensor([0.0, -100, -100], dtype=torch.float64)
    prompt = adapters.prompt(STEPS[1:2])[0].detach()
    others = adapters.prompt(STEPS)[[0, 2]].detach()
    direction = prompt - others.T @ torch.linalg.lstsq(others.T, prompt[:, None]).solution[:, 0]
    middle.router.weight.data[1] = 200 * direction / (direction @ prompt)
    assert adapters.dead_experts(STEPS)['middle'] == [2]
    assert adapters.dead_experts(STEPS[:1])['middle'] == [1, 2]


def test_content_routing_cannot_be_reported_by_time_step():
    adapters = wrap(UNET, SMALL | dict(router_input='t+content')).adapters
    for report in (adapters.routing, adapters.dead_experts):
        with pytest.raises(ValueError, match='the gates depend on the image'):
            report(STEPS)


@NETWORKS
@pytest.mark.parametrize('router_input', ['t', 't+content'])
def test_every_parameter_gets_a_gradient(backbone, router_input):
    conditioned = wrap(backbone, SMALL | dict(router_input=router_input))
    conditioned.predict_residual(images(), STEPS).square().mean().backward()
    for name, parameter in conditioned.adapters.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    used = conditioned.adapters.prompt.table.grad.abs().amax(1).nonzero()[:, 0]
    assert used.tolist() == STEPS.tolist()


@pytest.mark.parametrize(
    ('backbone', 'last_blocks'),
    [
        (UNET, {'encoders_0': 'encoders.0.2', 'middle': 'middle.1'}),
        (
            NAFNET,
            {
                'encoders_0': 'encoders.0.0',
                'encoders_1': 'encoders.1.1',
                'middle_blks': 'middle_blks.0',
            },
        ),
    ],
    ids=['unet', 'nafnet'],
)
def test_adapters_belong_to_the_last_block_of_their_stage(backbone, last_blocks):
    conditioned = wrap(backbone, SMALL)
    blocks = conditioned.parameter_blocks()
    assert set(blocks) == {name for name, _ in conditioned.named_parameters()}
    first = conditioned.trace.order[0]
    for name, block in blocks.items():
        if name.startswith('adapters.prompt.'):
            assert block == first
        elif name.startswith('adapters.'):
            assert block == last_blocks[name.split('.')[2]], name


def test_bypassing_keeps_the_latest_routing():
    conditioned = wrap(UNET, SMALL)
    with pytest.raises(RuntimeError, match='run a forward pass first'):
        _ = conditioned.adapters.routing_entropy
    conditioned(images(), STEPS)
    latest = conditioned.adapters.latest
    conditioned(images(), STEPS.flip(0), restoring=False)
    assert conditioned.adapters.latest is latest


def test_outputs_that_are_not_feature_maps_are_rejected():
    adapters = wrap(UNET, SMALL).adapters
    prompts = adapters.time_input(STEPS)
    for shape in ((3, 16, 5), (2, 16, 4, 5), (3, 8, 4, 5)):
        with pytest.raises(ValueError, match=r"module 'middle': its output .* \(3, 16, H, W\)"):
            adapters.adapt('middle', prompts, torch.zeros(shape))


def test_copies_do_not_keep_the_latest_routing():
    original = wrap(UNET, SMALL).train()
    original(images(), STEPS)
    assert original.adapters.balance_loss.requires_grad
    assert copy.deepcopy(original).adapters.latest == {}


def test_the_network_works_after_a_rejected_time_step():
    conditioned = wrap(UNET, SMALL)
    with pytest.raises(ValueError, match=r'must be integers in 0\.\.50'):
        conditioned(images(), torch.tensor([1, 2, 51]))
    with pytest.raises(RuntimeError, match='norm2 ran without a time step'):
        conditioned.net(images())
