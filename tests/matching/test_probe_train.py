"""The criterion that fine-tunes, on a network whose training can be computed by hand."""

import pytest
import torch
from torch import Tensor, nn

from dtir_mm.matching.criteria import ProbeTrain


class Shift(nn.Module):
    """Restores by ``y - t * shift``; the gradient of L1 is -t times the sign of the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, degraded: Tensor, t: Tensor) -> Tensor:
        return degraded - t.view(-1, 1, 1, 1) * self.shift


def shifted_pairs(count: int = 9) -> tuple[Tensor, Tensor]:
    """Images that the degradation made brighter by 0.5."""
    clean = torch.rand(count, 3, 4, 4)
    return clean + 0.5, clean


def test_errors_fall_with_every_update_as_adam_moves():
    """Adam moves by its rate, 5e-4, while the gradient keeps its sign: 0.5 - t * 5e-4 * updates."""
    reported = []
    criterion = ProbeTrain(iterations=20)
    criterion.report = reported.append
    network = Shift()
    errors_at = criterion.errors_at(network, *shifted_pairs(), seed=0)
    with torch.no_grad():  # as the search calls it
        errors = {t: errors_at(t) for t in (1, 10)}
    for t, error in errors.items():
        assert error.tolist() == pytest.approx([1 - t * 5e-4 * 20 / 0.5] * 4, rel=1e-4)
    assert reported == [f't = {t}, iteration {done}' for t in (1, 10) for done in range(1, 21)]
    assert network.shift == 0, 'the pre-trained weights were changed'


def test_training_mode_is_used_only_for_training(monkeypatch):
    modes = []
    forward = Shift.forward

    def note(self, degraded, t):
        modes.append((self.training, t.tolist()))
        return forward(self, degraded, t)

    monkeypatch.setattr(Shift, 'forward', note)
    ProbeTrain(iterations=2).errors_at(Shift().eval(), *shifted_pairs(), seed=0)(7)
    assert modes == [(True, [7] * 8), (True, [7] * 8), (False, [7] * 4)]


def test_errors_are_of_held_out_pairs():
    """Training pairs were made brighter, held-out ones darker: training makes these worse."""
    degraded, clean = shifted_pairs(8)
    degraded[1::2] -= 1
    errors_at = ProbeTrain(iterations=20).errors_at(Shift(), degraded, clean, seed=0)
    assert errors_at(10).tolist() == pytest.approx([1 + 10 * 5e-4 * 20 / 0.5] * 4, rel=1e-4)


def test_seven_steps_are_evaluated():
    assert ProbeTrain().grid(50) == [1, 8, 16, 24, 32, 40, 50]
    assert ProbeTrain().grid(4) == [1, 2, 3, 4]


def test_iterations_below_one_are_rejected():
    with pytest.raises(ValueError, match='iterations=0 of probe_train must be at least 1'):
        ProbeTrain(iterations=0)
