"""Clean and degraded photographs: the same pairs in every order, process and call."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from dtir_mm.datasets import DEGRADATIONS, CleanPhotosDataset, DegradedPhotosDataset
from dtir_mm.datasets.base_dataset import SampleKey
from dtir_mm.datasets.degradations import SEVERITIES, Noise
from dtir_mm.image_io import read_image
from dtir_mm.randomness import generator


class Blacken:
    """Keeps copies of the images that it gets, and then overwrites them in place."""

    def __call__(self, results):
        names = [name for name in ('clean', 'degraded') if name in results]
        results['seen'] = {name: results[name].copy() for name in names}
        for name in names:
            results[name][:] = 0
        return results


def degraded(folder, task='noisy', pipeline=(), **options):
    return DegradedPhotosDataset(str(folder), task, pipeline, **options)


def hash_of(sample):
    return hashlib.sha256(sample['degraded'].tobytes()).hexdigest()


def names_of(dataset):
    return [Path(dataset.load(index)['path']).stem for index in range(len(dataset))]


def test_a_pair_does_not_depend_on_the_run(photos_dir):
    for task in DEGRADATIONS:
        pairs = degraded(photos_dir, task, severities=SEVERITIES, max_photos=2, draws=2)
        hashes = [hash_of(pairs[index]) for index in range(8)]
        assert [hash_of(pairs[index]) for index in reversed(range(8))] == hashes[::-1]
        # Only under JPEG do both draws of a photograph agree.
        assert len(set(hashes)) == (4 if task == 'jpeg' else 8), task
        key = SampleKey(seed=3, iteration=500, slot=7, index=4)
        assert hash_of(pairs[key]) == hashes[4], 'the pair depends on the run'


def test_clean_photographs_can_serve_as_their_own_pairs(photos_dir):
    """As separate arrays, because transforms may work in place."""
    alone = CleanPhotosDataset(photos_dir, [], shrink=0.5)
    pairs = CleanPhotosDataset(photos_dir, [], shrink=0.5, as_pairs=True, cache=True)
    assert (alone.tasks, pairs.tasks, pairs.metainfo) == ([], ['clean'], {'tasks': ['clean']})
    for i in range(6):
        one, pair = alone[i], pairs[i]
        assert 'degraded' not in one and (one['task'], one['domain']) == ('clean', 'source')
        assert (pair['task'], pair['domain']) == ('clean', 'clean')
        for name in ('clean', 'degraded'):
            np.testing.assert_array_equal(pair[name], one['clean'])
        pair['degraded'][:] = 0
        np.testing.assert_array_equal(pair['clean'], one['clean'])
        np.testing.assert_array_equal(pairs[i]['degraded'], one['clean'])


def test_pairs_are_degraded_by_their_documented_key(photos_dir):
    """(0, task, severity, name, draw), for severities, then draws, then photographs."""
    severities = ('target', 'source')
    pairs = degraded(photos_dir, severities=severities, draws=2, max_photos=3)
    assert len(pairs) == 12 and pairs.tasks == ['noisy']
    index = 0
    for severity in severities:
        for draw in range(2):
            for name in ('photo_0', 'photo_2', 'photo_4'):
                clean = read_image(photos_dir / f'{name}.png')
                rng = generator(0, 'noisy', severity, name, draw)
                sample = pairs[index]
                np.testing.assert_array_equal(sample['clean'], clean)
                np.testing.assert_array_equal(
                    sample['degraded'], Noise(severity).degrade(clean, rng)
                )
                assert (sample['task'], sample['domain']) == ('noisy', severity)
                assert sample['path'] == str(photos_dir / f'{name}.png')
                index += 1


@pytest.mark.parametrize(
    ('count', 'expected'), [(1, [0]), (2, [0, 3]), (3, [0, 2, 4]), (4, [0, 1, 3, 4]), (6, range(6))]
)
def test_max_photos_spreads_evenly_over_the_folder(photos_dir, count, expected):
    assert names_of(degraded(photos_dir, max_photos=count)) == [f'photo_{i}' for i in expected]


@pytest.mark.parametrize('count', [0, 7, -1])
def test_invalid_max_photos_are_rejected(photos_dir, count):
    with pytest.raises(ValueError, match=rf'max_photos={count} must lie in 1\.\.6.*{photos_dir}'):
        degraded(photos_dir, max_photos=count)


def test_photographs_are_shrunk_before_they_are_degraded(photos_dir):
    image = read_image(photos_dir / 'photo_1.png')
    sample = degraded(photos_dir, shrink=0.5)[1]
    blocks = image.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(sample['clean'] - blocks).max() <= 0.5, 'not the means of 2 x 2 pixels'
    rng = generator(0, 'noisy', 'source', 'photo_1', 0)
    expected = Noise('source').degrade(sample['clean'], rng)
    np.testing.assert_array_equal(sample['degraded'], expected)


def test_clean_photographs_are_sorted_by_name(photos_dir):
    photos = CleanPhotosDataset(str(photos_dir), [{'type': 'PackSample'}])
    assert len(photos) == 6 and photos.tasks == [] and photos.metainfo == {'tasks': []}
    for i in (5, 0, 3):
        file = photos_dir / f'photo_{i}.png'
        sample = photos[i]
        np.testing.assert_array_equal(sample['clean'].permute(1, 2, 0), read_image(file))
        assert (sample['path'], sample['task'], sample['domain']) == (str(file), 'clean', 'source')
        assert 'degraded' not in sample


def cached_and_not(photos_dir, pipeline=()):
    folder = str(photos_dir)
    for kind, options in (
        (CleanPhotosDataset, {}),
        (DegradedPhotosDataset, {'task': 'noisy', 'draws': 2}),
    ):
        yield tuple(
            kind(folder, pipeline=pipeline, cache=cache, **options) for cache in (True, False)
        )


def test_a_cached_set_has_the_same_pixels_and_reads_each_file_once(photos_dir):
    kinds = list(cached_and_not(photos_dir))
    expected = [[plain[i] for i in range(len(plain))] for _, plain in kinds]
    for cached, _ in kinds:
        for i in reversed(range(len(cached))):
            cached[i]
    for file in photos_dir.iterdir():
        file.unlink()
    for (cached, _), samples in zip(kinds, expected, strict=True):
        for i, sample in enumerate(samples):
            assert cached[i].keys() == sample.keys()
            for name in {'clean', 'degraded'} & sample.keys():
                np.testing.assert_array_equal(cached[i][name], sample[name])


def test_in_place_transforms_do_not_change_the_cache(photos_dir):
    for cached, plain in cached_and_not(photos_dir, [{'type': Blacken}]):
        for _ in range(3):
            sample = cached[2]
            assert not sample['clean'].any(), 'the transform did nothing'
            for name, image in plain[2]['seen'].items():
                np.testing.assert_array_equal(sample['seen'][name], image)


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        ({'shrink': 0}, 'shrink=0 must lie in'),
        ({'shrink': 1.5}, 'shrink=1.5 must lie in'),
        ({'draws': 0}, 'draws=0 must be at least 1'),
        ({'severities': ()}, r'severities=\(\) a list of one or more of source, target'),
        ({'severities': 'source'}, "severities='source' a list"),
    ],
)
def test_arguments_out_of_range_are_rejected(photos_dir, arguments, named):
    with pytest.raises(ValueError, match=named):
        DegradedPhotosDataset(str(photos_dir), 'rainy', [], **arguments)
