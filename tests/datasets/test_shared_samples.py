"""Cached samples: the same as uncached ones, made once, and held once for all processes."""

import multiprocessing
import os

import numpy as np
import pytest
import torch

from dtir_mm.datasets import DegradedPhotosDataset
from dtir_mm.datasets.shared_samples import SharedSamples

PIXELS = 400 * 300 * 3


def sample(index):
    image = np.full((400, 300, 3), index % 200, np.uint8)
    return {'clean': image, 'degraded': image + 1, 'path': f'/a/{index}\udcff.png', 'task': 'noisy'}


def read_and_write(samples, answers):
    """In another process: reads a stored sample and writes to its arrays."""
    got = samples.get(1, None)
    got['clean'][:] = 99
    other = samples.get(5, sample)
    answers.put((int(got['degraded'].sum()), got['path'], int(other['clean'].max())))


def test_samples_are_made_once_and_returned_unchanged():
    samples, made = SharedSamples(), []

    def make(index):
        made.append(index)
        return sample(index)

    for index in (1, 4000, 1, 0, 4000, 0):
        got = samples.get(index, make)
        for name, value in sample(index).items():
            np.testing.assert_array_equal(got[name], value)
        got['clean'][:] = 255  # of a transform that works in place
    assert made == [1, 4000, 0]


def test_all_kinds_of_values_are_stored():
    odd = {
        'turned': np.arange(12, dtype=np.float32).reshape(3, 4).T,
        'strided': np.arange(12)[::2],
        'empty': np.empty((0, 3), np.uint8),
        'nested': {'a': [np.uint8(3), None]},
    }
    got = SharedSamples().get(0, lambda _: odd)
    for name in ('turned', 'strided', 'empty'):
        np.testing.assert_array_equal(got[name], odd[name])
    assert got['nested'] == odd['nested']


def test_processes_see_each_others_samples_and_not_what_they_write():
    context = multiprocessing.get_context('forkserver')  # the test of a loader below forks
    samples, answers = SharedSamples(), context.SimpleQueue()
    samples.get(1, sample)
    process = context.Process(target=read_and_write, args=(samples, answers))
    process.start()
    assert answers.get() == (2 * PIXELS, '/a/1\udcff.png', 5)
    process.join()
    assert samples.get(1, None)['clean'].max() == 1
    assert samples.get(5, None)['clean'].max() == 5, 'what the other process made is there'


def test_memory_is_allocated_once_and_released():
    samples = SharedSamples()
    for index in range(4):
        samples.get(index, sample)
    file = f'/proc/self/fd/{samples._fd}'
    assert 4 * 2 * PIXELS <= os.stat(file).st_blocks * 512 < 4 * 2 * PIXELS + 4 * 8192
    held = [samples.get(0, None) for _ in range(5)]
    assert sum(int(one['clean'][0, 0, 0]) for one in held) == 0
    descriptor = samples._fd
    del samples, held
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_samples_made_by_workers_are_shared(photos_dir):
    pipeline = [{'type': 'RandomPatch', 'size': 16}, {'type': 'PackSample'}]
    cached = DegradedPhotosDataset(str(photos_dir), 'rainy', pipeline, draws=8, cache=True)
    plain = DegradedPhotosDataset(str(photos_dir), 'rainy', pipeline, draws=8)
    loader = torch.utils.data.DataLoader(cached, num_workers=2)
    expected = torch.utils.data.DataLoader(plain)
    for _ in range(2):
        for batch, other in zip(loader, expected, strict=True):
            assert torch.equal(batch['degraded'], other['degraded'])
    for index in range(len(cached)):
        assert cached._cache.get(index, None)['path'] == plain.load(index)['path']
