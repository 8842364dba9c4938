"""Artefact figures of the released model's evaluation, on errors of known shape."""

import numpy as np
import pytest
from figures import border_excess, grid_energy

CLEAN = np.full((128, 160, 3), 128, np.uint8)
ROWS, COLUMNS = np.mgrid[:128, :160]


def with_error(error: np.ndarray) -> np.ndarray:
    return np.uint8(128 + np.round(error))[..., None].repeat(3, axis=2)


def test_equal_images_have_no_artefacts():
    assert border_excess(CLEAN, CLEAN) == 1
    assert grid_energy(CLEAN, CLEAN) == 1


def test_border_excess_is_the_ratio_of_outer_to_inner_error():
    error = np.full((128, 160), 4.0)
    error[2:-2, 2:-2] = 2
    error[:8, 20:40] = 9  # near the border, outside of both
    error[:2, 20:40] = 4
    assert border_excess(with_error(error), CLEAN) == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize('period', [2, 4, 8, 16])
@pytest.mark.parametrize('coordinate', [ROWS, COLUMNS], ids=['rows', 'columns'])
def test_grid_energy_shows_each_period(period, coordinate):
    noise = np.random.default_rng(0).normal(0, 6, CLEAN.shape[:2])
    comb = 1.5 * period * (coordinate % period == 0)
    assert grid_energy(with_error(noise), CLEAN) < 1.3
    assert grid_energy(with_error(noise + comb), CLEAN) > 2


def test_grid_energy_ignores_other_periods():
    noise = np.random.default_rng(0).normal(0, 6, CLEAN.shape[:2])
    wave = 6.0 * np.sin(2 * np.pi * COLUMNS / 160 * 29)
    assert grid_energy(with_error(noise + wave), CLEAN) < 1.3
