"""What docs/evidence.md recommends, against the committed results."""

import numpy as np
import pytest
from evidence.arms import ARMS
from evidence.hypotheses import COMPOSITE, SOURCE, TARGET
from evidence.recommendations import RECOMMENDATIONS, recommendations
from evidence.studies import TASKS


@pytest.mark.parametrize('each', RECOMMENDATIONS, ids=lambda each: each.situation)
def test_each_gains_on_one_test_and_loses_on_neither(difference, each):
    found = [difference(each.arm, each.base, domain, *each.tasks) for domain in (SOURCE, TARGET)]
    assert max(one.low for one in found) > 0
    assert min(one.high for one in found) > 0


@pytest.mark.parametrize('each', RECOMMENDATIONS, ids=lambda each: each.situation)
def test_numbers_of_updates_are_those_of_the_arms(each):
    for text, arm in ((each.advice, ARMS[each.arm]), (each.instead_of, ARMS[each.base])):
        stated = [n for n in ('1500', '3500') if f'{n} updates' in text]
        assert stated in ([], [str(arm.updates)])
        assert ('pre-training' in text) <= (arm.pretraining is not None)


def test_rows_have_differences_with_intervals_and_seeds(results):
    rows = recommendations(results).split('\n\n')[1].splitlines()
    (rain,) = (row for row in rows if row.startswith('| rain |'))
    values = [
        np.mean([results[f'{arm}_rainy_s{s}']['images']['rainy'][TARGET]['psnr'] for s in range(5)])
        for arm in ('scratch_long', 'naive')
    ]
    assert f'| {values[0] - values[1]:+.2f} [' in rain
    assert rain.endswith(' | 5 |')
    assert rows[2].endswith(' | 3 to 5 |')


def test_missing_results_leave_cells_empty():
    row = recommendations({}).split('\n\n')[1].splitlines()[2]
    assert row.endswith('| - | - | - | 0 |')


def test_the_opening_says_how_far_pre_training_ends_behind(difference):
    for arm, base, domain, behind in (
        ('naive', 'scratch_long', SOURCE, 0.8),
        ('released', 'scratch_ve_long', SOURCE, 1.3),
        ('released', 'scratch_ve_long', TARGET, 0.4),
    ):
        found = difference(arm, base, domain, *TASKS)
        assert found.mean == pytest.approx(-behind, abs=0.05)
        assert found.high < 0


def test_the_fft_term_gains_nothing_in_low_light(difference):
    for domain in (SOURCE, TARGET):
        assert difference('scratch', 'scratch_l1', domain, 'low_light').low < 0


def test_the_two_versions_with_the_fft_term(difference):
    assert difference('released', 'preprint', TARGET, 'noisy').high < 0
    assert difference('released', 'preprint_fft', TARGET, 'noisy').high < 0
    for task in ('rainy', 'low_light'):
        found = difference('released', 'preprint_fft', TARGET, task)
        assert found.low < 0 < found.high


def test_compressed_noise_is_what_random_strengths_cost(difference):
    found = difference('strengths', 'scratch', COMPOSITE, 'noisy')
    assert found.mean == pytest.approx(-1.1, abs=0.05)


def test_no_network_leaves_its_plateau_on_rain_without_the_fft_term(results):
    arms = ('scratch_l1', 'naive_l1', 'released_l1', 'preprint')
    runs = [results[key] for key in results if key.split('_rainy_')[0] in arms and '_rainy_' in key]
    assert len(runs) == 3 * 3 + 5
    assert not any(run['plateau']['left'] for run in runs)
