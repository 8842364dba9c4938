"""Pairs that the degradation left unchanged."""

import pytest
import torch
from toy_networks import noisy_pairs

from dtir_mm.matching.pairs import changed_pairs


def test_unchanged_pairs_are_left_out():
    degraded, clean = noisy_pairs(0.3, count=6, size=8)
    kept = [1, 3, 4, 5]
    degraded[[0, 2]] = clean[[0, 2]]
    degraded[1] = clean[1]
    degraded[1, 2, 7, 7] += 1e-9  # one pixel is enough
    for image, expected in zip(changed_pairs(degraded, clean), (degraded, clean), strict=True):
        assert torch.equal(image, expected[kept])


def test_fewer_than_four_pairs_are_rejected():
    degraded, clean = noisy_pairs(0.3, count=6, size=8)
    degraded[[0, 2, 5]] = clean[[0, 2, 5]]
    with pytest.raises(ValueError, match='at least 4 pairs .* got 3 of 6'):
        changed_pairs(degraded, clean)
