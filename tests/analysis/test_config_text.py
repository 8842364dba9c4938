"""Configs in work directories: what mmengine wrote is read; code is not run."""

from pathlib import Path

import pytest
from mmengine.config import Config

from dtir_mm.analysis.config_text import parse_config

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    'name', ['unified_dtir-unet-w16_b8-10x300', 'quick_dtir-unet-w16_finetune_noisy_b8-1000']
)
def test_a_dumped_config_has_the_same_settings(name):
    config = Config.fromfile(ROOT / 'configs' / 'mini' / f'{name}.py')
    assert parse_config(config.pretty_text) == config.to_dict()


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('', 'it is missing'),
        ('a = [', 'it is not Python'),
        ('import os', 'its line 1 assigns no value to a name'),
        ('a = 1\nopen("made", "w")', 'its line 2 assigns no value to a name'),
        ('a = open("made", "w")', 'malformed'),
        ('a = dict(b=open("made", "w"))', 'malformed'),
        ('a = dict([("b", 1)])', 'malformed'),
        ('a = ' + '[' * 5000 + ']' * 5000, 'it is not Python'),
    ],
)
def test_other_texts_are_refused_and_not_run(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        parse_config(text)
    assert not list(tmp_path.iterdir())
