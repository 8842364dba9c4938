"""Functions for users of trained restorers."""

from dtir_mm.apis.restoring import load_restorer, restore

__all__ = ['load_restorer', 'restore']
