"""Checkpoints of version 0.1 restore, classify and train as with its code.

``data/version_0_1`` has checkpoints of short runs with noise added to the weights, so that they
change images visibly. ``expected.npz`` has the results of that code, images times 65535.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_training import train

from dtir_mm.apis import load_restorer, restore_pixels
from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint
from dtir_mm.engine.old_checkpoints import upgraded_model
from dtir_mm.registry import MODELS

FOLDER = Path(__file__).parent / 'data' / 'version_0_1'


@pytest.fixture
def old(tmp_path) -> Path:
    """The folder of the three checkpoints."""
    for file in FOLDER.glob('*.pth.gz'):
        (tmp_path / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    return tmp_path


@pytest.fixture
def expected() -> dict[str, np.ndarray]:
    with np.load(FOLDER / 'expected.npz') as arrays:
        return dict(arrays)


def degraded(expected: dict[str, np.ndarray]) -> torch.Tensor:
    """The image to restore, (1, 3, 23, 30) in [-1, 1]."""
    return torch.from_numpy(expected['image']).permute(2, 0, 1)[None] / 127.5 - 1


def assert_restored(restorer, expected: dict[str, np.ndarray], name: str, t: int) -> None:
    y = degraded(expected)
    restored = restorer.cpu().restore_images(y, torch.tensor([t]))[0].double().numpy() * 65535
    assert np.abs(restored - expected[name]).max() < 2, name
    unchanged = (y[0].numpy() + 1) / 2 * 65535
    assert np.abs(unchanged - expected[name]).mean() > 2000, 'the network does nothing'


@pytest.mark.parametrize(
    ('name', 't'), [('pretrain', 8), ('finetune', 8), ('unify', 4), ('unify', 30)]
)
def test_restored_images_are_the_same(old, expected, name, t):
    assert_restored(load_restorer(old / f'{name}.pth'), expected, f'{name}_{t}', t)


@pytest.mark.parametrize(('inference', 'name'), [('score', 'zero_shot'), ('sdedit', 'sdedit')])
def test_zero_shot_restoration_is_the_same(old, expected, inference, name):
    checkpoint = torch.load(old / 'pretrain.pth', weights_only=True)
    config = json.loads(checkpoint['meta']['config_json'])
    config['model'] |= dict(type='ZeroShotRestorer', timesteps='fixed:8', inference=inference)
    checkpoint['meta'] |= dict(stage='ZeroShotRestorer', config_json=json.dumps(config))
    save_checkpoint(checkpoint, old / 'zero_shot.pth')
    assert_restored(load_restorer(old / 'zero_shot.pth'), expected, f'{name}_8', 8)


def test_predicted_degradations_are_the_same(old, expected):
    restorer = load_restorer(old / 'unify.pth', inference='predict').cpu()
    y = degraded(expected)
    both = torch.cat([y, y.flip(-1) * 0.2])
    with torch.no_grad():
        logits = restorer.classifier(both).numpy()
    np.testing.assert_allclose(logits, expected['logits'], atol=1e-4)
    assert restorer.find_steps(both).tolist() == expected['steps'].tolist() == [8, 4]
    restored = restore_pixels(restorer, expected['image'], None)
    assert np.abs(restored.astype(int) - expected['predicted']).max() <= 1


def test_metadata_is_upgraded(old):
    for name, objective in (('pretrain', 'noise'), ('finetune', 'content'), ('unify', 'content')):
        meta = load_checkpoint(old / f'{name}.pth').content['meta']
        assert meta['objective'] == objective and 'stage' not in meta
        assert json.loads(meta['config_json'])['model']['type'] == 'Restorer'


def test_fine_tuning_uses_old_weights_and_importance(old, toy_config):
    former = torch.load(old / 'pretrain.pth', weights_only=True)
    text = """
model['backbone'] = {backbone}
model['step']['regularizers'].update(importance=dict(type='ImportancePenalty', weight=0.2))
default_hooks.update(importance=dict(n_batches=0), checkpoint=dict(interval=1))
optim_wrapper = dict(optimizer=dict(lr=1e-2))
param_scheduler = None
train_cfg.update(max_iters=2)
train_dataloader.update(num_workers=0)
val_dataloader = val_cfg = val_evaluator = None
log_processor = dict(window_size=1)
default_hooks.update(logger=dict(interval=1))
"""
    model = load_checkpoint(old / 'pretrain.pth').config['model']
    config = toy_config('finetune', text.format(backbone=model['backbone']))
    carried = train(config, old / 'run', load_from=str(old / 'pretrain.pth'))['importance']
    for part in ('omega', 'anchor'):
        assert all(torch.equal(carried[part][n], v) for n, v in former['importance'][part].items())

    (file,) = (old / 'run').glob('*/vis_data/scalars.json')
    rows = map(json.loads, file.read_text().splitlines())
    first, second = (row for row in rows if 'drift' in row)
    assert first['drift'] == 0 < second['drift']
    after_one = load_checkpoint(old / 'run' / 'iter_1.pth').weights
    omega, anchor = (former['importance'][part] for part in ('omega', 'anchor'))
    sums = [float((omega[n] * (after_one[n] - anchor[n]).abs()).sum()) for n in omega]
    assert second['importance'] == pytest.approx(0.1 * sum(s + s * s for s in sums), rel=1e-4)
    assert sum(sums) > 1e-3


# --- configs of the five former classes -------------------------------------------------------

BACKBONE = dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet', width=8))
NOISE = dict(type='NoisePrediction')
HEAD = dict(type='NoiseHead', residual_scale='sigma_floor')


@pytest.mark.parametrize(
    ('model', 'today'),
    [
        (
            dict(type='GenerativePretrainer', micro_batch_size=3, schedule=dict(name='cosine'),
                 noise_loss=dict(type='NoisePredictionLoss', norm='l1')),
            dict(schedule=dict(type='VariancePreserving', name='cosine'), head=HEAD,
                 step=dict(micro_batch_size=3, objective=dict(NOISE, norm='l1'))),
        ),
        (
            dict(type='FinetuneRestorer', residual_scale='one', timesteps='fixed:8', tile=512,
                 tile_overlap=32, content_loss=dict(type='ContentLoss'), mix_ratio=0.0,
                 mix_rounding='dither', importance_loss=dict(type='ImportanceLoss', form='eq16'),
                 orthogonality_loss=dict(
                     type='OrthogonalityLoss', implementation='per_sample', num_groups=3)),
            dict(head=dict(HEAD, residual_scale='one'), timesteps='fixed:8', tile=512,
                 tile_overlap=32, step=dict(
                     micro_batch_size=None, objective=dict(type='Reconstruction'),
                     mixing=dict(type='SampleMixing', objective=NOISE, ratio=0.0,
                                 rounding='dither'),
                     regularizers=dict(
                         importance=dict(type='ImportancePenalty', form='eq16'),
                         orthogonality=dict(type='GradientOrthogonality',
                                            implementation='per_sample', groups=3)))),
        ),
        (
            dict(type='dtir_mm.UnifiedRestorer', inference='try_all', importance_loss=None,
                 orthogonality_loss=dict(type='OrthogonalityLoss', implementation='project')),
            dict(head=HEAD, inference='try_all', step=dict(
                micro_batch_size=None, objective=dict(type='Reconstruction'),
                mixing=dict(type='SampleMixing', objective=NOISE, ratio=0.1, rounding='round'),
                regularizers=dict(projection=dict(type='GradientProjection')))),
        ),
        (
            dict(type='ClassifierTrainer', mix_ratio=0.1, inference='predict',
                 classifier=dict(type='DegradationClassifier', tasks=['rainy'])),
            dict(head=HEAD, inference='predict',
                 classifier=dict(type='DegradationClassifier', tasks=['rainy']),
                 step=dict(micro_batch_size=None,
                           objective=dict(type='DegradationClassification'))),
        ),
        (
            dict(type='ZeroShotRestorer', inference='sdedit', residual_scale='one'),
            dict(head=dict(HEAD, residual_scale='sigma'), passes='sdedit',
                 step=dict(micro_batch_size=None, objective=NOISE)),
        ),
    ],
)  # fmt: skip
def test_configs_of_former_classes_are_upgraded(model, today):
    upgraded = upgraded_model({**model, 'backbone': dict(BACKBONE, embedding_dim=16)})
    backbone = dict(BACKBONE, time_embedding=dict(dim=16))
    assert upgraded == dict(type='Restorer', backbone=backbone, **today)
    MODELS.build(upgraded)


def test_current_configs_are_unchanged():
    model = dict(type='Restorer', backbone=BACKBONE, step=dict(objective=NOISE))
    assert upgraded_model(model) == model
