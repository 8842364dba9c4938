"""Training, testing and restoring with the released recipe, and the ensemble over flips."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from dtir_mm.apis import load_restorer
from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.image_io import read_image, save_image
from dtir_mm.randomness import generator


def restored(work_dir: Path, image: np.ndarray, t: int, flips: tuple = ((),)) -> np.ndarray:
    """The mean of ``y - f(y, t)`` over flips, images being in [0, 1]; (H, W, 3) in 0..255."""
    restorer = load_restorer(work_dir)
    y = torch.from_numpy(image).permute(2, 0, 1)[None].to(next(restorer.parameters())) / 255
    results = []
    for axes in flips:
        flipped = y.flip(axes) if axes else y
        with torch.no_grad():
            steps = torch.tensor([t], device=y.device)
            result = flipped - restorer.backbone.predict_residual(flipped, steps)
        results.append(result.flip(axes) if axes else result)
    return torch.stack(results).mean(0).clamp(0, 1)[0].permute(1, 2, 0).cpu().numpy() * 255


FLIPS = ((), (3,), (2,), (2, 3))  # none, left to right, top to bottom, both


def degraded(row: dict[str, str]) -> np.ndarray:
    rng = generator(0, row['task'], row['domain'], Path(row['path']).stem, 0)
    return degradation_for(row['task'], row['domain']).degrade(read_image(row['path']), rng)


def test_fine_tuning_starts_from_pre_training(released):
    before, after = (load_checkpoint(run).content for run in (released.pretrain, released.finetune))
    assert [run['meta']['objective'] for run in (before, after)] == ['denoising', 'content']
    assert 'importance' not in before
    anchor = after['importance']['anchor']
    assert all(torch.equal(anchor[name], before['state_dict'][name]) for name in anchor)
    moved = [(after['state_dict'][name] - anchor[name]).abs().max() for name in anchor]
    assert max(moved) > 0.01
    assert min(omega.min() for omega in after['importance']['omega'].values()) >= 0


@pytest.mark.parametrize('ensemble', [False, True])
def test_metrics_equal_an_independent_restoration(released, run_tool, tmp_path, ensemble):
    options = ('--ensemble',) if ensemble else ()
    run_tool('test', released.config, released.finetune, '--work-dir', tmp_path, *options)
    with open(tmp_path / 'images.csv', newline='') as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 2 and {row['t'] for row in rows} == {'8'}
    for row in rows:
        image, clean = degraded(row), read_image(row['path'])
        flips = FLIPS if ensemble else FLIPS[:1]
        expected = restored(released.finetune, image, 8, flips).round().astype(np.uint8)
        psnr = peak_signal_noise_ratio(clean, expected, data_range=255)
        assert float(row['psnr']) == pytest.approx(psnr, abs=0.01)
        other = restored(released.finetune, image, 8, FLIPS[:1] if ensemble else FLIPS)
        assert abs(psnr - peak_signal_noise_ratio(clean, other, data_range=255)) > 0.02


def test_restoring_with_and_without_flips(released, run_tool, tmp_path):
    photo = released.photos / '1.png'
    for flips, options in ((FLIPS[:1], ()), (FLIPS, ('--ensemble',))):
        target = tmp_path / f'{len(flips)}.png'
        run_tool('restore', released.finetune, photo, target, *options)
        expected = restored(released.finetune, read_image(photo), 8, flips)
        assert np.abs(read_image(target) - expected).max() < 0.51
    assert (read_image(tmp_path / '1.png') != read_image(tmp_path / '4.png')).mean() > 0.1


def test_the_ensemble_is_equivariant_to_flips_for_odd_sizes(released, run_tool, tmp_path):
    """The result of a mirrored image is mirrored, which one pass does not achieve."""
    image = np.ascontiguousarray(read_image(released.photos / '2.png')[:21, :33])
    save_image(tmp_path / 'in' / 'a.png', image)
    save_image(tmp_path / 'in' / 'b.png', np.ascontiguousarray(image[:, ::-1]))
    run_tool('restore', released.finetune, tmp_path / 'in', tmp_path / 'out', '--ensemble')
    a, b = (read_image(tmp_path / 'out' / f'{name}.png').astype(int) for name in 'ab')
    assert np.abs(a - b[:, ::-1]).max() <= 1
    run_tool('restore', released.finetune, tmp_path / 'in', tmp_path / 'plain')
    a, b = (read_image(tmp_path / 'plain' / f'{name}.png').astype(int) for name in 'ab')
    assert np.abs(a - b[:, ::-1]).max() > 1
