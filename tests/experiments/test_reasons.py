"""What docs/evidence.md says of the terms' gradients, against the committed results."""

import math

import pytest
from evidence.evaluation import read_results
from evidence.reasons import relative
from evidence.results import RESULTS
from evidence.studies import PAIR


@pytest.fixture(scope='module')
def gradients():
    results = read_results(RESULTS)

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
