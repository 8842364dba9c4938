"""Samples depend only on their key, not on other samples, draws or processes."""

import random
from functools import cache

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dtir_mm.datasets import ConcatDataset, DegradedPhotosDataset
from dtir_mm.datasets.base_dataset import RestorationDataset, SampleKey
from dtir_mm.randomness import generator
from dtir_mm.registry import DATASETS

PATCHES = [{'type': 'RandomPatch', 'size': 16}, {'type': 'RandomFlipTurn'}, {'type': 'PackSample'}]
# Keys as a sampler makes them: any order, an index more than once.
KEYS = [SampleKey(7, 40 + i // 4, i % 4, (5 * i) % 6) for i in range(12)]


class Draw:
    """Draws numbers, and disturbs every global generator on the way."""

    def __call__(self, results):
        random.seed(results['index'])
        np.random.seed(results['index'])
        torch.manual_seed(results['index'])
        results.setdefault('drawn', []).append(results['rng'].integers(1 << 60))
        return results


class Numbers(RestorationDataset):
    """Samples that are their own index."""

    def __init__(self, size, task='counting', draws=1):
        super().__init__([{'type': Draw}] * draws)
        self.size = size
        self.task = task

    tasks = property(lambda self: [self.task])

    def __len__(self):
        return self.size

    def load(self, index):
        if index >= self.size:
            raise IndexError(index)
        return {'index': index, 'task': self.task}


@pytest.fixture
def numbers_registered():
    DATASETS.register_module(name='Numbers', module=Numbers)
    yield
    DATASETS.module_dict.pop('Numbers')


def test_the_pipeline_depends_only_on_seed_iteration_and_slot():
    dataset = Numbers(10, draws=3)
    rng = generator(5, 600, 7, 'sample')
    expected = [rng.integers(1 << 60) for _ in range(3)]
    for index in (3, 8, 3):
        sample = dataset[SampleKey(5, 600, 7, index)]
        assert sample['drawn'] == expected and sample['index'] == index
        assert tuple(sample['key']) == (5, 600, 7)
    keys = [SampleKey(5, 600, 7, 3), SampleKey(6, 600, 7, 3), SampleKey(5, 601, 7, 3)]
    keys.append(SampleKey(5, 600, 8, 3))
    assert len({dataset[key]['drawn'][0] for key in keys}) == 4


def test_a_plain_index_stands_for_a_key():
    dataset = Numbers(4)
    for i in range(4):
        sample = dataset[i]
        assert sample['drawn'] == dataset[SampleKey(0, 0, i, i)]['drawn']
        assert sample['index'] == i and tuple(sample['key']) == (0, 0, i)
    assert [sample['index'] for sample in dataset] == [0, 1, 2, 3]


def test_samples_do_not_depend_on_previous_ones(photos_dir):
    @cache
    def alone(key):
        return DegradedPhotosDataset(str(photos_dir), 'noisy', PATCHES)[key]

    for keep in (False, True):
        dataset = DegradedPhotosDataset(str(photos_dir), 'noisy', PATCHES, cache=keep)
        for key in [*KEYS, *reversed(KEYS)]:
            sample = dataset[key]
            for name in ('clean', 'degraded', 'key'):
                assert torch.equal(sample[name], alone(key)[name]), (key, name)
    patches = {alone(key)['clean'].numpy().tobytes() for key in KEYS}
    assert len(patches) == len(KEYS), 'the keys do not tell patches apart'


def test_batches_do_not_depend_on_the_number_of_workers(photos_dir):
    dataset = DegradedPhotosDataset(str(photos_dir), 'rainy', PATCHES)
    loaders = [DataLoader(dataset, 3, sampler=KEYS, num_workers=workers) for workers in (0, 2)]
    batches, parallel = map(list, loaders)
    assert len(batches) == len(parallel) == 4
    for batch, other in zip(batches, parallel, strict=True):
        assert batch.keys() == other.keys()
        for name, value in batch.items():
            same = torch.equal(value, other[name]) if name in ('clean', 'degraded', 'key') else None
            assert value == other[name] if same is None else same, name
    seen = torch.cat([batch['key'] for batch in parallel])
    assert seen.tolist() == [list(key[:3]) for key in KEYS]
    first = dataset[KEYS[4]]
    assert torch.equal(parallel[1]['clean'][1], first['clean'])


def concatenated(*parts):
    return ConcatDataset([{'type': 'Numbers', 'size': size, 'task': task} for size, task in parts])


def test_indices_of_a_concatenation_count_over_its_parts(numbers_registered):
    dataset = concatenated((2, 'b'), (3, 'a'), (1, 'b'))
    assert dataset.tasks == ['b', 'a'] and dataset.metainfo == {'tasks': ['b', 'a']}
    samples = list(dataset)
    assert len(dataset) == 6
    expected = [('b', 0), ('b', 1), ('a', 0), ('a', 1), ('a', 2), ('b', 0)]
    assert [(sample['task'], sample['index']) for sample in samples] == expected
    # Draws belong to the place in the whole: two parts do not get the same ones.
    assert [tuple(sample['key']) for sample in samples] == [(0, 0, i) for i in range(6)]
    drawn = [sample['drawn'][0] for sample in samples]
    assert drawn == [generator(0, 0, i, 'sample').integers(1 << 60) for i in range(6)]


def test_a_concatenation_passes_keys_on(numbers_registered):
    dataset = concatenated((2, 'b'), (3, 'a'))
    sample = dataset[SampleKey(5, 600, 7, 3)]
    assert (sample['task'], sample['index'], tuple(sample['key'])) == ('a', 1, (5, 600, 7))
    assert sample['drawn'] == [generator(5, 600, 7, 'sample').integers(1 << 60)]


@pytest.mark.parametrize('key', [5, SampleKey(1, 2, 3, 5), SampleKey(1, 2, 3, -1)])
def test_indices_outside_a_concatenation_are_rejected(numbers_registered, key):
    index = key if isinstance(key, int) else key.index
    with pytest.raises(IndexError, match=f'index {index} of a data set of 5 samples'):
        concatenated((2, 'b'), (3, 'a'))[key]


@pytest.mark.parametrize('custom', [False, True])
def test_groups_are_the_tasks_and_domains_of_the_samples(photos_dir, custom):
    degraded = dict(type='DegradedPhotosDataset', folder=str(photos_dir), pipeline=[])
    parts = [
        dict(degraded, task='rainy', severities=('source', 'target')),
        dict(degraded, task='noisy', max_photos=2),
        dict(degraded, task='rainy'),
        dict(type='CleanPhotosDataset', folder=str(photos_dir), pipeline=[], as_pairs=True),
    ]
    folder = dict(degraded=str(photos_dir), clean=str(photos_dir), pipeline=[])
    parts.append(dict(type='PairedFolderDataset', task='foggy', domain='target', **folder))
    dataset = ConcatDataset(parts)
    if custom:
        dataset.parts.append([])  # a data set that does not tell
        assert dataset.groups is None
    else:
        samples = [dataset[i] for i in range(len(dataset))]
        assert dataset.groups == list(dict.fromkeys((s['task'], s['domain']) for s in samples))
