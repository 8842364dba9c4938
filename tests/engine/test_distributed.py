"""Two processes compute what one process does with the same global batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_training import build_runner, train
from two_processes import run_on_two

from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.image_io import read_image

# Every update is logged, and validation.
SETTINGS = """
default_hooks.update(logger=dict(interval=1))
log_processor = dict(window_size=1)
precision = '{precision}'
train_dataloader.update(batch_size={batch}, num_workers=1)
"""
# All terms of an update. Plain SGD without a schedule, with a checkpoint of every update.
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
# The released recipe's terms are part of about half of the updates.
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


def train_on_two(config: Path, work_dir: Path) -> None:
    run_on_two('bash', 'tools/dist_train.sh', config, 2, '--work-dir', work_dir)


def logged(work_dir: Path, name: str) -> list[float]:
    """The logged values of a scalar, in order."""
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [row[name] for row in rows if name in row]


def images_of(work_dir: Path) -> dict[str, np.ndarray]:
    """The recorded validation images; only one process may have written a file of events."""
    (_,) = work_dir.rglob('events.out.tfevents.*')
    files = work_dir.glob('*/vis_data/vis_image/*.png')
    return {file.name: read_image(file).astype(int) for file in files}


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
        {'one': train, 'two': train_on_two}[run](config, tmp_path / run)
    relative = 1e-9 if precision == 'fp64' else 1e-5
    for name in names:
        one, two = (logged(tmp_path / run, name) for run in ('one', 'two'))
        assert len(one) >= (2 if '/' in name else 10)
        assert two == pytest.approx(one, rel=relative), name
    if stage == 'finetune':
        one, two = (images_of(tmp_path / run) for run in ('one', 'two'))
        assert len(one) == 6 and one.keys() == two.keys()  # three validations of two domains
        for name, image in one.items():
            np.testing.assert_allclose(two[name], image, rtol=0, atol=1, err_msg=name)
    if recipe == 'released' and stage == 'finetune':  # updates without a term repeat its last value
        for name in ('denoising', 'importance'):
            one, two = (logged(tmp_path / run, name) for run in ('one', 'two'))
            assert 2 <= len(set(one)) <= 8, name
            assert two == pytest.approx(one, rel=relative, abs=1e-15), name
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
def test_updates_with_all_terms_equal_those_of_one_process(
    toy_config, tmp_path, recipe, precision, relative
):
    """For micro-batches, and for two processes, of which one has no generative samples.

    In the released recipe all samples are also generative.
    """
    # Always in float64: the gradient of a bias before a norm is pure rounding error, which the
    # penalty would add to the weights, multiplied by an importance of that size.
    few = SETTINGS.format(precision='fp64', batch=8) + 'train_cfg.update(max_iters=2)\n'
    few += 'default_hooks.update(importance=dict(n_batches=2))\n' if recipe == 'paper' else ''
    train(toy_config('pretrain', few, recipe), tmp_path / 'pretrain')

    def config(batch: int, micro: int | None = None) -> Path:
        more = SETTINGS.format(precision=precision, batch=batch) + ALL_TERMS[recipe]
        more += EACH_UPDATE.format(micro=micro, pretrained=tmp_path / 'pretrain')
        return toy_config('finetune', more, recipe)

    train(config(batch=8), tmp_path / 'one')
    for micro in (2, 4):  # 2 splits a group of 3 samples, 4 splits none
        train(config(batch=8, micro=micro), tmp_path / f'micro{micro}')
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


def test_a_launcher_that_needs_gpus_is_rejected_on_cpus(toy_config, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(ValueError, match=r"launcher='slurm' needs GPUs.*dist_train\.sh"):
        build_runner(toy_config('pretrain'), tmp_path / 'work', launcher='slurm')


def test_incremental_training_on_two_processes_equals_one(toy_run, tmp_path):
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
    tables = (
        json.loads((folder / 'forgetting.json').read_text())['rows']
        for folder in (toy_run.whole, tmp_path / 'two')
    )
    for row, other in zip(*tables, strict=True):
        assert other['psnr'] == pytest.approx(row['psnr'], abs=1e-6)
