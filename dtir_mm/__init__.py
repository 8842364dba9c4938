"""Diffusion training paradigm for general image restoration (arXiv 2506.21722)."""

from dtir_mm.compat import check_versions

__version__ = '0.2.0'

check_versions()
