"""What docs/evidence.md says in words, against the committed results."""

import math

import numpy as np
import pytest
from evidence.curves import left_plateau_at
from evidence.evaluation import Results, figures, read_results, runs_of
from evidence.hypotheses import SOURCE, TARGET
from evidence.reasons import relative
from evidence.results import RESULTS
from evidence.studies import PAIR


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


def test_factors_of_the_decay():
    assert math.exp(-0.05 * 8) == pytest.approx(0.67, abs=0.005)
    assert math.exp(-0.05 * 38) == pytest.approx(0.15, abs=0.005)


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


def test_four_rainy_pairs_leave_the_plateau_early(results):
    few, every = (
        [result['curve'] for result in runs_of(results, f'scratch_{count}', 'rainy').values()]
        for count in ('4', 'all')
    )
    assert {left_plateau_at(curve) for curve in few} == {350, 400}
    assert {left_plateau_at(curve) for curve in every} == {500, 550, 650}
    assert few[0][-1][2] == pytest.approx(0.157, abs=0.0005)  # content loss of the input
    assert every[0][-1][2] == pytest.approx(0.126, abs=0.0005)
