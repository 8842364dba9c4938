"""Parsing of --cfg-options."""

import pytest
from mmengine.config import Config, DictAction

from dtir_mm.config.options import overridden, parse_value

ALIKE = ['1', '1e-4', '-0.5', 'True', 'false', 'None', 'rainy', 'fixed:8', '[1,2]', '(1,2)', '1,2',
         'a,b', '[(a,1),[2,c]]', '[None,True]', '[]', 'data/photos']  # fmt: skip


@pytest.mark.parametrize('text', ALIKE)
def test_values_are_parsed_like_openmmlab(text):
    assert parse_value(text) == DictAction._parse_iterable(text)
    assert type(parse_value(text)) is type(DictAction._parse_iterable(text))


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('"/data/a,b/[x]/y"', '/data/a,b/[x]/y'),
        ("'1'", '1'),
        ('["a,b",c]', ['a,b', 'c']),
        ('/data/my photos/x.pth', '/data/my photos/x.pth'),
        ('[data/my photos, b]', ['data/my photos', 'b']),
        ('/data/[x]/y', '/data/[x]/y'),
        ("it's", "it's"),
    ],
)
def test_text_is_preserved(text, value):
    assert parse_value(text) == value


def test_existing_paths_are_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('a,b', '[x]', '(1,2)'):
        (tmp_path / name).mkdir()
        assert parse_value(name) == name
    assert parse_value('a,c') == ['a', 'c']


def test_a_path_that_replaces_text_is_text():
    config = Config(dict(folder='data/x', steps=[1, 2], load_from=None))
    overridden(config, ['folder=new/a,b', 'steps=3,4', 'load_from="/a,b/c"'])
    assert (config.folder, config.steps, config.load_from) == ('new/a,b', [3, 4], '/a,b/c')


@pytest.mark.parametrize(
    ('option', 'said'),
    [
        ('model', 'must be KEY=VALUE'),
        ('steps=[1,2', "']' is missing"),
        ('steps=1],2', 'closes no bracket'),
        ('steps.7=1', 'steps.7=1'),
        ('folder.x=1', 'folder.x=1'),
    ],
)
def test_invalid_options_are_rejected(option, said):
    config = Config(dict(folder='data/x', steps=[1, 2]))
    with pytest.raises(ValueError) as error:
        overridden(config, [option])
    assert said in str(error.value) and len(str(error.value).splitlines()) == 1
