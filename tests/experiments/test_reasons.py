"""What docs/evidence.md says in words, against the committed results."""

import math

import numpy as np
import pytest
import torch
from evidence.arms import COUNTS, MATCHED
from evidence.configs import config_of
from evidence.curves import left_plateau_at
from evidence.evaluation import figures, runs_of
from evidence.hypotheses import SOURCE, TARGET
from evidence.matrix import all_cells
from evidence.reasons import relative
from evidence.studies import PAIR

from dtir_mm.datasets.degradations import noise
from dtir_mm.diffusion.noise_schedule import VarianceExploding, VariancePreserving
from dtir_mm.matching.table4 import PAPER_TIMESTEPS


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
def test_intervals_of_four_pairs_against_all(difference, task):
    found = [difference('scratch_4', 'scratch_all', domain, task) for domain in (SOURCE, TARGET)]
    assert all(each.low < 0 < each.high for each in found)
    widest = max(max(each.high - each.mean, each.mean - each.low) for each in found)
    assert widest == pytest.approx(1.6, abs=0.05)


@pytest.mark.parametrize('task', PAIR)
@pytest.mark.parametrize('count', COUNTS)
def test_few_pairs_gain_nothing_from_the_released_recipe(difference, task, count):
    found = difference(f'released_{count}', f'scratch_{count}', TARGET, task)
    assert found.low < 0
    largest = (task, count) == ('rainy', '4')
    assert found.mean == pytest.approx(0.4, abs=0.05) if largest else found.mean < 0.35


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
def gain(difference):
    """The mean difference in dB between two arms."""

    def of(arm: str, base: str, task: str, domain: str) -> float:
        return difference(arm, base, domain, task).mean

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


def test_noise_that_the_pre_trained_networks_remove():
    t = torch.tensor([3, 4, 50])
    vp, ve = VariancePreserving(), VarianceExploding()
    levels = 255 / 2 * vp.sigma(t) / vp.signal(t)
    assert levels[:2].tolist() == pytest.approx([22, 31], abs=0.5)
    assert (255 * ve.sigma(t))[1:].tolist() == pytest.approx([3, 10], abs=0.1)
    assert PAPER_TIMESTEPS['noisy'] == 4
    assert noise.SOURCE == noise.NoiseStrength(25, None)


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
