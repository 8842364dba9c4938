"""What docs/evidence.md says on time steps in words, against the committed results."""

from collections import Counter

import numpy as np
import pytest
from evidence.arms import MATCHED, MATCHINGS, STEPS, swept
from evidence.correlation import correlation
from evidence.curves import left_plateau_at
from evidence.evaluation import runs_of
from evidence.hypotheses import SOURCE, TARGET
from evidence.inference import Estimate
from evidence.steps import matches_of
from evidence.studies import PAIR

from dtir_mm.matching.table4 import PAPER_TIMESTEPS


@pytest.fixture(scope='module')
def against_table_4(difference):
    """The difference of a step from that of Table 4."""

    def of(method: str, task: str, step: int, domain: str) -> Estimate:
        return difference(swept(method, task, step), method, domain, task)

    return of


@pytest.mark.parametrize('step', [1, 4])
@pytest.mark.parametrize('domain', [SOURCE, TARGET])
def test_small_steps_are_no_different_on_rain(against_table_4, step, domain):
    found = against_table_4('naive', 'rainy', step, domain)
    assert found.low < 0 < found.high


@pytest.mark.parametrize('step', [15, 27, 38, 50])
def test_large_steps_cost_on_rain(against_table_4, step):
    source, target = (against_table_4('naive', 'rainy', step, d) for d in (SOURCE, TARGET))
    assert -2.55 < source.mean < -1.25
    assert -0.35 < target.mean < -0.15
    assert max(source.high, target.high) < 0
    source, target = (against_table_4('released', 'rainy', step, d) for d in (SOURCE, TARGET))
    assert -0.35 < source.mean < -0.15
    assert -0.15 < target.mean < -0.05


def test_the_first_step_on_rain_as_released(against_table_4):
    source, target = (against_table_4('released', 'rainy', 1, d) for d in (SOURCE, TARGET))
    assert source.mean == pytest.approx(0.6, abs=0.05)
    assert source.low > 0
    assert target.mean == pytest.approx(0.1, abs=0.05)


def test_steps_in_low_light(against_table_4):
    def found(domain):
        steps = [step for step in STEPS if step != MATCHED['low_light']]
        return {step: against_table_4('naive', 'low_light', step, domain) for step in steps}

    source, target = found(SOURCE), found(TARGET)
    assert source[8].low > 0
    assert source[8].mean == pytest.approx(0.8, abs=0.05)
    assert target[8].low < 0 < target[8].high
    assert target[27].low > 0
    assert target[27].mean == pytest.approx(0.5, abs=0.05)
    assert max(target, key=lambda step: target[step].mean) == 27


@pytest.mark.parametrize('step', [step for step in STEPS if step != 38])
@pytest.mark.parametrize('domain', [SOURCE, TARGET])
def test_steps_in_low_light_after_pre_training_as_released(against_table_4, step, domain):
    assert abs(against_table_4('released', 'low_light', step, domain).mean) < 0.105


@pytest.mark.parametrize('arm', ['naive', 'released'])
@pytest.mark.parametrize('task', PAIR)
@pytest.mark.parametrize('domain', [SOURCE, TARGET])
def test_the_step_of_table_4_is_not_better_than_the_first(difference, arm, task, domain):
    assert difference(arm, f'{arm}_t1', domain, task).low < 0


def test_training_starts_further_from_the_input_at_a_large_step(results):
    starts, left = {True: [], False: []}, {True: [], False: []}
    for step in STEPS:
        runs = runs_of(results, swept('naive', 'rainy', step), 'rainy')
        for curve in (runs[seed]['curve'] for seed in range(3)):
            assert curve[0][0] == 8
            starts[step > 8].append(curve[0][1] / curve[0][2])
            left[step > 8].append(left_plateau_at(curve))
    for large, low, high in ((False, 2.3, 3.9), (True, 4.2, 7.4)):
        assert (min(starts[large]), max(starts[large])) == pytest.approx((low, high), abs=0.05)
    assert (min(left[False]), max(left[False])) == (400, 700)
    assert (min(left[True]), max(left[True])) == (650, 1150)


@pytest.fixture(scope='module')
def matches_of_others(results):
    """The matches of the nine degradations other than noise, by three methods with three seeds."""

    def of(pretraining: str) -> list[dict]:
        return [
            match
            for method in ('linear_probe', 'score', 'sdedit')
            for matches in matches_of(results, f'{method}_{pretraining}')
            for task, match in matches.items()
            if task != 'noisy'
        ]

    return of


@pytest.mark.parametrize(('pretraining', 'expected'), [('vp', 7), ('ve', 12)])
def test_time_steps_other_than_that_of_noise_are_unidentified(
    matches_of_others, pretraining, expected
):
    found = matches_of_others(pretraining)
    assert len(found) == 81
    assert sum(match['status'] == 'identified' for match in found) == expected


def test_why_time_steps_are_unidentified(matches_of_others):
    found = [*matches_of_others('vp'), *matches_of_others('ve')]
    reasons = [match['reason'] for match in found if match['status'] == 'unidentified']
    kinds = Counter(' '.join(reason.split()[:2]) for reason in reasons)
    assert kinds == {'the curve': 90, 'the best': 52, 'the interval': 1}


@pytest.mark.parametrize('method', ['linear_probe', 'score', 'sdedit'])
def test_the_time_step_of_noise(results, method):
    for pretraining, steps in (('vp', {3, 4}), ('ve', range(47, 51))):
        found = [matches['noisy'] for matches in matches_of(results, f'{method}_{pretraining}')]
        assert [match['status'] for match in found] == 3 * ['identified']
        outside = [match['t_mat'] for match in found if match['t_mat'] not in steps]
        assert outside == ([25] if (method, pretraining) == ('sdedit', 've') else [])


@pytest.mark.parametrize(('pretraining', 'expected'), [('vp', 40), ('ve', 8)])
def test_the_time_step_of_noise_after_fine_tuning(results, pretraining, expected):
    (matches,) = matches_of(results, f'probe_train_{pretraining}')
    assert (matches['noisy']['t_mat'], matches['noisy']['status']) == (expected, 'identified')
    steps, errors = zip(*matches['noisy']['curve'], strict=True)
    assert len(steps) == 7
    assert 4 not in steps
    assert max(errors) / min(errors) < 1.03


def test_sdedit_finds_the_time_step_of_low_light_in_two_runs(results):
    found = [matches['low_light'] for matches in matches_of(results, 'sdedit_vp')]
    assert len(found) == 3
    identified = [match['t_mat'] for match in found if match['status'] == 'identified']
    assert sorted(identified) == [34, 35]


@pytest.mark.parametrize('name', MATCHINGS)
def test_steps_of_no_method_follow_the_order_of_table_4(results, name):
    order = np.array(list(PAPER_TIMESTEPS.values()))
    found = matches_of(results, name)
    steps = np.array([[matches[task]['t_mat'] for task in PAPER_TIMESTEPS] for matches in found])
    found = correlation(steps, order)
    assert found.low <= 0
    largest = name == 'probe_train_ve'
    assert found.mean == pytest.approx(0.49, abs=0.005) if largest else found.mean < 0.4


def test_trajectory_finds_the_first_step_for_noise(results):
    found = [matches['noisy'] for matches in matches_of(results, 'trajectory_vp')]
    assert [(match['t_mat'], match['status']) for match in found] == 3 * [(1, 'identified')]
