"""Imports of a run, lengths of files and functions, and the direction of imports."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / 'dtir_mm').rglob('*.py'))
LEAF_CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)

# What a part of the package may import from the rest; apis, analysis and commands, at the top, are
# free.
BOTTOM = {
    'compat', 'files', 'image_io', 'json_files', 'memory_limit', 'named_configs', 'names',
    'randomness', 'registry', 'trust', 'typos', 'versions', 'weights_file',
}  # fmt: skip
ALLOWED = {
    'compat': {'versions'},
    'decoding': set(),
    'encoding': {'decoding'},
    'files': {'names'},
    'image_file': {'decoding', 'encoding', 'files', 'image_io', 'names'},
    'image_io': {'decoding', 'files', 'names'},
    'json_files': set(),
    'memory_limit': {'weights_file'},
    'named_configs': set(),
    'names': set(),
    'randomness': set(),
    'registry': {'compat', 'typos'},
    'released_model': set(),
    'trust': {'compat', 'registry'},
    'typos': set(),
    'versions': set(),
    'weights_file': {'compat', 'files', 'json_files'},
    'diffusion': set(),
    'matching': {'diffusion', 'files', 'json_files', 'registry', 'trust'},
    'models/backbones': BOTTOM | {'models/matching_weights', 'models/wrapped_weights'},
    'models/tracing': set(),
    'models/regularizers': {'randomness', 'registry', 'models/gradients'},
    'datasets': BOTTOM,
    'evaluation': BOTTOM,
    'models': BOTTOM | {'diffusion', 'matching'},
    'config': BOTTOM | {'diffusion', 'models'},
    'engine': BOTTOM | {'config', 'diffusion', 'models', 'datasets', 'evaluation'},
}

TRAIN = """
import sys
from mmengine.config import Config
from dtir_mm.registry import MODELS, RUNNERS

MODELS.build(dict(type='mmagic.NAFNet', mid_channels=4, enc_blk_nums=[1], dec_blk_nums=[1]))
config = Config.fromfile(sys.argv[1])
RUNNERS.build(config).train()
heavy = ('albumentations', 'av', 'diffusers', 'lpips', 'matplotlib', 'skimage', 'spandrel')
print('LOADED', [name for name in (*heavy, 'gradio', 'transformers') if name in sys.modules])
"""

CONFIG = """
_base_ = [
    '{configs}/stages/paper/pretrain.py',
    '{configs}/datasets/photos_pretrain.py',
    '{configs}/schedules/adam_cosine_mini.py',
    '{configs}/runtime.py',
]
model = dict(backbone=dict(type='ConditionedBackbone', backbone=dict(
    type='DtirUNet', width=16, channel_multipliers=(1, 2, 4), blocks_per_level=(1, 1),
    middle_blocks=2, attention=False,
)))
train_cfg = dict(max_iters=2, val_interval=2)
param_scheduler = None
global_batch_size = 2
train_dataloader = dict(num_workers=0, dataset=dict(folder='{photos}'))
val_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(folder='{photos}'))
precision = 'fp32'
work_dir = '{work_dir}'
"""


def parts_imported(file: Path) -> set[str]:
    """Our modules that a file imports anywhere, as ``models/objectives/denoising``."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{file} has a relative import'
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {n.removeprefix('dtir_mm.').replace('.', '/') for n in names if n.startswith('dtir_mm.')}


def lies_in(module: str, part: str) -> bool:
    return module == part or module.startswith(f'{part}/')


def wrong_imports(module: str, imported: set[str]) -> set[str]:
    """The part of ``imported`` that a module may not import."""
    part = next((part for part in ALLOWED if lies_in(module, part)), None)
    if part is None:
        return set()
    fine = ALLOWED[part] | {part}
    return {name for name in imported if not any(lies_in(name, other) for other in fine)}


def test_imports_run_one_way():
    wrong = {}
    for file in FILES:
        module = file.relative_to(ROOT / 'dtir_mm').with_suffix('').as_posix()
        if names := wrong_imports(module, parts_imported(file)):
            wrong[module] = names
    assert wrong == {}


@pytest.mark.parametrize(
    ('files', 'limit'), [(FILES, 300), (LEAF_CONFIGS, 25)], ids=['library', 'leaf configs']
)
def test_files_are_short(files, limit):
    assert files
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in files}
    assert {name: length for name, length in lengths.items() if length > limit} == {}


def test_functions_are_short():
    lengths = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                first = node.body[1 if ast.get_docstring(node) and node.body[1:] else 0]
                name = f'{file.relative_to(ROOT)}:{node.lineno} {node.name}'
                lengths[name] = node.end_lineno - first.lineno + 1
    assert lengths
    assert {name: length for name, length in lengths.items() if length > 50} == {}


def test_every_package_has_an_init():
    folders = {file.parent for file in FILES}
    assert [folder for folder in folders if not (folder / '__init__.py').is_file()] == []


def test_training_imports_nothing_heavy(tmp_path):
    photos = tmp_path / 'photos'
    photos.mkdir()
    rng = np.random.default_rng(0)
    for name in 'ab':
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f'{name}.png')
    configs = ROOT / 'configs' / '_base_'
    config = tmp_path / 'tiny.py'
    config.write_text(CONFIG.format(configs=configs, photos=photos, work_dir=tmp_path / 'work'))
    result = subprocess.run(
        [sys.executable, '-c', TRAIN, str(config)],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == 'LOADED []'
    assert (tmp_path / 'work' / 'iter_2.pth').is_file()
