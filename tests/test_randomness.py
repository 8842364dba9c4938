"""Random numbers depend only on the whole key."""

import zlib

import numpy as np
import pytest
import torch

from dtir_mm.randomness import generator, happens, seed_of, seeded

# The kinds of keys that the library uses; those of one kind have one length.
KEYS = [
    *((seed, iteration, 'order') for seed in range(3) for iteration in range(3)),
    *((seed, 5, slot, 'sample') for seed in range(3) for slot in range(3)),
    *((0, task, 'source', stem, 0) for task in ('rainy', 'noisy') for stem in ('a', 'b', '0001')),
    *((0, 'rainy', 'target', 'a', draw) for draw in range(3)),
]


def test_values_are_numpys_of_the_documented_key():
    words = [3, 7, zlib.crc32(b'crop')]
    expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence(words))).random(4)
    np.testing.assert_array_equal(generator(3, 7, 'crop').random(4), expected)


def test_the_stream_never_changes_between_versions():
    # Test sets are drawn with it: another value here is another test set.
    assert generator(0, 'crop').integers(0, 1000, 5).tolist() == [40, 342, 837, 771, 6]
    assert seed_of(0, 'noise') == 8372154264372198063


def test_a_stream_does_not_depend_on_what_was_drawn_before():
    expected = generator(1, 'a').random(3)
    np.random.seed(5)
    generator(2).random(100)
    np.random.random(7)
    np.testing.assert_array_equal(generator(1, 'a').random(3), expected)


def test_different_keys_give_different_streams():
    draws = {tuple(generator(*key).integers(0, 2**32, 4)) for key in KEYS}
    assert len(draws) == len(KEYS)
    assert len({seed_of(*key) for key in KEYS}) == len(KEYS)


def test_numpy_integers_count_as_integers():
    assert seed_of(np.int64(4), 'x') == seed_of(4, 'x')


@pytest.mark.parametrize('key', [(0, 'noise'), (2**40,), tuple(range(50))])
def test_seeds_fit_a_torch_generator(key):
    seed = seed_of(*key)
    assert 0 <= seed < 2**63
    torch.Generator().manual_seed(seed)


@pytest.mark.parametrize('function', [generator, seed_of])
def test_negative_integers_are_rejected(function):
    with pytest.raises(ValueError, match=r'integers >= 0, got -1 in \(0, -1\)'):
        function(0, -1)


@pytest.mark.parametrize('probability', [0.0, 0.1, 0.5, 1.0])
def test_events_happen_with_their_probability(probability):
    """Within four deviations; a key's event also happens at any higher probability."""
    keys = [(3, iteration, 'mix') for iteration in range(4000)]
    events = [happens(probability, *key) for key in keys]
    slack = 4 * (4000 * probability * (1 - probability)) ** 0.5
    assert abs(sum(events) - 4000 * probability) <= slack
    assert events == [generator(*key).random() < probability for key in keys]
    likelier = [happens(min(1, 2 * probability), *key) for key in keys]
    assert all(b for a, b in zip(events, likelier, strict=True) if a)


def test_seeded_draws_depend_only_on_the_key():
    """They do not change the global generator, even if the code that draws fails."""
    cpu = torch.device('cpu')
    state = torch.get_rng_state()
    with seeded(cpu, 4, 'dropout'):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(seed_of(4, 'dropout')))
    assert torch.equal(first, expected)
    torch.manual_seed(9)
    with pytest.raises(RuntimeError, match='on the way'), seeded(cpu, 4, 'dropout'):
        assert torch.equal(torch.rand(3), first)
        raise RuntimeError('on the way')
    with seeded(cpu, 5, 'dropout'):
        assert not torch.equal(torch.rand(3), first)
    assert torch.initial_seed() == 9
