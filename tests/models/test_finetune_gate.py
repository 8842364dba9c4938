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
)
from torch import Tensor

from dtir_mm.models.losses import NoisePredictionLoss, OrthogonalityLoss


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
