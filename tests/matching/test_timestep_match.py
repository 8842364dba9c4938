"""A match: Table 4 as its fallback, as JSON, and in words."""

import dataclasses
import json

import pytest

from dtir_mm.matching.table4 import PAPER_NUM_STEPS, PAPER_TIMESTEPS
from dtir_mm.matching.timestep_match import TimestepMatch, describe_match

MATCH = TimestepMatch(
    t_mat=10,
    interval=(8, 12),
    median=9,
    confidence=0.5,
    status='unidentified',
    method='linear_probe',
    curve=[(1, 0.2), (50, 0.3)],
    n=32,
)


def test_table_4_of_the_paper():
    steps = 'noisy 4 rainy 8 jpeg 12 snowy 15 inpainting 19 raindrop 22 shadowed 27 low_light 38'
    names_and_steps = (steps + ' hazy 47 blurry 50').split()
    assert list(PAPER_TIMESTEPS) == names_and_steps[::2]
    assert list(PAPER_TIMESTEPS.values()) == [int(t) for t in names_and_steps[1::2]]
    assert PAPER_NUM_STEPS == 50


@pytest.mark.parametrize(
    ('status', 'task', 'num_steps', 't_mat', 'fallback'),
    [
        ('unidentified', 'rainy', 50, 8, 'paper'),
        ('unidentified', 'hazy', 50, 47, 'paper'),
        ('unidentified', 'foggy', 50, 10, None),
        ('unidentified', 'hazy', 55, 10, None),
        ('identified', 'hazy', 50, 10, None),
        ('given', 'hazy', 50, 10, None),
    ],
)
def test_table_4_replaces_unidentified_matches(status, task, num_steps, t_mat, fallback):
    match = dataclasses.replace(MATCH, status=status)
    expected = dataclasses.replace(match, t_mat=t_mat, fallback=fallback)
    assert match.or_table4(task, num_steps) == expected


@pytest.mark.parametrize(
    ('t_mat', 'outside'), [(7, True), (8, False), (10, False), (12, False), (13, True)]
)
def test_matches_know_whether_they_are_in_their_interval(t_mat, outside):
    match = dataclasses.replace(MATCH, t_mat=t_mat)
    assert match.outside_interval == match.to_json()['outside_interval'] == outside


def test_matches_survive_json_and_older_files_load():
    match = dataclasses.replace(MATCH, reason='the curve is flat', fallback='paper')
    plain = json.loads(json.dumps(match.to_json()))
    loaded = TimestepMatch.from_json(plain)
    assert loaded.curve == [list(point) for point in match.curve]
    assert dataclasses.replace(loaded, curve=match.curve) == match
    del plain['outside_interval'], plain['reason']
    assert TimestepMatch.from_json(plain) == dataclasses.replace(loaded, reason=None)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (
            {'t_mat': 38, 'fallback': 'paper'},
            't_mat = 38 (Table 4; 90 % interval 8..12 does not contain it), unidentified',
        ),
        ({'fallback': 'paper'}, 't_mat = 10 (Table 4; 90 % interval 8..12), unidentified'),
        ({'status': 'identified'}, 't_mat = 10 (90 % interval 8..12), identified'),
        ({'reason': 'why'}, 't_mat = 10 (90 % interval 8..12), unidentified: why'),
        ({'status': 'given'}, 't_mat = 10, given'),
    ],
)
def test_matches_in_words(change, words):
    assert describe_match(dataclasses.replace(MATCH, **change).to_json()) == words


def test_an_entry_without_optional_keys_in_words():
    entry = {'t_mat': 9, 'interval': [8, 12], 'status': 'identified'}
    assert describe_match(entry) == 't_mat = 9 (90 % interval 8..12), identified'
