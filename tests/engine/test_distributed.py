"""Two processes compute what one process does with the same global batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import Tensor

from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import RUNNERS

ROOT = Path(__file__).resolve().parents[2]
# Every update is logged by itself; validation adds its figures.
SETTINGS = """
default_hooks.update(logger=dict(interval=1))
log_processor = dict(window_size=1)
precision = '{precision}'
train_dataloader.update(batch_size={batch}, num_workers=1)
"""
# Everything that enters an update. Weights move by the gradient itself, and are kept each time.
ALL_TERMS = {
    'paper': """
default_hooks.update(
    importance=dict(n_batches=2), layer_wise_decay=dict(type='LayerWiseDecayHook', gate='cut')
)
model['step'].update(
    mixing=dict(ratio=0.25, cap=0.5),
    regularizers=dict(
        importance=dict(type='ImportancePenalty', form='pigwm', weight=0.2),
        orthogonality=dict(type='GradientOrthogonality', implementation='group', interval=1),
        projection=dict(type='GradientProjection'),
    ),
)
# Some parameters are frozen.
model.update(freeze=['backbone.net.middle.*.bias', 'backbone.films.*'])
""",
    'released': """
model['step'].update(
    mixing=dict(probability=1.0),
    regularizers=dict(
        importance=dict(share=1.0),
        orthogonality=dict(type='GradientOrthogonality', interval=1, groups=1, grad_cap=0.1),
    ),
)
""",
}
EACH_UPDATE = """
default_hooks.update(checkpoint=dict(interval=1, max_keep=3))
model['step'].update(micro_batch_size={micro})
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1.0), clip_grad=dict(max_norm=1e9),
)
param_scheduler = None
train_cfg.update(max_iters=3, val_interval=3)
load_from = '{pretrained}'
"""
# The released recipe's own terms act in about half of the updates, the same for both.
FINETUNE = {
    'paper': "default_hooks.update(layer_wise_decay=dict(type='LayerWiseDecayHook'))\n",
    'released': """
model['step'].update(
    mixing=dict(probability=0.5), regularizers=dict(importance=dict(share=0.5))
)
""",
}
TERMS = [
    'content', 'content_of_input', 'gradient_cosine', 'drift',
    'importance', 'importance_s', 'importance_s2', 'importance_ratio',
    'orthogonality', 'orthogonality_cross', 'orthogonality_within', 'grad_norm',
]  # fmt: skip
OWN_TERMS = {'paper': ['noise'], 'released': ['denoising', 'content_pixel', 'content_fft']}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


def train_on_two(config: Path, work_dir: Path) -> None:
    command = ['bash', 'tools/dist_train.sh', str(config), '2', '--work-dir', str(work_dir)]
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    env = {**os.environ, 'PATH': path, 'MASTER_PORT': str(free_port()), 'OMP_NUM_THREADS': '1'}
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
    ('recipe', 'stage', 'precision', 'names'),
    [
        ('paper', 'finetune', 'fp64', ['content', 'noise', 'grad_norm', 'rainy/source/psnr']),
        ('paper', 'pretrain', 'fp64', ['noise', 'grad_norm']),
        ('paper', 'finetune', 'fp32', ['content', 'noise']),
        ('released', 'finetune', 'fp64', ['content', 'grad_norm', 'rainy/source/psnr']),
        ('released', 'pretrain', 'fp64', ['denoising', 'grad_norm']),
    ],
)
def test_two_processes_equal_one(toy_config, tmp_path, recipe, stage, precision, names):
    for run, batch in (('one', 8), ('two', 4)):
        more = SETTINGS.format(precision=precision, batch=batch)
        config = toy_config(stage, more + FINETUNE[recipe] * (stage == 'finetune'), recipe)
        {'one': train_on_one, 'two': train_on_two}[run](config, tmp_path / run)
    relative = 1e-9 if precision == 'fp64' else 1e-5
    for name in names:
        one, two = (logged(tmp_path / run, name) for run in ('one', 'two'))
        assert len(one) >= (2 if '/' in name else 10)
        assert two == pytest.approx(one, rel=relative), name
    if recipe == 'released' and stage == 'finetune':  # others repeat the value of the last one
        for name in ('denoising', 'importance'):
            one, two = (logged(tmp_path / run, name) for run in ('one', 'two'))
            assert 2 <= len(set(one)) <= 8 and two == pytest.approx(one, rel=relative, abs=1e-15), (
                name
            )
    if precision == 'fp64':
        one, two = (
            load_checkpoint(tmp_path / run / 'iter_10.pth').weights for run in ('one', 'two')
        )
        for key, value in one.items():
            assert value.dtype == torch.float64
            torch.testing.assert_close(two[key], value, rtol=0, atol=1e-9)


def weights(run: Path) -> Tensor:
    """The parameters of a checkpoint as one vector, in float64."""
    state = load_checkpoint(run).weights
    return torch.cat([value.double().flatten() for value in state.values()])


@pytest.mark.parametrize(
    ('recipe', 'precision', 'relative'),
    [('paper', 'fp64', 1e-9), ('paper', 'fp32', 1e-4), ('released', 'fp64', 1e-9)],
)
def test_an_update_with_all_terms_is_that_of_one_process(
    toy_config, tmp_path, recipe, precision, relative
):
    """Of two processes, whose second has no generative sample, and of micro-batches.

    Under the released recipe all samples are generative ones too, and its cosine is a loss.
    """
    # In float64 also for fp32: a bias in front of a norm has a gradient of rounding errors alone,
    # whose random signs the penalty would take to the weights, times an importance of that size.
    few = SETTINGS.format(precision='fp64', batch=8) + 'train_cfg.update(max_iters=2)\n'
    few += 'default_hooks.update(importance=dict(n_batches=2))\n' if recipe == 'paper' else ''
    train_on_one(toy_config('pretrain', few, recipe), tmp_path / 'pretrain')

    def config(batch: int, micro: int | None = None) -> Path:
        more = SETTINGS.format(precision=precision, batch=batch) + ALL_TERMS[recipe]
        more += EACH_UPDATE.format(micro=micro, pretrained=tmp_path / 'pretrain')
        return toy_config('finetune', more, recipe)

    train_on_one(config(batch=8), tmp_path / 'one')
    for micro in (2, 4):  # of groups of 2 and 3 samples, 4 splits none
        train_on_one(config(batch=8, micro=micro), tmp_path / f'micro{micro}')
    train_on_two(config(batch=4), tmp_path / 'two')

    if recipe == 'paper':
        (log,) = (tmp_path / 'one').glob('*/*.log')
        assert 'generative gradient reaches 5 of 8 blocks' in log.read_text()
    assert logged(tmp_path / 'one', 'orthogonality_ratio') == pytest.approx([0.1] * 3)
    assert min(logged(tmp_path / 'one', 'importance')[1:]) > 0.01
    start = weights(tmp_path / 'pretrain')
    for run in ('micro2', 'micro4', 'two'):
        for name in TERMS + OWN_TERMS[recipe]:
            one, other = (logged(tmp_path / folder, name) for folder in ('one', run))
            assert len(one) == 3, name
            assert other == pytest.approx(one, rel=relative, abs=1e-3 * relative), (run, name)
        for i in (1, 2, 3):
            one, other = (weights(tmp_path / folder / f'iter_{i}.pth') for folder in ('one', run))
            assert (other - one).norm() <= relative * (one - start).norm(), (run, i)


def test_launchers_that_need_gpus_are_refused_on_cpus(toy_config, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    config = Config.fromfile(toy_config('pretrain'))
    config.update(launcher='slurm', work_dir=str(tmp_path / 'work'))
    with pytest.raises(ValueError, match=r"launcher='slurm' needs GPUs.*dist_train\.sh"):
        RUNNERS.build(config)


def test_tasks_that_join_one_after_another_are_learnt_alike_by_two_processes(toy_run, tmp_path):
    config = tmp_path / 'two.py'
    more = '\ntrain_dataloader.update(batch_size=4)\ncustom_hooks = []\n'
    more += f'load_from = {str(toy_run.pretrained)!r}\n'
    config.write_text(toy_run.unify.read_text() + more)
    train_on_two(config, tmp_path / 'two')
    start = weights(toy_run.whole / 'iter_4.pth')
    for i in (8, 12):
        one, two = (
            weights(folder / f'iter_{i}.pth') for folder in (toy_run.whole, tmp_path / 'two')
        )
        assert (two - one).norm() <= 1e-9 * (one - start).norm()
    table = json.loads((toy_run.whole / 'forgetting.json').read_text())
    for row, other in zip(
        table['rows'],
        json.loads((tmp_path / 'two' / 'forgetting.json').read_text())['rows'],
        strict=True,
    ):
        assert other['psnr'] == pytest.approx(row['psnr'], abs=1e-6)
