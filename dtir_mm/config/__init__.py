"""Reads and checks configs, before anything is built from them."""

from dtir_mm.config.checking import check_config, require_parts
from dtir_mm.config.reading import override_config, read_config

__all__ = ['check_config', 'override_config', 'read_config', 'require_parts']
