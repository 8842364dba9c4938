"""The contact sheet of the degradations."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from dtir_mm.image_io import read_image, save_image

TOOL = Path(__file__).parents[2] / 'tools' / 'show_degradations.py'


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location('show_degradations', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photos(tmp_path):
    for name, red in (('a', 200), ('b', 100), ('c', 50)):
        save_image(
            tmp_path / 'photos' / f'{name}.png', np.full((90, 120, 3), (red, 9, 9), np.uint8)
        )
    return tmp_path / 'photos'


def test_rows_are_tasks_and_columns_clean_source_target(tool, photos, tmp_path, capsys):
    sheet = tmp_path / 'sheet.png'
    tasks = ['shadowed', 'inpainting', 'low_light']
    tool.main([str(photos), str(sheet), '--width', '120', '--tasks', *tasks])
    assert '3 tasks, a, b' in capsys.readouterr().out
    image = read_image(sheet)
    height, width = 90 + tool.CAPTION + tool.GAP, 120 + tool.GAP
    assert image.shape == (3 * height, 6 * width, 3)
    for row in range(3):
        panels = image[row * height + tool.CAPTION : (row + 1) * height - tool.GAP]
        clean, source, target = (
            panels[:, column * width : column * width + 120] for column in range(3)
        )
        assert (clean == (200, 9, 9)).all(), 'photographs are shown in RGB order'
        assert (source != clean).any() and (target != clean).any()
        assert (panels[:, 3 * width : 3 * width + 120] == (100, 9, 9)).all()


def test_mistakes_are_explained(photos, tmp_path, failure_of):
    sheet = tmp_path / 's.png'
    message = failure_of('show_degradations', photos, sheet, '--tasks', 'rain')
    assert 'nearest: rainy' in message
    assert 'nowhere' in failure_of('show_degradations', tmp_path / 'nowhere', sheet)
