"""How often the time step was predicted, against counts by hand."""

import pytest

from dtir_mm.analysis.blind_accuracy import blind_accuracy, format_blind_accuracy


def row(task: str, domain: str, path: str, t: int) -> dict:
    return dict(task=task, domain=domain, path=path, t=t, psnr=30.0)


NON_BLIND = [
    *[row('rainy', 'source', name, 8) for name in 'abcd'],
    *[row('rainy', 'target', name, 8) for name in 'ab'],
    *[row('hazy', 'source', name, 47) for name in 'ab'],
    *[row('clean', 'clean', name, 0) for name in 'abc'],
]
PREDICTED = [8, 8, 47, 8, 8, 0, 47, 8, 0, 0, 8]


def blind(*steps: int) -> list[dict]:
    return [{**row, 't': t} for row, t in zip(NON_BLIND, steps, strict=True)]


SHARES = {
    ('rainy', 'source'): 0.75,
    ('rainy', 'target'): 0.5,
    ('hazy', 'source'): 0.5,
    ('clean', 'clean'): pytest.approx(2 / 3),
}


def test_shares_are_those_of_each_task_and_domain():
    assert blind_accuracy(NON_BLIND, blind(*PREDICTED)) == SHARES
    assert set(blind_accuracy(NON_BLIND, NON_BLIND).values()) == {1.0}


def test_images_are_matched_by_name_in_any_order():
    assert blind_accuracy(NON_BLIND[::-1], blind(*PREDICTED)) == SHARES
    shuffled = [blind(*PREDICTED)[i] for i in (7, 2, 9, 0, 4, 10, 1, 6, 3, 8, 5)]
    assert blind_accuracy(NON_BLIND, shuffled) == SHARES


def test_an_image_without_a_non_blind_row_is_an_error():
    with pytest.raises(KeyError):
        blind_accuracy(NON_BLIND[1:], blind(*PREDICTED))


def test_one_line_per_domain_has_the_unweighted_mean_over_its_tasks():
    assert format_blind_accuracy(blind_accuracy(NON_BLIND, blind(*PREDICTED))) == (
        'time step predicted, source: 62.5% (rainy 75%, hazy 50%)\n'
        'time step predicted, target: 50.0% (rainy 50%)\n'
        'time step predicted, clean: 66.7% (clean 67%)'
    )
