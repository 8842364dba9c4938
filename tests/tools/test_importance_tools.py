"""tools/accumulate_importance.py and tools/interpolate_weights.py."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from dtir_mm.apis import load_restorer
from dtir_mm.apis.interpolation import interpolate_weights
from dtir_mm.datasets import CleanPhotosDataset
from dtir_mm.datasets.base_dataset import SampleKey
from dtir_mm.engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from dtir_mm.engine.iteration_sampler import IterationSampler
from dtir_mm.randomness import seed_of
from dtir_mm.weights_file import CheckpointError

PIPELINE = [
    dict(type='RandomPatch', size=32),
    dict(type='RandomFlipTurn'),
    dict(type='PackSample'),
]


def sample_gradients(toy, num_batches):
    """Gradients of L_g of single samples, by plain autograd: a list per batch of two."""
    restorer = load_restorer(toy.pretrain).train()
    dataset = CleanPhotosDataset(str(toy.photos), PIPELINE)
    sampler = IterationSampler(dataset, seed=0, batch_size=2)
    sampler.start_iteration = 2
    keys = iter(sampler)
    batches = []
    for _ in range(num_batches):
        batch = []
        for key in (next(keys), next(keys)):
            assert isinstance(key, SampleKey)
            clean = dataset[key]['clean'].float()[None] / 127.5 - 1
            rng = torch.Generator().manual_seed(seed_of(*key[:3], 'noise'))
            t = torch.randint(1, 51, (), generator=rng)[None]
            noise = torch.randn(clean.shape[1:], generator=rng)[None]
            sigma = restorer.schedule.sigma(t)
            noisy = (1 - sigma**2).sqrt() * clean + sigma * noise
            loss = F.mse_loss(restorer.backbone.predict_residual(noisy.float(), t), noise)
            named = dict(restorer.named_parameters())
            gradients = torch.autograd.grad(loss, list(named.values()))
            batch.append(dict(zip(named, gradients, strict=True)))
        batches.append(batch)
    return batches


def test_importance_is_the_mean_absolute_gradient_of_batches(toy, run_tool, tmp_path):
    run_tool('accumulate_importance', toy.pretrain, tmp_path / 'with.pth', '--batches', 3)
    importance = load_checkpoint(tmp_path / 'with.pth').content['importance']
    assert (importance['batches'], importance['statistic']) == (3, 'abs_gradient')
    batches = sample_gradients(toy, 3)
    weights = load_checkpoint(toy.pretrain).weights
    for name, omega in importance['omega'].items():
        expected = sum(((first[name] + second[name]) / 2).abs() for first, second in batches) / 3
        torch.testing.assert_close(omega, expected, rtol=1e-3, atol=1e-7)
        assert torch.equal(importance['anchor'][name], weights[name])


def test_fisher_is_the_mean_squared_gradient_of_samples(toy, run_tool, tmp_path):
    target = tmp_path / 'with.pth'
    run_tool('accumulate_importance', toy.pretrain, target, '--batches', 2, '--fisher')
    importance = load_checkpoint(target).content['importance']
    assert (importance['batches'], importance['statistic']) == (4, 'fisher')
    samples = [sample for batch in sample_gradients(toy, 2) for sample in batch]
    for name, omega in importance['omega'].items():
        expected = sum(sample[name].square() for sample in samples) / 4
        torch.testing.assert_close(omega, expected, rtol=1e-3, atol=1e-8)


def test_importance_of_fine_tuned_weights_ignores_regularizers(toy, run_tool, tmp_path):
    config = Config.fromfile(toy.config)
    config.model.step.mixing.ratio = 0.5
    config.model.step.regularizers = dict(
        importance=dict(type='ImportancePenalty'),
        orthogonality=dict(type='GradientOrthogonality', interval=1),
    )
    config.dump(tmp_path / 'everything.py')
    config.model.step.regularizers = None
    config.dump(tmp_path / 'samples.py')
    omegas = []
    for name in ('everything', 'samples'):
        target = tmp_path / f'{name}.pth'
        run_tool(
            'accumulate_importance', toy.finetune, target, '--batches', 2,
            '--config', tmp_path / f'{name}.py',
        )  # fmt: skip
        omegas.append(load_checkpoint(target).content['importance']['omega'])
    torch.testing.assert_close(*omegas, rtol=0, atol=0)
    assert all(omega.max() > 0 for name, omega in omegas[0].items() if 'conv' in name)


def test_fisher_of_fine_tuned_weights_is_rejected(toy, failure_of, tmp_path):
    said = failure_of('accumulate_importance', toy.finetune, tmp_path / 'a.pth', '--fisher')
    assert 'mixed in' in said and 'only defined for pre-training' in said


def test_batches_have_the_global_batch_size(toy, run_tool, tmp_path):
    config = Config.fromfile(toy.pretrain.parent / 'pretrain.py')
    checkpoint = load_checkpoint(toy.pretrain).content
    checkpoint['meta']['global_batch'] = 4
    save_checkpoint(checkpoint, tmp_path / 'two_processes.pth')
    config.global_batch_size = 4
    config.dump(tmp_path / 'four.py')
    del checkpoint['meta']['global_batch']
    save_checkpoint(checkpoint, tmp_path / 'one_process.pth')
    for name, target, options in (
        ('two_processes', 'a', ()),
        ('one_process', 'b', ('--config', tmp_path / 'four.py')),
    ):
        files = tmp_path / f'{name}.pth', tmp_path / f'{target}.pth'
        run_tool('accumulate_importance', *files, '--batches', 2, *options)
    omegas = [load_checkpoint(tmp_path / f'{n}.pth').content['importance']['omega'] for n in 'ab']
    torch.testing.assert_close(*omegas, rtol=1e-4, atol=1e-7)


def test_existing_files_need_overwrite(toy, run_tool, failure_of, tmp_path):
    target = tmp_path / 'there.pth'
    target.write_text('mine')
    for tool, arguments in (
        ('accumulate_importance', (toy.pretrain, target, '--batches', 1)),
        ('interpolate_weights', (toy.pretrain, toy.finetune, target)),
    ):
        assert 'there.pth exists; give --overwrite' in failure_of(tool, *arguments)
        assert target.read_text() == 'mine'
        run_tool(tool, *arguments, '--overwrite')
        assert 'state_dict' in load_checkpoint(target).content
        target.write_text('mine')


def test_weights_are_interpolated_linearly(toy, run_tool, tmp_path):
    run_tool('interpolate_weights', toy.pretrain, toy.finetune, tmp_path / 'w.pth', '--share', 0.25)
    before, after = (load_checkpoint(run).weights for run in (toy.pretrain, toy.finetune))
    middle = load_checkpoint(tmp_path / 'w.pth').content
    for name, weight in middle['state_dict'].items():
        torch.testing.assert_close(weight, 0.75 * before[name] + 0.25 * after[name])
    assert load_restorer(tmp_path / 'w.pth').timesteps['rainy'] == 8


def interpolated(before: dict, after: dict, share: float) -> dict:
    checkpoints = (Checkpoint.of(before, 'a.pth'), Checkpoint.of(after, 'b.pth'))
    return interpolate_weights(*checkpoints, share)


def test_weights_of_two_architectures_cannot_be_interpolated(toy, failure_of, tmp_path):
    other = load_checkpoint(toy.pretrain).content
    name = next(iter(other['state_dict']))
    del other['state_dict'][name]
    torch.save(other, tmp_path / 'other.pth')
    arguments = (tmp_path / 'other.pth', toy.finetune, tmp_path / 'w.pth')
    assert name in failure_of('interpolate_weights', *arguments)


def test_integers_and_infinite_masks_are_kept():
    """Integers of the fine-tuned weights, such as counters and tables of indices."""
    states = [
        {
            'a': torch.tensor([value]),
            'count': torch.tensor(number),
            'mask': torch.tensor(-torch.inf),
        }
        for value, number in ((1.0, 3), (2.0, 8))
    ]
    weights = interpolated(*({'state_dict': state} for state in states), 0.25)['state_dict']
    assert weights['a'].item() == pytest.approx(1.25) and weights['count'].item() == 8
    assert weights['mask'].item() == -torch.inf


@pytest.mark.parametrize(
    ('before', 'after', 'said'),
    [
        ([1.0, torch.nan], [1.0, 2.0], r'a\.pth \(pre-trained\): 1 of 2 values of a are not'),
        ([1.0, 2.0], [1.0, torch.inf], r'b\.pth \(fine-tuned\): 1 of 2 values of a are not'),
        ([1, 2], [1.0, 2.0], r'a is torch.int64 in a\.pth \(pre-trained\), but torch.float32'),
    ],
)
def test_invalid_weights_are_rejected(before, after, said):
    states = [{'state_dict': {'a': torch.tensor(values)}} for values in (before, after)]
    with pytest.raises(CheckpointError, match=said):
        interpolated(*states, 0.5)


@pytest.mark.parametrize('fisher', [(), ('--fisher',)])
def test_non_finite_importance_is_rejected(toy, failure_of, tmp_path, fisher):
    checkpoint = load_checkpoint(toy.pretrain).content
    checkpoint['state_dict'] = {name: 1e30 * w for name, w in checkpoint['state_dict'].items()}
    save_checkpoint(checkpoint, tmp_path / 'big.pth')
    said = failure_of(
        'accumulate_importance', tmp_path / 'big.pth', tmp_path / 'a.pth', '--batches', 1, *fisher
    )
    assert 'big.pth: gradients of batch 1 are not finite' in said
    assert not (tmp_path / 'a.pth').exists()
