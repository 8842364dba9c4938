"""Gate and projection of the generative gradient, against both objectives' gradients apart."""

import torch
from finetune_cases import (
    DEEP,
    SAMPLES,
    build,
    compute,
    gradient_of,
    gradients_of,
    loss_of,
    set_gate,
    set_term,
)
from torch import Tensor

from dtir_mm.models.objectives.noise_prediction import NoisePrediction
from dtir_mm.models.objectives.objective import Losses
from dtir_mm.models.regularizers.gradient_projection import GradientProjection, conflict
from dtir_mm.models.restorers.mixing import UpdateMixing
from dtir_mm.registry import MODELS


def rows(*values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_conflict_is_the_opposing_component():
    kept = 0
    for _ in range(100):
        generative, restoration = torch.randn(2, 5, dtype=torch.float64)
        projected = generative.clone() + conflict(generative, restoration)
        inner = sum(float(g) * float(r) for g, r in zip(generative, restoration, strict=True))
        if inner >= 0:
            assert torch.equal(projected, generative)
            kept += 1
        else:
            unit = restoration / restoration.norm()
            expected = generative - (generative @ unit) * unit
            torch.testing.assert_close(projected, expected, rtol=1e-10, atol=1e-13)
        combined = (projected + restoration) @ restoration
        assert combined >= restoration @ restoration - 1e-12
    assert 20 < kept < 80

    torch.testing.assert_close(conflict(rows([2, -3])[0], rows([0, 4])[0]), rows([0, 3])[0])
    generative, nothing = rows([2, -3], [0, 0])
    assert torch.equal(conflict(generative, nothing), nothing)
    assert torch.equal(conflict(nothing, generative), nothing)


def test_the_gate_blocks_only_the_generative_gradient():
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


@MODELS.register_module()
class Opposed(NoisePrediction):
    """A generative objective that wants the contrary."""

    def losses(self, restorer: torch.nn.Module, samples: dict) -> Losses:
        total, parts = super().losses(restorer, samples)
        return Losses(-total, parts)


@DEEP
def test_projection_removes_the_component_that_opposes_restoration(deep):
    conflicts = []
    for objective in ('NoisePrediction', 'Opposed'):
        torch.manual_seed(2)
        restorer = build(generative=objective)
        gate = set_gate(restorer, deep)
        generative, content = (sum(part) for part in gradients_of(restorer, SAMPLES))
        generative, reached = gate * generative, (gate > 0) * content
        plain, _ = compute(restorer)
        set_term(restorer, 'projection', GradientProjection())
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


def test_gradients_that_are_not_added_are_not_projected():
    """It is not part of the update, so subtracting its conflict would add a gradient."""
    restorer = build(generative='Opposed')
    for added in (True, False):
        restorer.step.mixing = UpdateMixing(dict(type='Opposed'), probability=1.0, added=added)
        set_term(restorer, 'projection', None)
        plain, _ = compute(restorer)
        set_term(restorer, 'projection', GradientProjection())
        assert torch.equal(compute(restorer)[0], plain) == (not added)
