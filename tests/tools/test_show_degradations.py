"""The contact sheet of the degradations."""

import numpy as np
from show_degradations import CAPTION, GAP

from dtir_mm.image_io import read_image, save_image


def test_rows_are_tasks_and_columns_clean_source_target(run_tool, tmp_path):
    photos, sheet = tmp_path / 'photos', tmp_path / 'sheet.png'
    for name, red in (('a', 200), ('b', 100), ('c', 50)):
        save_image(photos / f'{name}.png', np.full((90, 120, 3), (red, 9, 9), np.uint8))
    options = ('--width', 120, '--tasks', 'shadowed', 'inpainting', 'low_light')
    assert '3 tasks, a, b' in run_tool('show_degradations', photos, sheet, *options)
    image = read_image(sheet)
    height, width = 90 + CAPTION + GAP, 120 + GAP
    assert image.shape == (3 * height, 6 * width, 3)
    for row in range(3):
        panels = image[row * height + CAPTION : (row + 1) * height - GAP]
        clean, source, target = (
            panels[:, column * width : column * width + 120] for column in range(3)
        )
        assert (clean == (200, 9, 9)).all(), 'photographs are shown in RGB order'
        assert (source != clean).any() and (target != clean).any()
        assert (panels[:, 3 * width : 3 * width + 120] == (100, 9, 9)).all()
