"""Two processes compute what one process does with the same global batch."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import RUNNERS

ROOT = Path(__file__).resolve().parents[2]
# Every update is logged by itself; validation adds its figures.
SETTINGS = """
default_hooks = dict(logger=dict(interval=1))
log_processor = dict(window_size=1)
precision = '{precision}'
train_dataloader.update(batch_size={batch}, num_workers=1)
"""


def free_port() -> int:
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


def train_on_two(config: Path, work_dir: Path) -> None:
    command = ['bash', 'tools/dist_train.sh', str(config), '2', '--work-dir', str(work_dir)]
    env = {**os.environ, 'MASTER_PORT': str(free_port()), 'OMP_NUM_THREADS': '1'}
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]


def train_on_one(config_path: Path, work_dir: Path) -> None:
    config = Config.fromfile(config_path)
    config.work_dir = str(work_dir)
    config.experiment_name = work_dir.name + config_path.stem
    RUNNERS.build(config).train()


def logged(work_dir: Path, name: str) -> list[float]:
    """What was logged under a name, in order."""
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [row[name] for row in rows if name in row]


@pytest.mark.parametrize(
    ('stage', 'precision', 'names'),
    [
        ('finetune', 'fp64', ['content', 'noise', 'grad_norm', 'rainy/source/psnr']),
        ('pretrain', 'fp64', ['noise', 'grad_norm']),
        ('finetune', 'fp32', ['content', 'noise']),
    ],
)
def test_two_processes_equal_one(toy_config, tmp_path, stage, precision, names):
    train_on_one(toy_config(stage, SETTINGS.format(precision=precision, batch=8)), tmp_path / 'one')
    train_on_two(toy_config(stage, SETTINGS.format(precision=precision, batch=4)), tmp_path / 'two')
    relative = 1e-9 if precision == 'fp64' else 1e-5
    for name in names:
        one, two = (logged(tmp_path / run, name) for run in ('one', 'two'))
        assert len(one) >= (2 if '/' in name else 10)
        assert two == pytest.approx(one, rel=relative), name
    if precision == 'fp64':
        one, two = (
            load_checkpoint(tmp_path / run / 'iter_10.pth')['state_dict'] for run in ('one', 'two')
        )
        for key, value in one.items():
            assert value.dtype == torch.float64
            torch.testing.assert_close(two[key], value, rtol=0, atol=1e-9)


def test_launchers_that_need_gpus_are_refused_on_cpus(toy_config, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    config = Config.fromfile(toy_config('pretrain'))
    config.update(launcher='slurm', work_dir=str(tmp_path / 'work'))
    with pytest.raises(ValueError, match=r"launcher='slurm' needs GPUs.*dist_train\.sh"):
        RUNNERS.build(config)
