"""What docs/evidence.md says in words, against the committed results."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from evidence.arms import COUNTS, MATCHED, MATCHINGS, STEPS, swept
from evidence.configs import config_of
from evidence.correlation import correlation
from evidence.curves import left_plateau_at
from evidence.evaluation import Results, differences, figures, pooled, read_results, runs_of
from evidence.hypotheses import SOURCE, TARGET
from evidence.inference import Estimate
from evidence.matrix import all_cells
from evidence.reasons import relative
from evidence.results import RESULTS
from evidence.steps import matches_of
from evidence.studies import PAIR

from dtir_mm.datasets.degradations import noise
from dtir_mm.diffusion.noise_schedule import VarianceExploding, VariancePreserving
from dtir_mm.matching.table4 import PAPER_TIMESTEPS


@pytest.fixture(scope='module')
def results() -> Results:
    return read_results(RESULTS)


@pytest.fixture(scope='module')
def gradients(results):
    def of(arm: str, task: str) -> dict:
        return results[f'{arm}_gradients_{task}_s0']['gradients']

    return of


@pytest.mark.parametrize('task', PAIR)
def test_l_reg_is_inert_at_a_small_lambda_and_confines_at_a_large_one(gradients, task):
    assert relative(gradients('practical', task), 'importance').max() < 0.01
    large = gradients('reg', task)
    assert relative(large, 'importance').max() < 1 / 7
    ratio = large['drift_of_all'] / gradients('mixing', task)['drift_of_all']
    assert 0.45 < ratio < 0.7


def test_l_reg_is_larger_on_the_plateau(gradients):
    assert relative(gradients('preprint', 'rainy'), 'importance').max() > 0.3


def test_l_g_is_large_on_rain_and_at_right_angles(gradients):
    found = gradients('mixing', 'rainy')
    shares = dict(zip(found['blocks'], relative(found, 'generative'), strict=True))
    assert shares['stem'] == pytest.approx(0.7, abs=0.02)
    assert shares['decoders.1.0'] == pytest.approx(0.7, abs=0.02)
    assert max(shares.values()) < 0.7
    assert abs(found['cosines']['generative']) < 0.1
    assert relative(gradients('practical', 'rainy'), 'generative').max() <= 0.1
    assert relative(gradients('mixing', 'low_light'), 'generative').max() < 0.14


@pytest.mark.parametrize(('task', 'factor'), [('rainy', 0.67), ('low_light', 0.15)])
def test_factors_of_the_decay(task, factor):
    decay = config_of(all_cells()[f'mixing_decay_{task}_s0']).default_hooks.layer_wise_decay
    assert decay.gate == 'scalar'
    assert math.exp(-decay.rate * MATCHED[task]) == pytest.approx(factor, abs=0.005)


@pytest.mark.parametrize('arm', ['preprint', 'practical', 'mixing_orthog'])
def test_l_orthog_opposes_the_content_loss_on_rain(gradients, arm):
    found = gradients(arm, 'rainy')
    assert found['cosines']['orthogonality'] < -0.2
    assert found['updates']['orthogonality'] == 0.125


@pytest.mark.parametrize('task', PAIR)
@pytest.mark.parametrize('domain', [SOURCE, TARGET])
def test_few_pairs_are_enough_from_scratch(results, task, domain):
    few, every = (
        np.mean(list(figures(results, f'scratch_{count}', task, domain).values()))
        for count in ('4', 'all')
    )
    assert few > every - 0.3


@pytest.mark.parametrize('task', PAIR)
def test_intervals_of_four_pairs_against_all(results, task):
    found = [
        pooled({task: differences(results, {'scratch_4': 1, 'scratch_all': -1}, task, domain)})
        for domain in (SOURCE, TARGET)
    ]
    assert all(each.low < 0 < each.high for each in found)
    widest = max(max(each.high - each.mean, each.mean - each.low) for each in found)
    assert widest == pytest.approx(1.6, abs=0.05)


@pytest.mark.parametrize('task', PAIR)
@pytest.mark.parametrize('count', COUNTS)
def test_few_pairs_gain_nothing_from_the_released_recipe(results, task, count):
    contrast = {f'released_{count}': 1, f'scratch_{count}': -1}
    assert pooled({task: differences(results, contrast, task, TARGET)}).low < 0


def test_four_rainy_pairs_leave_the_plateau_early(results):
    few, every = (
        [result['curve'] for result in runs_of(results, f'scratch_{count}', 'rainy').values()]
        for count in ('4', 'all')
    )
    assert {left_plateau_at(curve) for curve in few} == {350, 400}
    assert {left_plateau_at(curve) for curve in every} == {500, 550, 650}
    assert few[0][-1][2] == pytest.approx(0.157, abs=0.0005)  # content loss of the input
    assert every[0][-1][2] == pytest.approx(0.126, abs=0.0005)


@pytest.fixture(scope='module')
def gain(results):
    """The mean difference in dB between two arms."""

    def of(arm: str, base: str, task: str, domain: str) -> float:
        seeds, values = differences(results, {arm: 1, base: -1}, task, domain)
        assert len(seeds) >= 3
        return float(values.mean())

    return of


def test_wise_ft_helps_on_noise_alone(gain):
    assert gain('naive_wise50', 'naive', 'noisy', TARGET) == pytest.approx(1.2, abs=0.05)
    assert gain('naive_wise50', 'naive', 'noisy', SOURCE) == pytest.approx(-1.3, abs=0.05)
    assert gain('released_wise50', 'released', 'noisy', TARGET) == pytest.approx(-3.5, abs=0.05)
    assert gain('released_wise50', 'released', 'noisy', SOURCE) == pytest.approx(-4.2, abs=0.05)
    for share, low, high in ((50, -4.25, -0.45), (90, -1.6, -0.05)):
        lost = [
            gain(f'{arm}_wise{share}', arm, task, TARGET)
            for arm in ('naive', 'released')
            for task in ('rainy', 'low_light', 'hazy')
        ]
        assert low < min(lost) < low + 0.1
        assert high - 0.1 < max(lost) < high


@pytest.fixture(scope='module')
def against_table_4(results):
    """The difference of a step from that of Table 4."""

    def of(method: str, task: str, step: int, domain: str) -> Estimate:
        assert MATCHED[task] != step
        contrast = {swept(method, task, step): 1, method: -1}
        return pooled({task: differences(results, contrast, task, domain)})

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
def test_the_step_of_table_4_is_not_better_than_the_first(results, arm, task, domain):
    contrast = {arm: 1, f'{arm}_t1': -1}
    assert pooled({task: differences(results, contrast, task, domain)}).low < 0


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


def test_noise_that_the_pre_trained_networks_remove():
    t = torch.tensor([3, 4, 50])
    vp, ve = VariancePreserving(), VarianceExploding()
    levels = 255 / 2 * vp.sigma(t) / vp.signal(t)
    assert levels[:2].tolist() == pytest.approx([22, 31], abs=0.5)
    assert (255 * ve.sigma(t))[1:].tolist() == pytest.approx([3, 10], abs=0.1)
    assert PAPER_TIMESTEPS['noisy'] == 4
    assert noise.SOURCE == noise.NoiseStrength(25, None)


@pytest.mark.parametrize(('pretraining', 'expected'), [('vp', 7), ('ve', 12)])
def test_time_steps_other_than_that_of_noise_are_unidentified(results, pretraining, expected):
    found = [
        match
        for method in ('linear_probe', 'score', 'sdedit')
        for matches in matches_of(results, f'{method}_{pretraining}')
        for task, match in matches.items()
        if task != 'noisy'
    ]
    assert len(found) == 81
    assert sum(match['status'] == 'identified' for match in found) == expected


def test_why_time_steps_are_unidentified(results):
    reasons = [
        match['reason']
        for method in ('linear_probe', 'score', 'sdedit')
        for pretraining in ('vp', 've')
        for matches in matches_of(results, f'{method}_{pretraining}')
        for task, match in matches.items()
        if task != 'noisy' and match['status'] == 'unidentified'
    ]
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
    assert correlation(steps, order).low <= 0


@pytest.mark.parametrize(
    ('arm', 'task', 'source', 'target'),
    [
        ('l2sp', 'rainy', -2.8, -0.3),
        ('reg', 'rainy', -2.65, -0.35),
        ('l2sp', 'low_light', -0.1, 0.3),
        ('reg', 'low_light', 0.0, 0.2),
        ('naive_wide', 'rainy', -0.7, 0.1),
        ('naive_wide', 'low_light', -5.3, -1.8),
    ],
)
def test_other_baselines_on_rain_and_in_low_light(gain, arm, task, source, target):
    assert gain(arm, 'naive', task, SOURCE) == pytest.approx(source, abs=0.06)
    assert gain(arm, 'naive', task, TARGET) == pytest.approx(target, abs=0.06)


@pytest.mark.parametrize('task', PAIR)
def test_l2_sp_stays_closer_than_l_reg(results, task):
    l2sp, reg = (results[f'{arm}_{task}_s0']['last']['drift'] for arm in ('l2sp', 'reg'))
    assert l2sp < reg


@pytest.mark.parametrize(
    ('task', 'source', 'target'), [('low_light', -6.0, -2.0), ('hazy', -0.8, -0.8)]
)
def test_widened_severities_from_scratch(gain, task, source, target):
    assert gain('wide', 'scratch', task, SOURCE) == pytest.approx(source, abs=0.05)
    assert gain('wide', 'scratch', task, TARGET) == pytest.approx(target, abs=0.05)


def test_cap_of_mixing(gain):
    for arm in ('mixing', 'mixing_capped'):
        assert gain(arm, 'naive', 'rainy', SOURCE) == pytest.approx(-1.1, abs=0.05)
    assert gain('mixing_capped', 'mixing', 'low_light', SOURCE) == pytest.approx(-0.9, abs=0.05)
    assert gain('mixing_capped', 'mixing', 'low_light', TARGET) == pytest.approx(0.9, abs=0.05)
