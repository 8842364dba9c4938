"""Diffusion training paradigm for general image restoration (arXiv 2506.21722)."""
