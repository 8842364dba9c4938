"""Time steps that are not searched for."""

import pytest
from scipy import stats

from dtir_mm.matching.given_timestep import given_timestep
from dtir_mm.matching.table4 import PAPER_TIMESTEPS
from dtir_mm.matching.timestep_match import TimestepMatch


@pytest.mark.parametrize(
    ('method', 'task', 't'),
    [
        ('paper', 'noisy', 4),
        ('paper', 'blurry', 50),
        ('fixed:1', 'anything', 1),
        ('fixed:50', 'anything', 50),
    ],
)
def test_table_4_and_constants(method, task, t):
    expected = TimestepMatch(t, (t, t), t, 1.0, 'given', method, [], 0)
    assert given_timestep(method, task, 50, 0) == expected


def test_random_steps_depend_on_seed_and_task_and_are_uniform():
    drawn = [given_timestep('random', 'rainy', 5, seed).t_mat for seed in range(500)]
    assert drawn == [given_timestep('random', 'rainy', 5, seed).t_mat for seed in range(500)]
    assert drawn != [given_timestep('random', 'hazy', 5, seed).t_mat for seed in range(500)]
    counts = [drawn.count(t) for t in (1, 2, 3, 4, 5)]
    assert sum(counts) == 500 and stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(
    ('method', 'task', 'num_steps', 'message'),
    [
        (
            'paper',
            'foggy',
            50,
            f"'foggy' is not in Table 4, which has {', '.join(PAPER_TIMESTEPS)}",
        ),
        ('paper', 'hazy', 100, 'Table 4 is for T=50, the schedule has T=100'),
        ('fixed:0', 'hazy', 50, r"'fixed:0' gives t=0.*1\.\.50"),
        ('fixed:51', 'hazy', 50, r"'fixed:51' gives t=51.*1\.\.50"),
        ('fixed:-3', 'hazy', 50, "'fixed:-3' must be one of linear_probe, .*fixed:k"),
        ('fixed', 'hazy', 50, "'fixed' must be one of"),
        ('papre', 'hazy', 50, "'papre' must be one of .*sdedit, .*paper, random, fixed:k"),
    ],
)
def test_impossible_steps_are_rejected(method, task, num_steps, message):
    with pytest.raises(ValueError, match=message):
        given_timestep(method, task, num_steps, 0)
