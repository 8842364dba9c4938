"""The command line: what it refuses, in one line."""

import sys

import numpy as np
import pytest
import run
import torch
from evidence import photographs, results

from dtir_mm.image_io import save_image


@pytest.fixture
def grey_image():
    return np.full((12, 12, 3), 100, np.uint8)


@pytest.fixture
def call(monkeypatch, capsys):
    def call_main(*arguments):
        monkeypatch.setattr(sys, 'argv', ['run.py', *arguments])
        with pytest.raises(SystemExit) as ended:
            run.main()
        assert ended.value.code == 1
        return capsys.readouterr().err.strip()

    return call_main


def test_unknown_cell(call):
    assert call('run', '--minutes', '1', '--cells', 'naive_rainy_s9') == (
        'run: no such cells: naive_rainy_s9'
    )


def test_counted_runs_need_a_commit(call, monkeypatch):
    for commit in (None, '0123456-dirty'):
        monkeypatch.setattr(results, 'git_commit', lambda root, output, commit=commit: commit)
        assert 'commit them' in call('run', '--minutes', '1')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_gpu_that_is_not_there(call):
    assert call('run', '--minutes', '1', '--device', 'cuda') == (
        'run: --device cuda: torch finds no GPU here'
    )


def test_other_photographs_are_refused(call, tmp_path, grey_image):
    for split in photographs.SPLITS:
        save_image(tmp_path / split / 'a.png', grey_image)
    arguments = ('run', '--minutes', '1', '--trial', '--photos', str(tmp_path))
    assert f'({photographs.EXPECTED})' in call(*arguments)


def test_missing_photographs(call, tmp_path):
    arguments = ('run', '--minutes', '1', '--trial', '--photos', str(tmp_path))
    assert 'tools/prepare_photos.py' in call(*arguments)


def test_digest_depends_on_names_and_pixels(tmp_path, grey_image):
    def digest(name, pixels):
        folder = tmp_path / f'{name}{pixels.sum()}'
        for split in photographs.SPLITS:
            save_image(folder / split / f'{name}.png', pixels)
        return photographs.digest_of(folder)

    other = grey_image.copy()
    other[0, 0, 0] += 1
    found = {digest('a', grey_image), digest('b', grey_image), digest('a', other)}
    assert len(found) == 3
