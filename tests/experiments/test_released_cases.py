"""What the released model is tested on: degradations, their order, and determinism."""

import cases
import numpy as np
import pytest
from cases import COMPOSITES, TASKS, paper_case, photo_cases, single
from PIL import Image

from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.datasets.degradations.jpeg import compress
from dtir_mm.image_io import save_image
from dtir_mm.randomness import generator


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in 'ab':
        save_image(tmp_path / 'photos' / f'{name}.png', rng.integers(0, 256, (64, 80, 3), np.uint8))
    return tmp_path / 'photos'


def test_every_task_composite_and_clean_is_a_case(photos):
    found = [(case.domain, case.tasks) for case in photo_cases(photos)]
    expected = [(domain, (task,)) for domain in ('source', 'target') for task in TASKS]
    expected += [('composite', tasks) for tasks in COMPOSITES]
    assert found == [*expected, ('clean', ())]
    assert len(TASKS) == 10


def test_photographs_are_at_half_size_and_degraded_once_and_for_all(photos):
    case = single(photos, 'noisy', 'source')
    first, again = list(case.pairs()), list(case.pairs())
    assert [pair.photo for pair in first] == ['a', 'b']
    for pair, same in zip(first, again, strict=True):
        assert pair.clean.shape == (32, 40, 3)
        assert np.array_equal(pair.degraded, same.degraded)
        assert not np.array_equal(pair.degraded, pair.clean)


def test_composites_are_degraded_in_order(photos):
    case = next(case for case in photo_cases(photos) if case.tasks == ('snowy', 'jpeg'))
    pair = case.load(1)
    rng = generator(0, 'composite', 'snowy', 'jpeg', 'snowy', 'b')
    snowy = degradation_for('snowy', 'source').degrade(pair.clean, rng)
    assert np.array_equal(pair.degraded, compress(snowy, 20))


def test_clean_photographs_are_their_own_ground_truth(photos):
    for photo, degraded, clean in photo_cases(photos)[-1].pairs():
        assert photo in 'ab'
        assert np.array_equal(degraded, clean)


def test_noise_of_the_paper_has_sigma_50(tmp_path):
    Image.new('RGB', (128, 128), (128, 128, 128)).save(tmp_path / 'grey.png')
    case = paper_case(tmp_path, cases.CBSD68)
    (pair,) = case.pairs()
    error = pair.degraded.astype(float) - pair.clean
    assert error.std() == pytest.approx(49.4, abs=0.6)  # 50, less what is clipped
    assert np.array_equal(pair.degraded, next(case.pairs()).degraded)


def test_jpeg_of_the_paper_has_quality_10(photos):
    (first, _) = paper_case(photos, cases.LIVE1).pairs()
    assert first.clean.shape == (64, 80, 3)
    assert np.array_equal(first.degraded, compress(first.clean, 10))
