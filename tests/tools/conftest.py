"""A toy that is trained once, and ways to call a tool."""

import importlib.util
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger

from dtir_mm.image_io import save_image

ROOT = Path(__file__).resolve().parents[2]

# The learning rate is far too high, so that two updates change images visibly.
CONFIG = """
_base_ = [
    '{bases}/stages/{recipe}/{stage}.py',
    '{bases}/datasets/photos_{stage}.py',
    '{bases}/schedules/adam_cosine_mini.py',
    '{bases}/runtime.py',
]
network = dict(
    type='DtirUNet', width=8, channel_multipliers=(1, 2), blocks_per_level=(1,), middle_blocks=1,
    attention=False,
)
model = dict(backbone=dict(type='ConditionedBackbone', backbone=network))
optim_wrapper = dict(optimizer=dict(lr=0.03))
param_scheduler = None
train_cfg = dict(max_iters=2, val_interval=2)
global_batch_size = 2
train_dataloader = dict(num_workers=0, dataset=dict(folder='{photos}', shrink=1.0))
val_dataloader = dict(num_workers=0, dataset=dict(folder='{photos}', shrink=1.0))
precision = 'fp32'
"""
PAIRS = """
model.update(
    timesteps=dict(rainy=8, noisy=4),
    step=dict(regularizers={regularizers}),
)
default_hooks = {hooks}
train_dataloader['dataset'].update(task='rainy', max_photos=4)
val_dataloader['dataset'].update(task='rainy', max_photos=1)
test_dataloader = dict(
    num_workers=0, dataset=dict(folder='{photos}', shrink=1.0, task='rainy', max_photos=2)
)
test_evaluator = dict(protocol='rgb_no_lpips')
"""
# The preprint's regularizers need the importance of a pre-trained checkpoint, others do not.
PARTS = {
    'paper': dict(
        regularizers=dict(importance=None, orthogonality=None), hooks=dict(layer_wise_decay=None)
    ),
    'released': dict(
        regularizers=dict(importance=dict(share=1.0)), hooks=dict(importance=dict(n_batches=2))
    ),
}


def call(name: str, *arguments: object) -> int | str | None:
    """Calls a tool's ``main`` with a command line; returns its result or exit status."""
    spec = importlib.util.spec_from_file_location(name, ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        # mmengine names loggers by the second: two calls within one would share a logger.
        patch.setattr(MMLogger, '_instance_dict', OrderedDict())
        try:
            spec.loader.exec_module(module)
            return module.main()
        except SystemExit as leaving:
            return leaving.code


@pytest.fixture
def run_tool(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Calls a tool that must succeed; returns its output."""

    def run(name: str, *arguments: object) -> str:
        capsys.readouterr()
        assert call(name, *arguments) in (None, 0), capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture
def failure_of(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Calls a tool that must fail; returns its error message."""

    def run(name: str, *arguments: object) -> str:
        capsys.readouterr()
        try:
            status = call(name, *arguments)
        except (ValueError, KeyError, OSError, RuntimeError) as error:
            return str(error)
        assert status not in (None, 0), 'the tool succeeded'
        return f'{status}\n{capsys.readouterr().err}'

    return run


@pytest.fixture(scope='session')
def toy(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two updates of pre-training, and two of fine-tuning on rain from its weights.

    ``pretrain`` and ``finetune`` are the work directories, ``config`` is the fine-tuning's, and
    ``photos`` is the folder of six photographs, 0.png to 5.png, that they were trained on;
    ``call`` calls a tool.
    """
    return train_toy(tmp_path_factory.mktemp('toy'), 'paper')


@pytest.fixture(scope='session')
def released(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The same under the recipe of the released code."""
    return train_toy(tmp_path_factory.mktemp('released'), 'released')


def train_toy(folder: Path, recipe: str) -> SimpleNamespace:
    """Both stages of a recipe, in a folder."""
    made = SimpleNamespace(photos=folder / 'photos', call=call)
    rng = np.random.default_rng(0)
    for i in range(6):
        coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        save_image(made.photos / f'{i}.png', cv2.resize(coarse, (48, 40)))
    start: list[str] = []
    for stage, more in (('pretrain', ''), ('finetune', PAIRS)):
        made.config = folder / f'{stage}.py'
        bases = ROOT / 'configs' / '_base_'
        text = (CONFIG + more).format(
            bases=bases, recipe=recipe, stage=stage, photos=made.photos, **PARTS[recipe]
        )
        made.config.write_text(text)
        setattr(made, stage, folder / stage)
        assert call('train', made.config, '--work-dir', folder / stage, *start) is None
        start = ['--cfg-options', f'load_from={folder / stage}']
    return made
