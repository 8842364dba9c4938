"""Random numbers as a pure function of a key, the same in resumed and distributed runs."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def _words(key: tuple[int | str, ...]) -> list[int]:
    """Non-negative integers for ``numpy.random.SeedSequence``; strings enter by their CRC-32."""
    words = []
    for part in key:
        value = (
            zlib.crc32(part.encode('utf-8', 'surrogateescape'))
            if isinstance(part, str)
            else int(part)
        )
        if value < 0:
            raise ValueError(f'a random key takes strings and integers >= 0, got {part!r} in {key}')
        words.append(value)
    return words


def generator(*key: int | str) -> np.random.Generator:
    """A generator whose stream depends only on ``key``: ``generator(seed, it, slot, 'crop')``.

    Raises:
        ValueError: an integer of the key is negative.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(_words(key))))


def seed_of(*key: int | str) -> int:
    """A 63-bit seed for a ``torch.Generator``, the same on every machine."""
    return int(np.random.SeedSequence(_words(key)).generate_state(1, np.uint64)[0] >> 1)


def happens(probability: float, *key: int | str) -> bool:
    """A random decision with the given probability, which depends only on ``key``."""
    return generator(*key).random() < probability


@contextmanager
def seeded(device: torch.device, *key: int | str) -> Iterator[None]:
    """Inside, torch's global generator, which dropout uses, is seeded by ``key``."""
    devices = [device] if device.type == 'cuda' else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed_of(*key))
        yield
