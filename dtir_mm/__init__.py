"""Diffusion training paradigm for general image restoration (arXiv 2506.21722)."""

from typing import Any

__version__ = '0.2.0'
__all__ = ['match_timesteps', 'restore']


def __getattr__(name: str) -> Any:
    """The names of ``__all__``, imported on first use to keep the import quick."""
    if name in __all__:
        from dtir_mm import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
