"""JSON is read to a bounded depth, and errors are one line that names the file."""

import json

import pytest

from dtir_mm.json_files import MAX_DEPTH, parse_json, read_json


def nested(levels: int, leaf: str = '') -> str:
    return '[' * levels + leaf + ']' * levels


@pytest.mark.parametrize('leaf', ['', '1', '{}'])
def test_the_depth_limit_is_exact(leaf):
    levels = MAX_DEPTH - (leaf == '{}')
    assert parse_json(nested(levels, leaf), 'it') == json.loads(nested(levels, leaf))
    with pytest.raises(ValueError, match=f'^it has lists or objects .* {MAX_DEPTH} levels'):
        parse_json(nested(levels + 1, leaf), 'it')


def test_width_is_not_depth():
    data = {str(i): [{'a': [i]}] * 3 for i in range(100)}
    assert parse_json(json.dumps(data), 'it') == data


@pytest.mark.parametrize('levels', [1000, 10_000, 1_000_000])
def test_very_deep_json_is_rejected_alike(levels, tmp_path):
    (tmp_path / 'a.json').write_text('{"a": ' + nested(levels) + '}')
    with pytest.raises(ValueError, match=r'a\.json has lists .* deeper than') as error:
        read_json(tmp_path / 'a.json')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('content', [b'', b'{', b'\xff\xfe{}', b'9' * 5000, b'\x00'])
def test_invalid_json_names_the_file(content, tmp_path):
    (tmp_path / 'a.json').write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.json is not JSON: ') as error:
        read_json(tmp_path / 'a.json')
    assert '\n' not in str(error.value)
