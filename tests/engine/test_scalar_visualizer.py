"""Scalars that cannot be recorded do not stop a run."""

import json
import math

import pytest
import torch

from dtir_mm.engine import ScalarVisualizer, scalar_visualizer


@pytest.fixture
def visualizer(tmp_path):
    return ScalarVisualizer(
        'test', vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path)
    )


def test_non_finite_scalars_are_left_out(visualizer, tmp_path):
    scalars = {'ratio': math.nan, 'psnr': torch.tensor(math.inf), 'loss': 0.5, 'step': 3}
    visualizer.add_scalars(scalars, step=3)
    (line,) = (tmp_path / 'vis_data' / 'scalars.json').read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail) == {'loss': 0.5, 'iter': 3, 'step': 3}


def test_a_full_disk_is_reported_once_and_other_backends_continue(visualizer, monkeypatch):
    kept, said = {}, []

    class Full:
        def add_scalars(self, *_):
            raise OSError(28, 'No space left on device')

    class Kept:
        def add_scalars(self, scalars, step, file_path):
            kept[step] = scalars

    monkeypatch.setattr(scalar_visualizer, 'print_log', lambda text, *_: said.append(text))
    monkeypatch.setattr(visualizer, '_vis_backends', {'full': Full(), 'kept': Kept()})
    for step in (1, 2):
        visualizer.add_scalars({'loss': 0.5}, step=step)
    assert kept == {1: {'loss': 0.5, 'iter': 1}, 2: {'loss': 0.5, 'iter': 2}}
    assert said == ['full cannot record scalars: [Errno 28] No space left on device']
