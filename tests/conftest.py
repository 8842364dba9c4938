"""Shared by all tests: one thread, fixed seeds, small images and a small network."""

import os

os.environ['OMP_NUM_THREADS'] = '1'  # before torch is imported

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
import torch
from natural_images import natural_image
from trap import Trap

from dtir_mm.image_io import save_image

torch.set_num_threads(1)

BASES = Path(__file__).resolve().parents[1] / 'configs' / '_base_'
TOY_CONFIG = """
_base_ = [
    '{bases}/stages/{recipe}/{stage}.py',
    '{bases}/datasets/photos_{stage}.py',
    '{bases}/schedules/adam_cosine_mini.py',
    '{bases}/runtime.py',
]
model = dict(backbone={backbone})
global_batch_size = None
train_dataloader = dict(batch_size=4, dataset=dict(folder='{photos}', shrink=1.0))
val_dataloader = dict(dataset=dict(folder='{photos}', shrink=1.0))
train_cfg = dict(max_iters=10, val_interval=4)
default_hooks = dict()
precision = 'fp32'
"""
TOY_PAIRS = """
model.update(timesteps='fixed:8', step=dict(regularizers={regularizers}))
default_hooks.update({hooks})
train_dataloader['dataset'].update(task='rainy', max_photos=6)
val_dataloader['dataset'].update(task='rainy', max_photos=2)
test_dataloader = dict(dataset=dict(folder='{photos}', shrink=1.0, task='rainy'))
test_evaluator = dict(protocol='rgb_no_lpips')
"""
# The preprint's regularizers need a pre-trained checkpoint; the released code's do not.
TOY_PARTS = {
    'paper': dict(
        regularizers=dict(importance=None, orthogonality=None), hooks=dict(layer_wise_decay=None)
    ),
    'released': dict(regularizers=dict(), hooks=dict(importance=dict(n_batches=2))),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker('gpu'):
            item.add_marker(pytest.mark.skip(reason='needs a CUDA device'))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same global random states."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def chromium() -> Iterator[Any]:
    """A headless browser for ``browser.open_page``; skips tests where none is installed."""
    yield from browser.launch()


@pytest.fixture
def toy_backbone() -> dict:
    """Config of a conditioned U-Net of 42 thousand parameters; sizes must be even."""
    return dict(
        type='dtir_mm.ConditionedBackbone',
        backbone=dict(
            type='DtirUNet',
            width=8,
            channel_multipliers=(1, 2),
            blocks_per_level=(1,),
            middle_blocks=1,
            attention=False,
        ),
    )


@pytest.fixture
def photos_dir(tmp_path: Path) -> Path:
    """A folder of six images, ``photo_0.png`` to ``photo_5.png``, 48 x 64 or 64 x 48 pixels."""
    for i in range(6):
        size = (48, 64) if i % 2 else (64, 48)
        save_image(tmp_path / 'photos' / f'photo_{i}.png', natural_image(i, *size))
    return tmp_path / 'photos'


@pytest.fixture
def toy_config(tmp_path: Path, photos_dir: Path, toy_backbone: dict) -> Callable[..., Path]:
    """Writes the config of a run of ten updates on ``photos_dir``, and gives its path."""

    def write(stage: str, more: str = '', recipe: str = 'paper') -> Path:
        text = TOY_CONFIG + (TOY_PAIRS if stage == 'finetune' else '')
        text = text.format(
            bases=BASES, recipe=recipe, stage=stage, backbone=toy_backbone, photos=photos_dir,
            **TOY_PARTS[recipe],
        )  # fmt: skip
        path = tmp_path / f'{stage}.py'
        path.write_text(text + more)
        return path

    return write


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trap]:
    """Code that nothing may import, in the working directory and on the path."""
    (tmp_path / 'trap').mkdir()
    made = Trap(tmp_path / 'trap')
    monkeypatch.chdir(made.folder)
    monkeypatch.syspath_prepend(str(made.folder))
    made.reset()
    yield made
    made.reset()
