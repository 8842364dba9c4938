"""Files of matched time steps are written atomically, read back and checked."""

import json
from pathlib import Path

import pytest

from dtir_mm.matching.timestep_match import TimestepMatch
from dtir_mm.matching.timesteps_file import (
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
# An entry and a source as written before schedules had types.
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


def test_matches_are_read_as_written(tmp_path):
    found = OLD_MATCH | {'reason': 'the curve is flat', 'outside_interval': True}
    given = {'t_mat': 17, 'interval': [17, 17], 'status': 'given'}
    path = tmp_path / 'new' / 'folder' / 'steps.json'
    write_timesteps(path, {'rainy': found, 'hazy': given}, SOURCE)
    assert read_matches(path) == {'rainy': found, 'hazy': given}
    assert load_timesteps(str(path)) == {'rainy': 38, 'hazy': 17}
    assert json.loads(path.read_text())['source'] == SOURCE


def test_files_are_replaced_atomically(tmp_path, monkeypatch):
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
    assert list(tmp_path.iterdir()) == [path], 'a temporary file is left'


def test_a_missing_file_names_the_command(tmp_path):
    path = tmp_path / 'missing.json'
    with pytest.raises(FileNotFoundError) as error:
        load_timesteps(path)
    assert f'{path}. Create it with dtir-mm match CHECKPOINT {path}' in str(error.value)


@pytest.mark.parametrize(
    ('document', 'message'),
    [
        ('{"tasks": ', 'is not JSON'),
        ([], 'is not a file of matched time steps'),
        ([1], r'"t_mat": t}}}\. Create it with dtir-mm match CHECKPOINT /'),
        ({}, 'is not a file of matched time steps.*"tasks"'),
        ({'tasks': [8]}, 'is not a file of matched time steps'),
        ({'tasks': {'rainy': 8}}, 'is not a file of matched time steps'),
        ({'tasks': {}, 'source': None}, 'is not a file of matched time steps'),
    ],
)
def test_other_files_are_rejected(tmp_path, document, message):
    path = written(tmp_path, document)
    with pytest.raises(ValueError, match=message) as error:
        load_timesteps(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('t', [0, -4, 51, 8.0, 8.5, '8', True, None, [8]])
def test_steps_that_are_not_integers_in_1_to_t_are_rejected(tmp_path, t):
    path = written(
        tmp_path, {'tasks': {'hazy': {'t_mat': 50}, 'rainy': {'t_mat': t}}, 'source': SOURCE}
    )
    with pytest.raises(ValueError) as error:
        load_timesteps(path)
    expected = f'{path}: rainy has t_mat={t!r}; it must be an integer in 1..50'
    assert str(error.value) == expected


def test_matches_without_a_step_are_rejected(tmp_path):
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
