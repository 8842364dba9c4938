"""The orthogonality gradient of fine-tuning, against cosines of single gradients written out."""

import pytest
import torch
import torch.nn.functional as F
from finetune_cases import (
    BOTH,
    DEEP,
    TINY,
    build,
    compute,
    compute_added,
    gradient_of,
    gradients_of,
    loss_of,
    make_batch,
    mean_cosines,
    set_gate,
    set_term,
)
from torch import Tensor, nn

from dtir_mm.models.regularizers.importance_penalty import ImportancePenalty
from dtir_mm.models.regularizers.orthogonality_penalty import GradientOrthogonality
from dtir_mm.models.restorers.mixing import UpdateMixing
from dtir_mm.registry import MODELS


@DEEP
@BOTH
def test_orthogonality_is_eq_17_to_19_pair_by_pair(implementation, groups, deep):
    """Differentiated in one graph of all gradients; gated parameters do not count."""
    restorer = build()
    reached = set_gate(restorer, deep) > 0
    gradients = gradients_of(restorer, groups, create_graph=True)
    s, (d_g, d_r) = mean_cosines([[row * reached for row in part] for part in gradients])
    d = (3 * 2 * d_g + 5 * 4 * d_r) / (3 * 2 + 5 * 4)
    loss = (1 - s) + d.abs()
    expected = gradient_of(loss, restorer) * reached

    pull, logged = compute_added(restorer, implementation=implementation, grad_cap=None)
    assert (pull - expected).norm() <= 1e-9 * expected.norm()
    assert logged['orthogonality'].item() == pytest.approx(loss.item(), rel=1e-10)
    assert logged['orthogonality_cross'].item() == pytest.approx(s.item(), rel=1e-9)
    assert logged['orthogonality_within'].item() == pytest.approx(d.item(), rel=1e-9)


def test_groups_of_one_sample_equal_per_sample():
    restorer = build()
    expected, logged = compute_added(restorer, implementation='per_sample', grad_cap=None)
    pull, logged_of_groups = compute_added(restorer, groups=5, grad_cap=None)
    assert (pull - expected).norm() <= 1e-9 * expected.norm()
    for name in ('orthogonality', 'orthogonality_cross', 'orthogonality_within'):
        torch.testing.assert_close(logged_of_groups[name], logged[name], rtol=1e-9, atol=0)


def test_the_mode_selects_the_loss():
    restorer = build()
    for mode in ('opl', 'conflict'):
        _, logged = compute_added(restorer, mode=mode)
        loss, s, d = (logged[f'orthogonality{part}'].item() for part in ('', '_cross', '_within'))
        assert s > 0 and d > 0
        assert loss == pytest.approx((1 - d) + s if mode == 'opl' else 0, rel=1e-12)


# L1 without its kink, which differences would see.
CHARBONNIER = dict(pixel=dict(type='CharbonnierLoss', epsilon=0.03))


@MODELS.register_module()
class Attentive(nn.Module):
    """Attention over pixels by torch's fused kernels, of which only one has second derivatives."""

    global_skip = False

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        parts = self.first(u).flatten(2).unflatten(1, (3, 1, 4)).transpose(-1, -2).contiguous()
        attended = F.scaled_dot_product_attention(*parts.unbind(1))
        return self.last(attended[:, 0].transpose(1, 2).unflatten(2, u.shape[2:]))


@pytest.mark.parametrize('backbone', [TINY, dict(type='Attentive')], ids=['unet', 'attention'])
@pytest.mark.parametrize('implementation', ['group', 'per_sample'])
def test_orthogonality_against_differences_of_the_loss(implementation, backbone):
    restorer = build(backbone, content=CHARBONNIER)
    reached = set_gate(restorer, 0.0)
    parameters = list(restorer.parameters())
    weights = nn.utils.parameters_to_vector(parameters).detach()
    pull, _ = compute_added(restorer, implementation=implementation, grad_cap=None)
    for _ in range(2):
        direction = reached * torch.randn_like(weights)
        values = []
        for step in (1e-5, -1e-5):
            nn.utils.vector_to_parameters(weights + step * direction, parameters)
            values.append(compute(restorer)[1]['orthogonality'].item())
        slope = (values[0] - values[1]) / 2e-5
        assert slope == pytest.approx(float(pull @ direction), abs=1e-5 * float(pull.norm()))


def test_the_cap_is_relative_to_the_content_gradient():
    restorer = build()
    named = restorer.named_trained_parameters()
    zeros = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
    penalty = ImportancePenalty('l2sp', weight=30.0)
    penalty.set_importance(zeros, zeros, named)
    set_term(restorer, 'importance', penalty)
    content = float(gradient_of(loss_of(restorer, [3, 4, 5, 6, 7]), restorer).norm())
    assert float(compute(restorer)[0].norm()) > 10 * content  # by the penalty

    whole, logged = compute_added(restorer, grad_cap=None)
    length = float(whole.norm())
    assert length > content
    assert logged['orthogonality_ratio'].item() == pytest.approx(length / content, rel=1e-9)
    capped, logged = compute_added(restorer, grad_cap=0.1)
    torch.testing.assert_close(capped, whole * 0.1 * content / length, rtol=1e-9, atol=1e-12)
    assert logged['orthogonality_ratio'].item() == pytest.approx(0.1, rel=1e-9)
    weight = 0.05 * content / length
    light, logged = compute_added(restorer, grad_cap=0.1, weight=weight)
    torch.testing.assert_close(light, whole * weight, rtol=1e-9, atol=1e-12)
    assert logged['orthogonality_ratio'].item() == pytest.approx(0.05, rel=1e-9)


def test_nothing_is_added_between_its_updates():
    restorer = build()
    plain = [compute(restorer, iteration)[0] for iteration in range(4)]
    set_term(restorer, 'orthogonality', GradientOrthogonality(interval=3))
    for iteration, expected in enumerate(plain):
        gradient, logged = compute(restorer, iteration)
        assert torch.equal(gradient, expected) == (iteration % 3 != 0)
        assert ('orthogonality' in logged) == (iteration % 3 == 0)


def test_without_a_cap_the_loss_weighs_as_much_as_at_every_update():
    restorer = build()
    every, _ = compute_added(restorer, grad_cap=None)
    set_term(restorer, 'orthogonality', None)
    plain, _ = compute(restorer)
    set_term(restorer, 'orthogonality', GradientOrthogonality(interval=3, grad_cap=None))
    torch.testing.assert_close(compute(restorer)[0] - plain, 3 * every, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('added', [False, True])
def test_one_group_each_is_one_less_the_cosine_of_the_two_gradients(added):
    """What the released code logs, here with a gradient; all samples are of both kinds."""
    restorer = build()
    step, batch = restorer.step, make_batch(restorer)
    step.mixing = UpdateMixing(dict(type='NoisePrediction'), probability=1.0, added=added)
    generative, content = (
        gradient_of(objective.losses(restorer, batch).total.mean(), restorer, create_graph=True)
        for objective in (step.mixing.objective, step.objective)
    )
    loss = 1 - (generative @ content) / (generative.norm() * content.norm())
    expected = gradient_of(loss, restorer)

    pull, logged = compute_added(restorer, groups=1, grad_cap=None)
    assert (pull - expected).norm() <= 1e-9 * expected.norm() and expected.norm() > 0
    assert logged['orthogonality'].item() == pytest.approx(loss.item(), rel=1e-10)
    assert logged['gradient_cosine'].item() == pytest.approx(1 - loss.item(), rel=1e-10)
    assert logged['orthogonality_within'].item() == 0
