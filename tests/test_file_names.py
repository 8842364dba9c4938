"""Names of any length, encoding and characters."""

import json
import os
from pathlib import Path

import pytest

from dtir_mm.files import replacing, write_text
from dtir_mm.names import listed, pair_stem, shortened, shown
from dtir_mm.randomness import generator

LATIN = os.fsdecode(b'caf\xe9')  # "café" by a system of the last century


def test_names_are_shown_in_one_line_of_utf8():
    assert shown(Path('plain/ä é 日本 %s.png')) == 'plain/ä é 日本 %s.png'
    assert shown('a\nb\x1b[2J') == r'a\nb\x1b[2J'
    assert shown(LATIN) == r'caf\udce9'
    assert shown(LATIN).encode() and listed(['a', 'b\n', 'c'], 2) == r'a, b\n and 1 more'
    assert listed(['a', 'b'], 2) == 'a, b'


def test_two_spellings_of_a_letter_are_one_stem():
    assert pair_stem(Path('e\u0301.png')) == pair_stem(Path('\u00e9.jpg')) == '\u00e9'
    assert pair_stem(Path('e.png')) != pair_stem(Path('\u00e9.png'))


def test_long_names_are_shortened_and_stay_different():
    assert shortened('x' * 200) == 'x' * 200
    names = [shortened(stem) for stem in ('x' * 201, 'x' * 202, 'é' * 120, LATIN * 60)]
    assert len(set(names)) == 4 and all(len(os.fsencode(name)) < 220 for name in names)
    assert all(name.encode() for name in names), 'a name was cut within a letter'


@pytest.mark.parametrize('name', ['x' * 245 + '.png', 'é' * 125 + '.txt', LATIN * 60 + '.png'])
def test_a_file_of_a_name_as_long_as_allowed_is_replaced(tmp_path, name):
    for text in ('one', 'two'):
        with replacing(tmp_path / name) as temporary:
            temporary.write_text(text)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == 'two'


def test_texts_with_such_names_are_valid_utf8(tmp_path):
    write_text(tmp_path / 'a.csv', f'{LATIN},1\n')
    assert (tmp_path / 'a.csv').read_text(encoding='utf-8') == 'caf\\udce9,1\n'
    write_text(tmp_path / 'a.json', json.dumps([LATIN]))
    assert json.loads((tmp_path / 'a.json').read_text()) == [LATIN]


def test_random_numbers_depend_on_such_names_too():
    draws = [generator(0, name).integers(1 << 60) for name in (LATIN, LATIN, 'cafe')]
    assert draws[0] == draws[1] != draws[2]
