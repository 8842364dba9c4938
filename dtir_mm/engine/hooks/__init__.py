"""Hooks of the training loop."""

from dtir_mm.engine.hooks.checkpoint_hook import RestorationCheckpointHook

__all__ = ['RestorationCheckpointHook']
