"""The criterion of t_mat that fine-tunes: on a network whose training can be followed by hand."""

import pytest
import torch
from torch import Tensor, nn

from dtir_mm.apis.probe_training import probe_train


class Shift(nn.Module):
    """Restores by ``y - t * shift``: L1 has the sign of what is left, times -t, as its gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))
        self.steps: list[Tensor] = []

    def forward(self, degraded: Tensor, t: Tensor) -> Tensor:
        self.steps.append(t)
        return degraded - t.view(-1, 1, 1, 1) * self.shift


def shifted_pairs(count: int = 9) -> tuple[Tensor, Tensor]:
    """Images that the degradation made brighter by 0.5."""
    clean = torch.rand(count, 3, 4, 4)
    return clean + 0.5, clean


def test_errors_fall_with_every_update_as_adam_moves():
    """Adam moves by its rate, 5e-4, while the gradient keeps its sign: 0.5 - t * 5e-4 * updates."""
    loaded, told = [], []

    def load() -> Shift:
        loaded.append(Shift())
        return loaded[-1]

    errors_at = probe_train(
        load, *shifted_pairs(), iterations=20, seed=0, progress=lambda *now: told.append(now)
    )
    with torch.no_grad():  # as the search calls it
        errors = {t: errors_at(t) for t in (1, 10)}
    for t, error in errors.items():
        assert error.tolist() == pytest.approx([1 - t * 5e-4 * 20 / 0.5] * 4, rel=1e-4)
    assert told == [(t, done) for t in (1, 10) for done in range(1, 21)]
    assert len(loaded) == 2, 'each step starts from the pre-trained weights'
    for network, t in zip(loaded, (1, 10), strict=True):
        assert all(bool((steps == t).all()) for steps in network.steps)
        assert not network.training, 'judged in training mode'


def test_judged_are_the_pairs_that_were_not_trained_on():
    """Those trained on were made brighter, the others darker: what is learnt makes them worse."""
    degraded, clean = shifted_pairs(8)
    degraded[1::2] -= 1
    errors_at = probe_train(Shift, degraded, clean, 20, seed=0, progress=lambda *now: None)
    assert errors_at(10).tolist() == pytest.approx([1 + 10 * 5e-4 * 20 / 0.5] * 4, rel=1e-4)


def test_fewer_than_four_changed_pairs_are_refused():
    degraded, clean = shifted_pairs(5)
    degraded[:2] = clean[:2]
    with pytest.raises(ValueError, match='at least 4 pairs .* got 3 of 5'):
        probe_train(Shift, degraded, clean, 1, seed=0, progress=lambda *now: None)
