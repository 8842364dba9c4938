"""Loss curves read from the logs of a run, and where they end."""

import json

import pytest
from evidence.curves import curve_of, last_scalars, left_plateau_at, plateau_of, thinned


def log(folder, rows):
    file = folder / 'vis_data' / 'scalars.json'
    file.parent.mkdir(parents=True)
    file.write_text(''.join(json.dumps(row) + '\n' for row in rows))


def test_curve_of_a_resumed_run_has_each_iteration_once(tmp_path):
    log(tmp_path / '20260101_000000', [
        {'iter': 50, 'content': 0.5, 'content_of_input': 1.0, 'drift': 1.0},
        {'iter': 100, 'content': 0.4, 'content_of_input': 1.0},
    ])  # fmt: skip
    log(tmp_path / '20260101_000100', [
        {'iter': 100, 'content': 0.3, 'content_of_input': 1.0, 'drift': 2.0, 'time': 1.0},
        {'psnr': 20.0, 'step': 0},
    ])  # fmt: skip
    assert curve_of(tmp_path, 'content') == [[50, 0.5, 1.0], [100, 0.3, 1.0]]
    last = last_scalars(tmp_path)
    assert last['drift'] == 2.0
    assert 'time' not in last


def curve(losses, of_input=1.0):
    return [[50 * (i + 1), loss, of_input] for i, loss in enumerate(losses)]


def test_plateau():
    stuck = plateau_of(curve([0.995] * 30))
    assert (stuck.left, stuck.share, stuck.falling) == (False, 0.995, 0)
    past = plateau_of(curve([1 - i / 60 for i in range(30)]))
    assert past.left
    assert past.share == pytest.approx(1 - 26.5 / 60, abs=1e-4)  # the last six
    assert past.falling == pytest.approx(1 - (1 - 26.5 / 60) / (1 - 20.5 / 60), abs=1e-3)
    assert plateau_of([[50, 1.0], [100, 0.5]]).left is None


def test_when_a_run_leaves_the_plateau():
    assert left_plateau_at(curve([0.99, 0.9, 0.97, 0.94, 0.95, 0.9, 0.8])) == 300  # to stay below
    assert left_plateau_at(curve([0.9] * 5)) == 100  # the first value that counts
    assert left_plateau_at(curve([0.94, 0.9, 0.96])) is None
    assert left_plateau_at(curve([1.8, 1.9], of_input=2.0)) is None  # 0.9, then 0.95


def test_thinned_curve_keeps_its_end():
    whole = curve([0.5] * 91)
    few = thinned(whole)
    assert len(few) <= 40
    assert few[-1] == whole[-1]
    assert thinned(few) == few
