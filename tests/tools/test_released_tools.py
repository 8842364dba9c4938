"""Training, testing and restoring under the recipe of the released code; the mean over flips."""

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


def test_both_stages_train_and_the_second_starts_from_the_first(released):
    before, after = (load_checkpoint(run).content for run in (released.pretrain, released.finetune))
    assert [run['meta']['objective'] for run in (before, after)] == ['denoising', 'content']
    assert 'importance' not in before
    anchor = after['importance']['anchor']
    assert all(torch.equal(anchor[name], before['state_dict'][name]) for name in anchor)
    moved = [(after['state_dict'][name] - anchor[name]).abs().max() for name in anchor]
    assert max(moved) > 0.01
    assert min(omega.min() for omega in after['importance']['omega'].values()) >= 0


@pytest.mark.parametrize('ensemble', [False, True])
def test_the_test_restores_as_by_hand(released, run_tool, tmp_path, ensemble):
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


@pytest.mark.parametrize('recipe', ['paper', 'released'])
def test_restore_with_and_without_flips(recipe, toy, released, run_tool, tmp_path):
    """Sizes that are no multiple of the network's are padded behind the flip."""
    made = {'paper': toy, 'released': released}[recipe]
    image = read_image(made.photos / '1.png')
    for flips, options in ((FLIPS[:1], ()), (FLIPS, ('--ensemble',))):
        target = tmp_path / f'{len(flips)}.png'
        run_tool('restore', made.finetune, made.photos / '1.png', target, *options)
        if recipe == 'released':
            expected = restored(made.finetune, image, 8, flips)
        else:
            expected = 255 * by_forward(made.finetune, image, flips)
        assert np.abs(read_image(target) - expected).max() < 0.51
    assert (read_image(tmp_path / '1.png') != read_image(tmp_path / '4.png')).mean() > 0.1


def by_forward(work_dir: Path, image: np.ndarray, flips: tuple) -> np.ndarray:
    """The mean of the restorer's own answers to flipped images: (H, W, 3) in [0, 1]."""
    restorer = load_restorer(work_dir)
    results = []
    for axes in flips:
        flipped = np.flip(image, [axis - 2 for axis in axes]) if axes else image
        y = torch.from_numpy(flipped.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            y = y.to(next(restorer.parameters()))
            result = restorer(y, torch.tensor([8], device=y.device))[0].permute(1, 2, 0)
        result = result.cpu().numpy()
        results.append(np.flip(result, [axis - 2 for axis in axes]) if axes else result)
    return (np.mean(results, axis=0).clip(-1, 1) + 1) / 2


def test_the_mean_over_flips_of_an_image_of_odd_sides(released, run_tool, tmp_path):
    """Of an image and its mirror image it is the same, mirrored; a single pass's is not."""
    image = np.ascontiguousarray(read_image(released.photos / '2.png')[:21, :33])
    save_image(tmp_path / 'in' / 'a.png', image)
    save_image(tmp_path / 'in' / 'b.png', np.ascontiguousarray(image[:, ::-1]))
    run_tool('restore', released.finetune, tmp_path / 'in', tmp_path / 'out', '--ensemble')
    a, b = (read_image(tmp_path / 'out' / f'{name}.png').astype(int) for name in 'ab')
    assert np.abs(a - b[:, ::-1]).max() <= 1
    run_tool('restore', released.finetune, tmp_path / 'in', tmp_path / 'plain')
    a, b = (read_image(tmp_path / 'plain' / f'{name}.png').astype(int) for name in 'ab')
    assert np.abs(a - b[:, ::-1]).max() > 1


def test_published_figures_are_of_one_pass(released, failure_of, tmp_path):
    message = failure_of('test', released.config, released.finetune, '--work-dir', tmp_path,
                         '--publish', '--ensemble')  # fmt: skip
    assert '--publish does not allow --ensemble' in message
