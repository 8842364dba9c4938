"""Noise and time steps depend only on the keys and have the right distributions."""

import math

import torch
from restorer_cases import SEED, draw, make_data

from dtir_mm.diffusion.noise_schedule import VarianceExploding, VariancePreserving
from dtir_mm.models.objectives.noisy_samples import bins, noisy_samples

SCHEDULE = VariancePreserving()


def draw_noise(data: dict) -> tuple[torch.Tensor, torch.Tensor]:
    _, noise, t = noisy_samples(SCHEDULE, {**data, 'clean': data['clean'].float()})
    return noise, t


def test_noise_depends_only_on_the_keys():
    noise, t = draw_noise(make_data(range(6)))
    torch.manual_seed(1)
    order = [4, 1, 5]
    noise_again, t_again = draw_noise(make_data(order))
    assert torch.equal(noise_again, noise[order]) and torch.equal(t_again, t[order])
    later = draw_noise(make_data(range(6), iteration=4))
    assert not torch.isclose(later[0], noise).any() and not torch.equal(later[1], t)


def test_both_recipes_draw_the_same_noise_and_time_steps():
    """In every precision: float64 refines float32."""
    data = make_data(range(5))
    for dtype in (torch.float32, torch.float64):
        for schedule in (VariancePreserving(), VarianceExploding()):
            _, noise, t = noisy_samples(schedule, {**data, 'clean': data['clean'].to(dtype)})
            assert noise.dtype == dtype
            for i, key in enumerate(data['key'].tolist()):
                step, expected = draw(key, (3, 8, 8))
                assert step == t[i] and torch.equal(noise[i], expected.to(dtype))


def test_time_steps_are_uniform_and_noise_is_normal():
    keys = [[SEED, iteration, slot] for iteration in range(300) for slot in range(16)]
    batch = {'key': torch.tensor(keys), 'clean': torch.zeros(len(keys), 3, 2, 2)}
    noise, t = draw_noise(batch)
    counts = torch.bincount(t, minlength=51)
    assert counts[0] == 0 and len(counts) == 51
    expected = len(keys) / 50
    chi_square = float(((counts[1:] - expected) ** 2 / expected).sum())
    assert 24 < chi_square < 85  # all but 0.2 % of chi-square with 49 degrees of freedom
    assert abs(float(noise.mean())) < 4 / math.sqrt(noise.numel())
    assert abs(float(noise.var()) - 1) < 4 * math.sqrt(2 / noise.numel())
    columns = torch.cat([noise.flatten(1), t[:, None].float()], dim=1)
    correlation = torch.corrcoef(columns.T) - torch.eye(13)
    assert correlation.abs().max() < 5 / math.sqrt(len(keys))


def test_the_bins_cover_every_step_once():
    for num_steps in (5, 12, 50, 1000):
        ranges = list(bins('x', num_steps).values())
        covered = [t for low, high in ranges for t in range(low + 1, high + 1)]
        assert covered == list(range(1, num_steps + 1)) and len(ranges) == 5
