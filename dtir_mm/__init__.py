"""Diffusion training paradigm for general image restoration (arXiv 2506.21722)."""

from typing import Any

__version__ = '0.2.0'


def __getattr__(name: str) -> Any:
    """``restore`` and ``match_timesteps``, imported on first use to keep the import quick."""
    if name in ('match_timesteps', 'restore'):
        from dtir_mm import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
