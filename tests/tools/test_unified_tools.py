"""The tools with a network for several tasks, non-blind and blind."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from dtir_mm.analysis.comparison_strip import comparison_strip
from dtir_mm.apis import load_restorer, restore_pixels
from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint
from dtir_mm.image_io import read_image
from dtir_mm.randomness import generator

BASES = Path(__file__).resolve().parents[2] / 'configs' / '_base_'
CONFIG = """
_base_ = [
    '{bases}/stages/classify.py', '{bases}/datasets/photos_unified.py',
    '{bases}/schedules/adam_cosine_mini.py', '{bases}/runtime.py',
]
backbone = {backbone}
backbone['adapters'] = dict(num_experts=2, param_budget=20_000, prompt_dim=8)
model = dict(
    backbone=dict(_delete_=True, **backbone),
    classifier=dict(tasks=['rainy', 'noisy'], width=4),
    timesteps=dict(_delete_=True, rainy=8, noisy=4),
)
photos = dict(type='DegradedPhotosDataset', folder='{photos}', shrink=1.0)
patches = [dict(type='RandomPatch', size=16), dict(type='PackSample')]
whole = [dict(type='PackSample')]
global_batch_size = 4
train_dataloader = dict(num_workers=0, dataset=dict(datasets=[
    dict(photos, task=task, pipeline=patches) for task in ('rainy', 'noisy')
]))
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = dict(num_workers=0, dataset=dict(datasets=[
    dict(photos, task='rainy', pipeline=whole, severities=('source', 'target'), max_photos=2),
    dict(photos, task='noisy', pipeline=whole, max_photos=2),
    dict(type='CleanPhotosDataset', folder='{photos}', as_pairs=True, pipeline=whole),
]))
test_evaluator = dict(protocol='rgb_no_lpips')
optim_wrapper = dict(optimizer=dict(lr=0.03))
param_scheduler = None
train_cfg = dict(max_iters=2, val_interval=2)
precision = 'fp32'
load_from = '{pretrained}'
"""
STEPS = dict(rainy=8, noisy=4, clean=0)


@pytest.fixture(scope='module')
def unified(toy, tmp_path_factory) -> SimpleNamespace:
    """Two updates on two tasks, and checkpoints whose classifier is constant."""
    folder = tmp_path_factory.mktemp('unified')
    made = SimpleNamespace(photos=toy.photos, config=folder / 'unified.py')
    backbone = Config.fromfile(toy.config).model.backbone.to_dict()
    text = CONFIG.format(bases=BASES, backbone=backbone, photos=toy.photos, pretrained=toy.pretrain)
    made.config.write_text(text)
    assert toy.call('train', made.config, '--work-dir', folder / 'run') is None
    for answer, name in enumerate(('rainy', 'noisy', 'clean')):
        checkpoint = load_checkpoint(folder / 'run').content
        checkpoint['state_dict']['classifier.head.3.weight'].zero_()
        checkpoint['state_dict']['classifier.head.3.bias'] = torch.eye(3)[answer]
        setattr(made, name, folder / f'{name}.pth')
        save_checkpoint(checkpoint, getattr(made, name))
    return made


def rows_of(file: Path) -> list[dict[str, str]]:
    with open(file, newline='') as stream:
        return list(csv.DictReader(stream))


def pair(row: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """The degraded image of a row, and its ground truth."""
    clean = read_image(row['path'])
    if row['task'] == 'clean':
        return clean, clean
    rng = generator(0, row['task'], row['domain'], Path(row['path']).stem, 0)
    return degradation_for(row['task'], row['domain']).degrade(clean, rng), clean


def test_a_network_with_a_classifier_is_tested_non_blind_and_blind(run_tool, unified, tmp_path):
    printed = run_tool('test', unified.config, unified.rainy, '--work-dir', tmp_path)
    non_blind, blind = (rows_of(tmp_path / f'images{part}.csv') for part in ('', '_blind'))
    names = ('task', 'domain', 'path')
    assert [[row[n] for n in names] for row in non_blind] == [
        [row[n] for n in names] for row in blind
    ]
    assert len(non_blind) == 2 + 2 + 2 + 6
    restorer = load_restorer(unified.rainy)
    for rows, step_of in ((non_blind, STEPS.get), (blind, lambda task: 8)):
        for row in rows:
            degraded, clean = pair(row)
            t = step_of(row['task'])
            assert int(row['t']) == t
            restored = degraded if t == 0 else restore_pixels(restorer, degraded, t)
            for name, image in (('psnr', restored), ('input_psnr', degraded)):
                same = (image == clean).all()
                expected = 100 if same else peak_signal_noise_ratio(clean, image, data_range=255)
                assert float(row[name]) == pytest.approx(expected, abs=1e-3), row

    summary = json.loads((tmp_path / 'summary.json').read_text())
    means = {(r['method'], r['task'], r['domain']): r for r in summary['rows']}
    groups = [('rainy', 'source'), ('rainy', 'target'), ('noisy', 'source'), ('clean', 'clean')]
    methods = {
        'input': (non_blind, 'input_psnr'),
        'ours': (non_blind, 'psnr'),
        'ours, blind': (blind, 'psnr'),
    }
    assert set(means) == {(method, *group) for method in methods for group in groups}
    for (method, task, domain), mean in means.items():
        rows, name = methods[method]
        values = [float(r[name]) for r in rows if (r['task'], r['domain']) == (task, domain)]
        assert mean['psnr'] == pytest.approx(np.mean(values), abs=1e-5)
        assert mean['n'] == len(values)
    noisy = [means[method, 'noisy', 'source']['psnr'] for method in ('ours', 'ours, blind')]
    assert abs(noisy[0] - noisy[1]) > 0.01
    assert summary['timesteps'] == {task: {'t_mat': t} for task, t in STEPS.items()}

    for line in (
        'time step predicted, source: 50.0% (noisy 0%, rainy 100%)',
        'time step predicted, target: 100.0% (rainy 100%)',
        'time step predicted, clean: 0.0% (clean 0%)',
    ):
        assert line in printed.splitlines()
    blind_lines = [line for line in printed.splitlines() if 'ours, blind' in line]
    assert len(blind_lines) == 5 and all(line.split()[0] == 'ours,' for line in blind_lines)


def test_comparison_images_are_of_the_non_blind_test(run_tool, unified, tmp_path):
    run_tool('test', unified.config, unified.rainy, '--work-dir', tmp_path, '--images', 3)
    listed = json.loads((tmp_path / 'summary.json').read_text())['images']
    assert len(listed) == len(set(listed)) == 2 + 2 + 2 + 3
    restorer = load_restorer(unified.rainy)
    row = dict(task='noisy', domain='source', path=str(unified.photos / '0.png'))
    degraded, clean = pair(row)
    strip = comparison_strip(degraded, {'ours': restore_pixels(restorer, degraded, 4)}, clean)
    assert (read_image(tmp_path / 'images' / 'noisy_source_0.png') == strip).all()


def test_inference_by_prediction_is_tested_once(run_tool, unified, tmp_path):
    options = ('--cfg-options', 'model.inference=predict')
    printed = run_tool('test', unified.config, unified.noisy, '--work-dir', tmp_path, *options)
    assert {row['t'] for row in rows_of(tmp_path / 'images.csv')} == {'4'}
    assert not (tmp_path / 'images_blind.csv').exists()
    assert 'blind' not in printed and 'time step predicted' not in printed


# --- restore ----------------------------------------------------------------------------------


def test_blind_restoration_uses_the_predicted_degradation(unified, run_tool, tmp_path):
    file = unified.photos / '1.png'
    image = read_image(file)
    for name, t in (('rainy', 8), ('noisy', 4)):
        checkpoint = getattr(unified, name)
        expected = restore_pixels(load_restorer(checkpoint), image, t)
        assert np.abs(expected.astype(int) - image).max() > 2
        printed = run_tool('restore', checkpoint, file, tmp_path / name)
        assert (read_image(tmp_path / name / '1.png') == expected).all()
        found = json.loads((tmp_path / name / 'restored.json').read_text())['images']['1.png']
        assert (found['task'], found['t']) == (name, t)
        assert found['probability'] == pytest.approx(np.e / (np.e + 2))  # of logits 1, 0, 0
        assert f'{file} -> {tmp_path}/{name}/1.png: {name} (58%), t = {t}\n' in printed


def test_clean_images_are_copied_byte_by_byte(unified, run_tool, tmp_path):
    photos = tmp_path / 'in'
    photos.mkdir()
    for number, suffix in enumerate(('png', 'jpg', 'JPG', 'tif')):
        image = Image.fromarray(read_image(unified.photos / f'{number}.png'))
        image.save(photos / f'{number}.{suffix}')
    printed = run_tool('restore', unified.clean, photos, tmp_path / 'out', '--compare')
    for source in photos.iterdir():
        assert (tmp_path / 'out' / source.name).read_bytes() == source.read_bytes()
        assert f'{source.name}: clean (58%), returned as it is\n' in printed
        both = read_image(tmp_path / 'out' / f'{source.stem}_compare.png')
        assert (both == np.tile(read_image(source), (1, 2, 1))).all()
    run_tool('restore', photos / '1.jpg', '-o', tmp_path / 'a.png', '--checkpoint', unified.clean)
    assert (read_image(tmp_path / 'a.png') == read_image(photos / '1.jpg')).all()


def test_a_given_task_or_step_overrides_the_prediction(unified, run_tool, tmp_path):
    file = unified.photos / '2.png'
    restorer = load_restorer(unified.clean)
    for t, given in ((4, ('--task', 'noisy')), (8, ('--task', 'rainy')), (31, ('--t', 31))):
        run_tool('restore', unified.clean, file, tmp_path / f'{t}.png', *given)
        expected = restore_pixels(restorer, read_image(file), t)
        assert (read_image(tmp_path / f'{t}.png') == expected).all()
