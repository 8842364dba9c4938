"""Short training runs, and a comparison to the last bit."""

import itertools
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import RUNNERS

# Without validation, worker processes and plots.
FAST = """
train_dataloader.update(num_workers=0)
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
visualizer = dict(_delete_=True, type='ScalarVisualizer')
"""
# The blocks of the toy network by depth, with the prefixes of their parameters.
BLOCKS = {
    'stem': ('net.stem.', 'time_embedding.', 'adapters.prompt'),
    'encoders.0.0': ('net.encoders.0.0.', 'films.encoders_0_0.', 'adapters.experts.encoders_0.'),
    'downs.0': ('net.downs.0.',),
    'middle.0': ('net.middle.0.', 'films.middle_0.', 'adapters.experts.middle.'),
    'ups.0': ('net.ups.0.',),
    'decoders.0.0': ('net.decoders.0.0.', 'films.decoders_0_0.'),
    'norm_out': ('net.norm_out.',),
    'conv_out': ('net.conv_out.',),
}
_NUMBERS = itertools.count()


def block_of(name: str) -> int:
    """The index of a parameter's block."""
    name = name.removeprefix('backbone.')
    (index,) = (i for i, prefixes in enumerate(BLOCKS.values()) if name.startswith(prefixes))
    return index


def build_runner(path: Path, work_dir: Path, **changes: object) -> Runner:
    config = Config.fromfile(path)
    config.merge_from_dict({'work_dir': str(work_dir), **changes})
    config.experiment_name = f'toy_{next(_NUMBERS)}'  # mmengine allows one runner per name
    torch.manual_seed(0)
    return RUNNERS.build(config)


def train(path: Path, work_dir: Path, **changes: object) -> dict:
    """Trains, and returns the content of the last checkpoint."""
    build_runner(path, work_dir, **changes).train()
    return load_checkpoint(work_dir).content


def assert_same(a: object, b: object, where: str = '') -> None:
    """Asserts bit-exact equality, recursively in dicts and lists."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f'{where}/{key}')
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f'{where}/{i}')
    else:
        assert a == b, where
