"""Patches, flips and turns, strengths, and packing: distributions, and that pairs stay aligned."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest, uniform

from dtir_mm.datasets import PackSample, RandomFlipTurn, RandomPatch, RandomStrength


def coordinates(height, width, marker=0):
    """An image whose pixels state their position: (row, column, marker)."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows, columns, np.full_like(rows, marker)], axis=2).astype(np.uint8)


def cut(size, seed=0, **images):
    return RandomPatch(size)({**images, 'rng': np.random.default_rng(seed)})


def test_the_same_square_is_cut_from_all_images():
    corners = set()
    for seed in range(20):
        patches = cut(8, seed, clean=coordinates(30, 20), degraded=coordinates(30, 20, 1))
        top, left, _ = map(int, patches['clean'][0, 0])
        square = coordinates(30, 20)[top : top + 8, left : left + 8]
        assert square.shape == (8, 8, 3)
        np.testing.assert_array_equal(patches['clean'], square)
        np.testing.assert_array_equal(patches['degraded'], square + np.uint8([0, 0, 1]))
        corners.add((top, left))
    assert len(corners) > 10


def test_positions_are_uniform():
    rng, patch, image = np.random.default_rng(1), RandomPatch(8), coordinates(12, 10)
    draws = [tuple(patch({'clean': image, 'rng': rng})['clean'][0, 0, :2]) for _ in range(3000)]
    counts = Counter((int(top), int(left)) for top, left in draws)
    assert set(counts) == {(top, left) for top in range(5) for left in range(3)}
    assert chisquare(list(counts.values())).pvalue > 0.01


# The last ones are smaller than half the patch: the reflection is reflected again.
@pytest.mark.parametrize('size', [(16, 16), (15, 16), (16, 9), (9, 15), (7, 7), (3, 5), (1, 2)])
def test_an_image_smaller_than_the_patch_is_padded_by_reflection(size):
    clean, degraded = coordinates(*size), coordinates(*size, 1)
    patches = cut(16, clean=clean, degraded=degraded)
    widths = ((0, 16 - size[0]), (0, 16 - size[1]), (0, 0))
    for name, image in (('clean', clean), ('degraded', degraded)):
        np.testing.assert_array_equal(patches[name], np.pad(image, widths, mode='symmetric'))


def test_images_smaller_only_in_height_are_still_cropped_in_width():
    columns = set()
    for seed in range(20):
        patch = cut(8, seed, clean=coordinates(3, 20))['clean']
        left = int(patch[0, 0, 1])
        strip = coordinates(3, 20)[:, left : left + 8]
        np.testing.assert_array_equal(patch, np.pad(strip, ((0, 5), (0, 0), (0, 0)), 'symmetric'))
        columns.add(left)
    assert len(columns) > 5


@pytest.mark.parametrize('size', [0, -4])
def test_empty_patches_are_rejected(size):
    with pytest.raises(ValueError, match=f'size={size} of RandomPatch must be at least 1'):
        RandomPatch(size)


def symmetries(image):
    """The eight symmetries of a square, by transposing and mirroring."""
    for square in (image, image.transpose(1, 0, 2)):
        for rows in (slice(None), slice(None, None, -1)):
            for columns in (slice(None), slice(None, None, -1)):
                yield square[rows, columns].tobytes()


def test_flips_and_turns_make_all_eight_symmetries_equally_often():
    image = coordinates(5, 5)
    expected = set(symmetries(image))
    assert len(expected) == 8
    rng, transform = np.random.default_rng(2), RandomFlipTurn()
    draws = [transform({'clean': image, 'rng': rng})['clean'].tobytes() for _ in range(4000)]
    counts = Counter(draws)
    assert set(counts) == expected
    assert chisquare(list(counts.values())).pvalue > 0.01
    np.testing.assert_array_equal(image, coordinates(5, 5), err_msg='the input was changed')


def test_a_pair_is_flipped_and_turned_alike():
    seen = set()
    for seed in range(40):
        images = {'clean': coordinates(4, 4), 'degraded': coordinates(4, 4, 9)}
        results = RandomFlipTurn()({**images, 'rng': np.random.default_rng(seed)})
        np.testing.assert_array_equal(
            results['degraded'], results['clean'].astype(int) + np.array([0, 0, 9])
        )
        seen.add(results['clean'].tobytes())
    assert len(seen) == 8


def test_strengths_are_uniform_and_scale_only_the_difference():
    clean = np.full((4, 4, 3), 100, np.uint8)
    degraded = clean + np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    rng, transform = np.random.default_rng(3), RandomStrength(0.5, 1.5)
    factors = []
    for _ in range(2000):
        results = transform({'clean': clean, 'degraded': degraded, 'rng': rng})
        assert results['clean'] is clean and results['degraded'].dtype == np.uint8
        difference = results['degraded'].astype(int) - 100
        factors.append(difference.max() / 47)
        np.testing.assert_allclose(difference, factors[-1] * np.arange(48).reshape(4, 4, 3), atol=1)
    assert kstest(factors, uniform(0.5, 1).cdf).pvalue > 0.01
    assert degraded.max() == 147, 'the input was changed'


def test_other_strengths_are_clipped():
    clean, degraded = np.uint8([[[10, 250, 0]]]), np.uint8([[[0, 255, 9]]])
    results = RandomStrength(2, 2)(
        {'clean': clean, 'degraded': degraded, 'rng': np.random.default_rng(0)}
    )
    assert results['degraded'].tolist() == [[[0, 255, 18]]]


@pytest.mark.parametrize(('low', 'high'), [(0, 1), (-0.5, 1), (1.5, 0.5)])
def test_impossible_strengths_are_rejected(low, high):
    with pytest.raises(ValueError, match=rf'low={low} and high={high} of RandomStrength must be 0'):
        RandomStrength(low, high)


def test_strengths_need_pairs():
    with pytest.raises(ValueError, match='is for pairs: a.png has no degraded image'):
        RandomStrength()({'clean': coordinates(4, 4), 'path': 'a.png'})


def test_packing_makes_tensors_and_drops_auxiliary_keys():
    clean = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    degraded = np.rot90(255 - clean, 2)[:, ::-1]
    names = {'task': 'rainy', 'domain': 'target', 'path': 'folder/a.png'}
    packed = PackSample()(
        {
            **names,
            'key': (5, 6, 7),
            'rng': np.random.default_rng(0),
            'clean': clean,
            'degraded': degraded,
        }
    )
    assert packed.keys() == {*names, 'key', 'clean', 'degraded'}
    assert {name: packed[name] for name in names} == names
    assert packed['key'].dtype == torch.int64 and packed['key'].tolist() == [5, 6, 7]
    for name, image in (('clean', clean), ('degraded', degraded)):
        tensor = packed[name]
        assert tensor.dtype == torch.uint8 and tensor.is_contiguous()
        planes = [image[..., channel].tolist() for channel in range(3)]
        assert tensor.tolist() == planes


def test_packing_a_clean_image_alone():
    names = {'task': 'clean', 'domain': 'source', 'path': 'a.png'}
    packed = PackSample()({**names, 'key': (0, 0, 0), 'clean': coordinates(3, 2)})
    assert 'degraded' not in packed
    assert packed['clean'].tolist()[0] == [[0, 0], [1, 1], [2, 2]]
