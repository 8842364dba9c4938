"""Reads and checks a config, before anything is built of it."""

from dtir_mm.config.checking import check_config
from dtir_mm.config.reading import read_config

__all__ = ['check_config', 'read_config']
