"""How often the time step was found, against counts by hand."""

import pytest

from dtir_mm.analysis.identification import format_identification, identification


def row(task: str, domain: str, path: str, t: int) -> dict:
    return dict(task=task, domain=domain, path=path, t=t, psnr=30.0)


TOLD = [
    *[row('rainy', 'source', name, 8) for name in 'abcd'],
    *[row('rainy', 'target', name, 8) for name in 'ab'],
    *[row('hazy', 'source', name, 47) for name in 'ab'],
    *[row('clean', 'clean', name, 0) for name in 'abc'],
]
FOUND = [8, 8, 47, 8, 8, 0, 47, 8, 0, 0, 8]


def blind(*steps: int) -> list[dict]:
    return [{**told, 't': t} for told, t in zip(TOLD, steps, strict=True)]


SHARES = {
    ('rainy', 'source'): 0.75,
    ('rainy', 'target'): 0.5,
    ('hazy', 'source'): 0.5,
    ('clean', 'clean'): pytest.approx(2 / 3),
}


def test_shares_are_those_of_each_task_and_domain():
    assert identification(TOLD, blind(*FOUND)) == SHARES
    assert set(identification(TOLD, TOLD).values()) == {1.0}


def test_images_are_matched_by_name_whatever_their_order():
    assert identification(TOLD[::-1], blind(*FOUND)) == SHARES
    shuffled = [blind(*FOUND)[i] for i in (7, 2, 9, 0, 4, 10, 1, 6, 3, 8, 5)]
    assert identification(TOLD, shuffled) == SHARES


def test_an_image_that_was_not_told_is_no_hit_of_another():
    with pytest.raises(KeyError):
        identification(TOLD[1:], blind(*FOUND))


def test_a_line_a_domain_has_the_unweighted_mean_over_its_tasks():
    assert format_identification(identification(TOLD, blind(*FOUND))) == (
        'time step found, source: 62.5% (rainy 75%, hazy 50%)\n'
        'time step found, target: 50.0% (rainy 50%)\n'
        'time step found, clean: 66.7% (clean 67%)'
    )
