"""Files of matched time steps: written whole, read back, and every fault named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dtir_mm.diffusion.timestep_matching import TimestepMatch, given_timestep, match_timestep
from dtir_mm.diffusion.timesteps_file import (
    PAPER_NUM_STEPS,
    PAPER_TIMESTEPS,
    describe_match,
    load_timesteps,
    read_matches,
    same_source,
    write_timesteps,
)

SCHEDULE = {'type': 'VariancePreserving', 'name': 'linear_scaled', 'num_steps': 50}
SOURCE = {
    'checkpoint': 'iter_3000.pth',
    'weights_sha256': 'abc',
    'schedule': SCHEDULE,
    'num_steps': 50,
    'image_range': [-1.0, 1.0],
}
# An entry and a source as they were written before schedules had types.
OLD_MATCH = {
    't_mat': 38,
    'interval': [1, 12],
    'median': 4,
    'confidence': 0.5,
    'status': 'unidentified',
    'method': 'linear_probe',
    'curve': [[1, 0.2], [50, 0.3]],
    'n': 32,
    'fallback': 'paper',
}
OLD_SOURCE = SOURCE | {'schedule': 'linear_scaled', 'image_range': [-1, 1]}


def written(tmp_path, document) -> Path:
    path = tmp_path / 'steps.json'
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_table_4_of_the_paper():
    steps = 'noisy 4 rainy 8 jpeg 12 snowy 15 inpainting 19 raindrop 22 shadowed 27 low_light 38'
    names_and_steps = (steps + ' hazy 47 blurry 50').split()
    assert list(PAPER_TIMESTEPS) == names_and_steps[::2]
    assert list(PAPER_TIMESTEPS.values()) == [int(t) for t in names_and_steps[1::2]]
    assert PAPER_NUM_STEPS == 50


def test_matches_return_as_they_were_written(tmp_path):
    errors = np.random.default_rng(0).uniform(0.2, 0.5, (51, 9))
    found = match_timestep(lambda t: torch.tensor(errors[t]), 'rainy', 'score', 50, 0, 'paper')
    found = found.to_json()
    given = given_timestep('fixed:17', 'hazy', 50, 0).to_json()
    path = tmp_path / 'new' / 'folder' / 'steps.json'
    write_timesteps(path, {'rainy': found, 'hazy': given}, SOURCE)

    matches = read_matches(path)
    assert list(matches) == ['rainy', 'hazy']
    assert set(found) == set(matches['rainy'])
    for name, value in found.items():
        assert np.array_equal(matches['rainy'][name], value), name
    assert matches['hazy']['status'] == 'given' and matches['hazy']['interval'] == [17, 17]
    assert load_timesteps(path) == {'rainy': found['t_mat'], 'hazy': 17}
    assert load_timesteps(str(path)) == load_timesteps(path)
    assert json.loads(path.read_text())['source'] == SOURCE


def test_files_are_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / 'steps.json'
    write_timesteps(path, {'rainy': {'t_mat': 8}}, SOURCE)
    with pytest.raises(TypeError):
        write_timesteps(path, {'rainy': {'t_mat': object()}}, SOURCE)
    assert load_timesteps(path) == {'rainy': 8}

    whole = Path.write_bytes

    def until_the_disk_is_full(self, content):
        whole(self, content[: len(content) // 2])
        raise OSError('disk full')

    with monkeypatch.context() as patched:
        patched.setattr(Path, 'write_bytes', until_the_disk_is_full)
        with pytest.raises(OSError, match='disk full'):
            write_timesteps(path, {'rainy': {'t_mat': 9}}, SOURCE)
    assert load_timesteps(path) == {'rainy': 8}

    write_timesteps(path, {'hazy': {'t_mat': 10}}, SOURCE)
    assert load_timesteps(path) == {'hazy': 10}
    assert list(tmp_path.iterdir()) == [path], 'nothing is left beside it'


@pytest.mark.parametrize('read', [read_matches, load_timesteps])
def test_a_missing_file_names_the_command(tmp_path, read):
    path = tmp_path / 'missing.json'
    with pytest.raises(FileNotFoundError) as error:
        read(path)
    assert f'{path}. Make it with tools/match_timesteps.py CHECKPOINT {path}' in str(error.value)


@pytest.mark.parametrize('read', [read_matches, load_timesteps])
@pytest.mark.parametrize(
    ('document', 'message'),
    [
        ('{"tasks": ', 'is not JSON'),
        ([], 'is not a file of matched time steps'),
        ([1], r'"t_mat": t}}}\. Make it with tools/match_timesteps.py CHECKPOINT /'),
        ({}, 'is not a file of matched time steps.*"tasks"'),
        ({'tasks': [8]}, 'is not a file of matched time steps'),
        ({'tasks': {'rainy': 8}}, 'is not a file of matched time steps'),
        ({'tasks': {}, 'source': None}, 'is not a file of matched time steps'),
    ],
)
def test_other_files_are_named(tmp_path, read, document, message):
    path = written(tmp_path, document)
    with pytest.raises(ValueError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('read', [read_matches, load_timesteps])
@pytest.mark.parametrize('t', [0, -4, 51, 8.0, 8.5, '8', True, None, [8]])
def test_steps_that_are_no_integers_of_1_to_t_are_named(tmp_path, read, t):
    path = written(
        tmp_path, {'tasks': {'hazy': {'t_mat': 50}, 'rainy': {'t_mat': t}}, 'source': SOURCE}
    )
    with pytest.raises(ValueError) as error:
        read(path)
    expected = f'{path}: rainy has t_mat={t!r}; it must be an integer in 1..50'
    assert str(error.value) == expected


def test_a_match_without_its_step_is_named(tmp_path):
    path = written(tmp_path, {'tasks': {'hazy': {'t_mat': 50}, 'rainy': {'median': 8}}})
    with pytest.raises(ValueError) as error:
        read_matches(path)
    assert str(path) in str(error.value) and 'rainy' in str(error.value)


def test_files_without_a_source_have_no_upper_bound(tmp_path):
    assert load_timesteps(written(tmp_path, {'tasks': {'rainy': {'t_mat': 700}}})) == {'rainy': 700}
    with pytest.raises(ValueError, match='rainy has t_mat=0; it must be an integer >= 1'):
        load_timesteps(written(tmp_path, {'tasks': {'rainy': {'t_mat': 0}}}))


def test_older_files_load(tmp_path):
    path = written(tmp_path, {'tasks': {'low_light': OLD_MATCH}, 'source': OLD_SOURCE})
    assert load_timesteps(path, num_steps=50) == {'low_light': 38}
    match = TimestepMatch.from_json(read_matches(path)['low_light'])
    assert (match.t_mat, match.interval, match.fallback) == (38, (1, 12), 'paper')
    assert match.outside_interval


@pytest.mark.parametrize(
    'change',
    [
        {'weights_sha256': 'abd'},
        {'schedule': SCHEDULE | {'name': 'cosine'}},
        {'schedule': {'type': 'VarianceExploding', 'sigma_max': 10.0, 'num_steps': 50}},
        {'num_steps': 25},
        {'image_range': [0.0, 1.0]},
    ],
)
def test_sources_differ_by_weights_schedule_and_range(tmp_path, change):
    path = tmp_path / 'steps.json'
    write_timesteps(path, {}, SOURCE)
    assert same_source(path, SOURCE | {'checkpoint': 'elsewhere.pth'})
    assert not same_source(path, SOURCE | change)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({}, 't_mat = 38 (Table 4; 90 % interval 1..12 does not hold it), unidentified'),
        ({'t_mat': 12}, 't_mat = 12 (Table 4; 90 % interval 1..12), unidentified'),
        (
            {'t_mat': 1, 'interval': [2, 40], 'fallback': None},
            't_mat = 1 (90 % interval 2..40 does not hold it), unidentified',
        ),
        (
            {'t_mat': 1, 'status': 'identified', 'fallback': None},
            't_mat = 1 (90 % interval 1..12), identified',
        ),
    ],
)
def test_matches_in_words(change, words):
    assert describe_match(OLD_MATCH | change) == words
    assert describe_match(TimestepMatch.from_json(OLD_MATCH | change).to_json()) == words


def test_given_steps_in_words():
    assert describe_match(given_timestep('fixed:7', 'rainy', 50, 0).to_json()) == 't_mat = 7, given'
    bare = {'t_mat': 9, 'interval': [8, 12], 'status': 'identified'}
    assert describe_match(bare) == 't_mat = 9 (90 % interval 8..12), identified'
