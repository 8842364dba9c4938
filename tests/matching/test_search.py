"""Which time steps are evaluated."""

import numpy as np
import pytest
import torch

from dtir_mm.matching.search import coarse_grid, search


def test_coarse_grid():
    assert len(coarse_grid(50)) == 12
    for num_steps in (1, 4, 50, 1000):
        grid = coarse_grid(num_steps)
        assert grid == sorted(set(grid)) and grid[0] == 1 and grid[-1] == num_steps


@pytest.mark.parametrize('minimum', range(1, 51))
def test_a_sharp_minimum_is_evaluated_wherever_it_is(minimum):
    asked, reported = [], []

    def errors_at(t):
        asked.append(t)
        return torch.full((8,), 0.5 + abs(t - minimum) / 1024)

    evaluated = search(errors_at, 50, progress=lambda *counts: reported.append(counts))
    assert minimum in asked and asked == list(evaluated)
    assert {t: errors.tolist() for t, errors in evaluated.items()} == {
        t: [0.5 + abs(t - minimum) / 1024] * 8 for t in asked
    }
    count = len(asked)
    assert 12 < count <= 18
    coarse = [(done, 18) for done in range(13)]
    assert reported == coarse + [(done, count) for done in range(12, count + 1)]


def test_a_grid_is_not_refined():
    reported = []
    evaluated = search(
        lambda t: torch.tensor([t / 50]), 50, [1, 20, 50], lambda *counts: reported.append(counts)
    )
    assert list(evaluated) == [1, 20, 50]
    assert reported == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_errors_that_are_not_finite_are_rejected(bad):
    with pytest.raises(ValueError, match='the errors at t=12 are not finite'):
        search(lambda t: torch.tensor([0.5, bad if t == 12 else 0.5]), 50)


@pytest.mark.parametrize('grid', [[], [0, 60], [1, 51]])
def test_grids_outside_the_schedule_are_rejected(grid):
    with pytest.raises(ValueError, match=r'the grid .* must be steps of 1\.\.50'):
        search(lambda t: torch.ones(4), 50, grid)


@pytest.mark.parametrize('errors', [torch.ones(()), torch.ones(4, 2), torch.ones(0)])
def test_errors_of_another_shape_are_rejected(errors):
    with pytest.raises(ValueError, match=r'errors at t=1 must have shape \(N,\), got'):
        search(lambda t: errors, 50)


def test_no_gradients_are_kept():
    weight = torch.ones(4, requires_grad=True)
    assert search(lambda t: weight * t, 50, [3])[3].tolist() == [3] * 4
