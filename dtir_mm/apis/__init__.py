"""Functions for users of trained restorers."""

from dtir_mm.apis.loading import load_restorer
from dtir_mm.apis.matching import match_timesteps
from dtir_mm.apis.restore_image import restore
from dtir_mm.apis.restoring import restore_pixels

__all__ = ['load_restorer', 'match_timesteps', 'restore', 'restore_pixels']
