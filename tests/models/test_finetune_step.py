"""Where the gradients of fine-tuning meet, against losses, cosines and penalties written out."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtir_mm import compat
from dtir_mm.models.losses import ImportanceLoss, NoisePredictionLoss, OrthogonalityLoss
from dtir_mm.models.preprocessor import select
from dtir_mm.models.restorers import base_restorer, finetune_restorer
from dtir_mm.registry import MODELS

TINY = dict(
    type='DtirUNet', width=4, channel_multipliers=(1, 2), blocks_per_level=(1,), middle_blocks=1,
    attention=False, num_groups=2,
)  # fmt: skip
SLOTS = [5, 0, 3, 7, 1, 4, 6, 2]  # of eight samples, of which the first three are generative
SAMPLES = [[0], [1], [2]], [[3], [4], [5], [6], [7]]
HALVES = [[0, 1], [2]], [[3, 4, 5], [6, 7]]
BOTH = pytest.mark.parametrize(
    ('implementation', 'groups'), [('per_sample', SAMPLES), ('group', HALVES)]
)
DEEP = pytest.mark.parametrize('deep', [1.0, 0.25, 0.0], ids='gate {}'.format)


def build(backbone: dict = TINY, precision: str = 'fp64', **arguments) -> nn.Module:
    """A restorer whose weights are all random, those of FiLM too."""
    wrapped = dict(type='ConditionedBackbone', backbone=backbone, embedding_dim=8)
    restorer = MODELS.build(
        dict(type='FinetuneRestorer', backbone=wrapped, mix_ratio=0.375, **arguments)
    )
    restorer.set_precision(precision)
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return restorer


def make_batch(restorer: nn.Module, iteration: int = 3, slots: Sequence[int] = SLOTS) -> dict:
    """A batch on which the noise of a generative sample depends on its slot and iteration."""
    rng = torch.Generator().manual_seed(1)
    images = 2 * torch.rand(2, 8, 3, 8, 8, generator=rng) - 1
    clean, degraded = images.to(next(restorer.parameters()))[:, slots]
    return {
        'clean': clean,
        'degraded': degraded,
        'task': ['rainy' if slot % 2 else 'hazy' for slot in slots],
        'path': [f'photo_{slot}.png' for slot in slots],
        'key': torch.tensor([[11, iteration, slot] for slot in slots]),
    }


def compute(restorer: nn.Module, iteration: int = 3) -> tuple[Tensor, dict[str, Tensor]]:
    return restorer.compute_gradient(make_batch(restorer, iteration))


def compute_added(restorer: nn.Module, **arguments) -> tuple[Tensor, dict[str, Tensor]]:
    """What an orthogonality loss adds to the gradient, and what is logged with it."""
    restorer.orthogonality_loss = None
    plain, _ = compute(restorer)
    restorer.orthogonality_loss = OrthogonalityLoss(interval=1, **arguments)
    gradient, logged = compute(restorer)
    return gradient - plain, logged


def gradient_of(loss: Tensor, restorer: nn.Module, create_graph: bool = False) -> Tensor:
    gradients = torch.autograd.grad(
        loss, list(restorer.parameters()), create_graph=create_graph, materialize_grads=True
    )
    return torch.cat([gradient.flatten() for gradient in gradients])


def loss_of(restorer: nn.Module, slots: Sequence[int], iteration: int = 3) -> Tensor:
    """The part of samples of one kind in the update's loss, by a forward of each."""
    objective = restorer.noise_losses if max(slots) < 3 else restorer.content_losses
    batch = make_batch(restorer, iteration)
    losses = [objective(select(batch, [SLOTS.index(slot)])) for slot in slots]
    return torch.cat(losses).sum() / 8


def gradients_of(
    restorer: nn.Module, groups: tuple, iteration: int = 3, create_graph: bool = False
) -> list[list[Tensor]]:
    """The gradient of each group, of generative samples and of restored ones."""
    return [
        [gradient_of(loss_of(restorer, slots, iteration), restorer, create_graph) for slots in part]
        for part in groups
    ]


def set_gate(restorer: nn.Module, deep: float) -> Tensor:
    """Lets ``deep`` of the generative gradient into the second half of blocks: factors (P,)."""
    order, block_of = restorer.backbone.execution_order(), restorer.backbone.parameter_blocks()
    shallow = {name for name, block in block_of.items() if block in order[: len(order) // 2]}
    named = restorer.named_trained_parameters()
    gate = {n: 1.0 if n.removeprefix('backbone.') in shallow else deep for n in reversed(named)}
    restorer.set_layer_decay(gate, dict.fromkeys(gate, 1.0))
    factors = torch.cat([torch.full((p.numel(),), gate[name]) for name, p in named.items()])
    assert 0.05 < (factors == deep).double().mean() < 0.95 or deep == 1
    return factors.double()


def mean_cosines(gradients: list[list[Tensor]]) -> tuple[Tensor, list[Tensor]]:
    """Over the pairs across two sets, and over the ordered pairs within each."""
    cosine = torch.nn.CosineSimilarity(dim=0, eps=0)
    cross = [cosine(g, r) for g in gradients[0] for r in gradients[1]]
    within = [[cosine(a, b) for a in part for b in part if a is not b] for part in gradients]
    return torch.stack(cross).mean(), [torch.stack(cosines).mean() for cosines in within]


# --- orthogonality ----------------------------------------------------------------------------


@DEEP
@BOTH
def test_orthogonality_is_eq_17_to_19_pair_by_pair(implementation, groups, deep):
    """Differentiated in one graph of all gradients; where the gate is closed nothing is read."""
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


def test_groups_of_one_sample_are_samples():
    restorer = build()
    expected, logged = compute_added(restorer, implementation='per_sample', grad_cap=None)
    pull, logged_of_groups = compute_added(restorer, num_groups=5, grad_cap=None)
    assert (pull - expected).norm() <= 1e-9 * expected.norm()
    for name in ('orthogonality', 'orthogonality_cross', 'orthogonality_within'):
        torch.testing.assert_close(logged_of_groups[name], logged[name], rtol=1e-9, atol=0)


def test_the_mode_is_that_of_the_loss():
    restorer = build()
    for mode in ('opl', 'conflict'):
        _, logged = compute_added(restorer, mode=mode)
        loss, s, d = (logged[f'orthogonality{part}'].item() for part in ('', '_cross', '_within'))
        assert s > 0 and d > 0
        assert loss == pytest.approx((1 - d) + s if mode == 'opl' else 0, rel=1e-12)


def test_micro_batches_do_not_change_the_groups():
    restorer = build()
    expected, logged = compute_added(restorer, grad_cap=None)
    sizes = []
    restorer.backbone.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    restorer.micro_batch_size = 2
    pull, logged_again = compute_added(restorer, grad_cap=None)
    assert max(sizes) == 2
    assert (pull - expected).norm() <= 1e-9 * expected.norm()
    torch.testing.assert_close(logged_again, logged, rtol=1e-9, atol=1e-12)


class Charbonnier(nn.Module):
    """L1 without its kink, which differences would see."""

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        return ((restored - clean).square() + 1e-3).sqrt().mean(dim=(1, 2, 3))


class Attentive(nn.Module):
    """Attention over pixels by torch's fused kernels, of which one alone can be differentiated."""

    global_skip = False

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        parts = self.first(u).flatten(2).unflatten(1, (3, 1, 4)).transpose(-1, -2).contiguous()
        attended = F.scaled_dot_product_attention(*parts.unbind(1))
        return self.last(attended[:, 0].transpose(1, 2).unflatten(2, u.shape[2:]))


@pytest.mark.parametrize('backbone', [TINY, dict(type=Attentive)], ids=['unet', 'attention'])
@pytest.mark.parametrize('implementation', ['group', 'per_sample'])
def test_orthogonality_against_differences_of_the_loss(implementation, backbone):
    restorer = build(backbone, content_loss=dict(type=Charbonnier))
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


@BOTH
def test_the_bound_on_the_cosine_of_the_objectives(implementation, groups):
    """method.md 3.6: the mean unit vector of n gradients has squared length (1 + (n - 1) c) / n."""
    restorer = build(orthogonality_loss=dict(type='OrthogonalityLoss', interval=1))
    restorer.orthogonality_loss.implementation = implementation
    for iteration in range(2):
        s, within = mean_cosines(gradients_of(restorer, groups, iteration))
        squares = [(1 + (len(p) - 1) * c) / len(p) for p, c in zip(groups, within, strict=True)]
        logged = compute(restorer, iteration)[1]['orthogonality_cross'].item()
        bound = math.sqrt(math.prod(map(float, squares)))
        assert logged == pytest.approx(float(s), rel=1e-9)
        assert 0.5 * bound < abs(logged) <= bound + 1e-12 and bound < 0.95


def test_the_cap_is_a_share_of_the_content_gradient_alone():
    restorer = build(importance_loss=dict(type='ImportanceLoss', form='l2sp', weight=30.0))
    named = restorer.named_trained_parameters()
    zeros = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
    restorer.set_importance(zeros, zeros)
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


def test_between_its_updates_nothing_is_added():
    restorer = build()
    plain = [compute(restorer, iteration)[0] for iteration in range(4)]
    restorer.orthogonality_loss = OrthogonalityLoss(interval=3)
    for iteration, expected in enumerate(plain):
        gradient, logged = compute(restorer, iteration)
        assert torch.equal(gradient, expected) == (iteration % 3 != 0)
        assert ('orthogonality' in logged) == (iteration % 3 == 0)


@pytest.mark.parametrize('implementation', ['group', 'per_sample'])
def test_second_derivatives_are_not_taken_under_autocast(implementation):
    restorer = build(precision='bf16')
    restorer.orthogonality_loss = OrthogonalityLoss(interval=2, implementation=implementation)
    seen = []
    restorer.backbone.net.register_forward_hook(
        lambda *_: seen.append(torch.is_autocast_enabled('cpu'))
    )
    for iteration in (3, 4):
        seen.clear()
        compute(restorer, iteration)
        assert set(seen) == {iteration % 2 == 1}
    assert restorer.precision == 'bf16'


class RootMeanSquareNorm(torch.autograd.Function):
    """Its first derivative is right; of its second one it takes what it saved as constants."""

    @staticmethod
    def forward(ctx, u: Tensor) -> Tensor:
        inverse = (u.square().mean(1, keepdim=True) + 1e-6).rsqrt()
        ctx.save_for_backward(u * inverse, inverse)
        return u * inverse

    @staticmethod
    def backward(ctx, by_output: Tensor) -> Tensor:
        output, inverse = ctx.saved_tensors
        return inverse * (by_output - output * (by_output * output).mean(1, keepdim=True))


class HandWritten(nn.Module):
    """A network with that norm."""

    global_skip = False

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return self.last(RootMeanSquareNorm.apply(self.first(u)))


MMAGIC = dict(
    type='mmagic.NAFNet', mid_channels=4, middle_blk_num=1, enc_blk_nums=[1], dec_blk_nums=[1]
)


@pytest.mark.parametrize(
    ('backbone', 'function'),
    [(dict(type=HandWritten), 'RootMeanSquareNorm'), (MMAGIC, 'LayerNormFunction')],
    ids=['own', 'mmagic'],
)
def test_custom_autograd_functions_are_refused(backbone, function, monkeypatch):
    """But by projection, which is of first order."""
    monkeypatch.setattr(compat, 'mend_custom_functions', lambda network: network)
    restorer = build(backbone)
    message = f'custom autograd functions.*{function}.*implementation="project"'
    for implementation in ('group', 'per_sample'):
        restorer.orthogonality_loss = OrthogonalityLoss('align', implementation, interval=2)
        with pytest.raises(TypeError, match=message):
            compute(restorer, 4)
        compute(restorer, 3)
    generative, content = (sum(rows) for rows in gradients_of(restorer, SAMPLES))
    restorer.orthogonality_loss = OrthogonalityLoss('align', 'project', interval=1)
    overlap = min(float(generative @ content), 0) / float(content.square().sum())
    torch.testing.assert_close(compute(restorer)[0], content + generative - overlap * content)


def test_literal_orthogonality_needs_a_single_process(monkeypatch):
    restorer = build()
    restorer.orthogonality_loss = OrthogonalityLoss('align', 'per_sample', interval=1)
    monkeypatch.setattr(finetune_restorer, 'get_world_size', lambda: 2)
    with pytest.raises(ValueError, match='implementation="per_sample".*one process.*"group"'):
        compute(restorer)


# --- gate and projection ----------------------------------------------------------------------


def test_the_gate_holds_back_the_generative_gradient_alone():
    restorer = build()
    ungated, _ = compute(restorer)
    content = gradient_of(loss_of(restorer, [3, 4, 5, 6, 7]), restorer)
    shallow = set_gate(restorer, 0.0) == 1
    gradient, _ = compute(restorer)
    assert torch.equal(gradient[shallow], ungated[shallow])
    torch.testing.assert_close(gradient[~shallow], content[~shallow], rtol=1e-9, atol=1e-14)
    other_noise, _ = compute(restorer, 4)
    assert torch.equal(other_noise[~shallow], gradient[~shallow])
    assert (other_noise != gradient)[shallow].double().mean() > 0.9

    gate = set_gate(restorer, 0.25)
    expected = content + gate * (ungated - content)
    torch.testing.assert_close(compute(restorer)[0], expected, rtol=1e-9, atol=1e-14)


class Opposed(NoisePredictionLoss):
    """A generative objective that wants the contrary."""

    def forward(self, *args) -> Tensor:
        return -super().forward(*args)


@DEEP
def test_projection_takes_what_opposes_restoration_from_the_generative_gradient(deep):
    conflicts = []
    for objective in (NoisePredictionLoss, Opposed):
        torch.manual_seed(2)
        restorer = build(noise_loss=dict(type=objective))
        gate = set_gate(restorer, deep)
        generative, content = (sum(rows) for rows in gradients_of(restorer, SAMPLES))
        generative, reached = gate * generative, (gate > 0) * content
        plain, _ = compute(restorer)
        restorer.orthogonality_loss = OrthogonalityLoss('align', 'project', interval=1)
        gradient, _ = compute(restorer)
        conflicts.append(bool(generative @ reached < 0))
        if conflicts[-1]:
            unit = reached / reached.norm()
            expected = content + generative - (generative @ unit) * unit
            torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-14)
            assert plain @ content < content @ content - 1e-6
        else:
            assert torch.equal(gradient, plain)
        assert gradient @ content >= content @ content - 1e-12
    assert sorted(conflicts) == [False, True]


# --- importance -------------------------------------------------------------------------------


@pytest.mark.parametrize('form', ['pigwm', 'l2sp'])
def test_the_importance_penalty_written_out(form):
    restorer = build()
    named = restorer.named_trained_parameters()
    decay = dict(zip(reversed(named), itertools.cycle([1.0, 0.5, 0.125]), strict=False))
    gate = dict(zip(named, itertools.cycle([0.0, 1.0]), strict=False))
    restorer.set_layer_decay(gate, decay)
    plain, losses = compute(restorer)

    omega = {name: torch.rand_like(p) for name, p in named.items()}
    anchor = {name: p.detach() + 0.1 * torch.randn_like(p) for name, p in named.items()}
    free = 'backbone.net.conv_out.weight'
    del omega[free], anchor[free]
    restorer.set_importance(omega, anchor)
    assert compute(restorer)[0].equal(plain)  # the weights are known, but there is no penalty
    restorer.importance_loss = ImportanceLoss(form, weight=0.3)
    gradient, logged = compute(restorer)

    moved = {name: named[name] - value for name, value in anchor.items()}
    sums = {name: (omega[name] * delta.abs()).sum() for name, delta in moved.items()}
    penalty = sum(
        0.3 * decay[n] / 2 * (s + s**2 if form == 'pigwm' else moved[n].square().sum())
        for n, s in sums.items()
    )
    expected = gradient_of(penalty, restorer)
    torch.testing.assert_close(gradient - plain, expected, rtol=1e-9, atol=1e-13)
    figures = {
        'drift': math.sqrt(sum(delta.square().sum().item() for delta in moved.values())),
        'importance': penalty.item(),
        'importance_s': sum(s.item() for s in sums.values()),
        'importance_s2': sum(s.item() ** 2 for s in sums.values()),
        'importance_ratio': penalty.item() / losses['content'].mean().item(),
    }
    assert {name: logged[name].item() for name in figures} == pytest.approx(figures, rel=1e-10)

    with torch.no_grad():
        named[free].add_(0.1)
    gradient_elsewhere, logged = compute(restorer)
    for name in ('drift', 'importance', 'importance_s', 'importance_s2'):
        assert logged[name].item() == pytest.approx(figures[name], rel=1e-10)
    restorer.importance_loss = None
    parts = [p.numel() for p in named.values()]
    pull = dict(zip(named, (gradient_elsewhere - compute(restorer)[0]).split(parts), strict=True))
    assert (pull[free] == 0).all()


def test_importance_of_another_network_is_refused():
    restorer = build()
    values = {name: p.detach() for name, p in restorer.named_trained_parameters().items()}
    wrong = {**values, 'backbone.net.stem.bias': torch.zeros(5), 'backbone.adapter': torch.ones(1)}
    message = r'backbone\.adapter; backbone\.net\.stem\.bias: \(5,\) instead of \(4,\)'
    for omega, anchor in ((wrong, values), (values, wrong)):
        with pytest.raises(ValueError, match=message):
            restorer.set_importance(omega, anchor)


def test_a_penalty_without_importance_is_refused():
    restorer = build()
    plain, losses = compute(restorer)
    restorer.importance_loss = ImportanceLoss('none')
    gradient, logged = compute(restorer)
    assert torch.equal(gradient, plain) and set(logged) == set(losses)
    for form in ('pigwm', 'ewc', 'l2sp'):
        restorer.importance_loss = ImportanceLoss(form)
        with pytest.raises(RuntimeError, match='importance_loss.*ImportanceAccumulationHook'):
            compute(restorer)


def test_all_processes_log_the_same_names(monkeypatch):
    """Also one that has no pair: the means are sums over processes, name by name."""
    restorer = build(importance_loss=dict(type='ImportanceLoss'))
    restorer.orthogonality_loss = OrthogonalityLoss(interval=1)
    named = restorer.named_trained_parameters()
    values = {name: torch.ones_like(parameter) for name, parameter in named.items()}
    restorer.set_importance(values, values)
    for module in (base_restorer, finetune_restorer):
        monkeypatch.setattr(module, 'get_world_size', lambda: 4)
    of_processes = [
        restorer.compute_gradient(make_batch(restorer, slots=slots))[1]
        for slots in ([0, 1], [2, 3], [4, 5], [6, 7])
    ]
    assert {tuple(logged) for logged in of_processes} == {tuple(of_processes[-1])}
    assert all(len(logged['importance_ratio']) == 1 for logged in of_processes)


def test_a_batch_without_a_pair_is_refused():
    restorer = build()
    restorer.mix_ratio = 0.95
    with pytest.raises(ValueError, match=r'mix_ratio=0\.95 makes all 8 samples .* generative'):
        compute(restorer)
