"""``RestorationMetric``: rows, means, mmengine's evaluator, and several processes."""

import math

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.evaluator import Evaluator

import dtir_mm.evaluation.restoration_metric as module
from dtir_mm.evaluation.metrics import psnr, ssim
from dtir_mm.evaluation.protocols import luma
from dtir_mm.evaluation.restoration_metric import RestorationMetric
from dtir_mm.registry import METRICS


def sample(number, task='noisy', domain='source', size=(24, 32)):
    """Sample ``number``: its restored image is closer to the clean one than the degraded one."""
    rng = np.random.default_rng(number)
    clean = rng.integers(60, 200, (*size, 3)).astype(np.uint8)
    return {
        'restored': (clean + rng.integers(0, 9 + number, clean.shape)).astype(np.uint8),
        'degraded': (clean + rng.integers(0, 40, clean.shape)).astype(np.uint8),
        'clean': clean,
        'task': task,
        'domain': domain,
        'path': f'{task}/{number:03d}.png',
        't': torch.tensor(7),
    }


SAMPLES = [
    sample(4, 'noisy'),
    sample(3, 'noisy', 'target'),
    sample(2, 'hazy'),
    sample(1, 'noisy'),
    sample(0, 'hazy', 'target'),
]


def evaluate(metric, samples):
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_rows_hold_the_metrics_of_both_images_in_order():
    metric = RestorationMetric('rgb_no_lpips')
    evaluate(metric, SAMPLES)
    assert [(row['task'], row['domain'], row['path']) for row in metric.rows] == [
        ('hazy', 'source', 'hazy/002.png'),
        ('hazy', 'target', 'hazy/000.png'),
        ('noisy', 'source', 'noisy/001.png'),
        ('noisy', 'source', 'noisy/004.png'),
        ('noisy', 'target', 'noisy/003.png'),
    ]
    hazy = SAMPLES[2]
    assert metric.rows[0] == {
        'task': 'hazy',
        'domain': 'source',
        'path': 'hazy/002.png',
        't': 7,
        'psnr': psnr(hazy['restored'], hazy['clean']),
        'ssim': ssim(hazy['restored'], hazy['clean']),
        'lpips': None,
        'input_psnr': psnr(hazy['degraded'], hazy['clean']),
        'input_ssim': ssim(hazy['degraded'], hazy['clean']),
        'input_lpips': None,
    }


def test_means_are_per_domain_and_the_average_is_over_tasks_of_the_source():
    metrics = evaluate(RestorationMetric('rgb_no_lpips'), SAMPLES)
    noisy = [psnr(SAMPLES[i]['restored'], SAMPLES[i]['clean']) for i in (0, 3)]
    hazy = psnr(SAMPLES[2]['restored'], SAMPLES[2]['clean'])
    assert metrics['noisy/source/psnr'] == pytest.approx(sum(noisy) / 2)
    assert metrics['psnr'] == pytest.approx((sum(noisy) / 2 + hazy) / 2)
    degraded = psnr(SAMPLES[4]['degraded'], SAMPLES[4]['clean'])
    assert metrics['hazy/target/input_psnr'] == pytest.approx(degraded)
    names = {name.rsplit('/')[-1] for name in metrics}
    assert names == {'psnr', 'ssim', 'input_psnr', 'input_ssim'}, 'LPIPS was not measured'


def test_without_source_images_the_average_is_over_what_was_tested():
    metrics = evaluate(RestorationMetric('rgb_no_lpips'), SAMPLES[1:2])
    assert metrics['psnr'] == metrics['noisy/target/psnr']


def test_an_exactly_restored_image_leaves_the_means_finite():
    exact = SAMPLES[0] | {'restored': SAMPLES[0]['clean']}
    metrics = evaluate(RestorationMetric('rgb_no_lpips'), [exact])
    assert metrics['psnr'] == 100 and math.isfinite(metrics['noisy/source/input_psnr'])


def test_protocols_crop_and_convert(monkeypatch):
    first = SAMPLES[0]
    metrics = evaluate(RestorationMetric('y'), [first])
    assert metrics['psnr'] == psnr(luma(first['restored']), luma(first['clean']))
    # A fake LPIPS, which sees the cropped RGB images.
    monkeypatch.setattr(module, 'Lpips', lambda: lambda image, clean: image[0, 0, 0] / clean.size)
    cropped = {name: first[name][4:-4, 4:-4] for name in ('restored', 'degraded', 'clean')}
    metrics = evaluate(RestorationMetric('rgb_crop4'), [first])
    assert metrics['psnr'] == psnr(cropped['restored'], cropped['clean'])
    assert metrics['ssim'] == ssim(cropped['restored'], cropped['clean'])
    assert metrics['lpips'] == cropped['restored'][0, 0, 0] / cropped['clean'].size
    expected = cropped['degraded'][0, 0, 0] / cropped['clean'].size
    assert metrics['noisy/source/input_lpips'] == expected


def test_a_distance_that_is_not_finite_is_an_error(monkeypatch):
    monkeypatch.setattr(module, 'Lpips', lambda: lambda image, clean: math.nan)
    with pytest.raises(ValueError, match=r'noisy/004\.png .*LPIPS is nan'):
        RestorationMetric('rgb').process(None, SAMPLES)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'restored': SAMPLES[0]['restored'] / 255}, 'restored must be a uint8 array, got float64'),
        ({'clean': torch.zeros(24, 32, 3)}, 'clean must be a uint8 array, got torch.float32'),
        ({'degraded': None}, 'degraded must be a uint8 array, got NoneType'),
        ({'degraded': SAMPLES[0]['clean'][:20]}, r'degraded has the shape \(20, 32, 3\)'),
        ({'restored': SAMPLES[0]['clean'][..., 0]}, r'restored has the shape \(24, 32\)'),
        (sample(4, size=(8, 8)), 'at least 11 x 11 pixels, got 8 x 8'),
    ],
)
def test_wrong_images_are_rejected_with_their_path(change, message):
    with pytest.raises(ValueError, match=rf'noisy/004\.png \(noisy\): .*{message}'):
        RestorationMetric('rgb_no_lpips').process(None, [SAMPLES[0] | change])


def test_unknown_protocols_are_rejected():
    with pytest.raises(ValueError, match='nearest: rgb_no_lpips'):
        METRICS.build({'type': 'RestorationMetric', 'protocol': 'rgb_nolpips'})


def test_mmengines_evaluator_runs_it_twice():
    metric = METRICS.build({'type': 'RestorationMetric', 'protocol': 'rgb_no_lpips'})
    evaluator = Evaluator(metric)
    for expected in (SAMPLES, SAMPLES[:1]):
        for one in expected:
            evaluator.process(data_samples=[one], data_batch=None)
        metrics = evaluator.evaluate(len(expected))
        assert len(metric.rows) == len(expected)
    assert metrics['psnr'] == metrics['noisy/source/psnr']


def run_process(rank, folder):
    """One of two processes; the second has one image less."""
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    metric = RestorationMetric('rgb_no_lpips')
    metric.process(None, SAMPLES[rank::2])
    torch.save((metric.evaluate(len(SAMPLES)), metric.rows), f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


def test_two_processes_gather_what_one_computes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # mmengine exchanges rows through ./.dist_test
    mp.start_processes(run_process, (str(tmp_path),), nprocs=2, start_method='spawn')
    alone = RestorationMetric('rgb_no_lpips')
    expected = evaluate(alone, SAMPLES)
    for rank in (0, 1):
        metrics, rows = torch.load(tmp_path / f'{rank}.pth', weights_only=True)
        assert metrics == expected
        assert rows == (alone.rows if rank == 0 else [])
