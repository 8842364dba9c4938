"""Diffusion training paradigm for general image restoration (arXiv 2506.21722)."""

from typing import Any

__version__ = '0.2.0'


def __getattr__(name: str) -> Any:
    """``match_timesteps``, imported on first use so that ``import dtir_mm`` stays quick."""
    if name == 'match_timesteps':
        from dtir_mm.apis import match_timesteps

        return match_timesteps
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
