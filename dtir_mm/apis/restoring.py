"""Images in, images out: a restorer from a checkpoint alone, and what it makes of an image."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.utils import import_modules_from_strings

from dtir_mm.engine.checkpoint import (
    config_of,
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    timesteps_of,
)
from dtir_mm.engine.checkpoint_meta import meta_of
from dtir_mm.memory_limit import in_proportion_to
from dtir_mm.models.preprocessor import to_uint8
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import MODELS


def load_restorer(
    checkpoint: str | Path,
    config: str | Path | None = None,
    allow_imports: bool = False,
    **overrides: Any,
) -> Restorer:
    """The restorer of a checkpoint (or of the newest in a directory), ready to restore.

    A public file of weights (``PublicNetwork``) needs no config: architecture and sizes come out of
    it, and ``x_hat = net(y)`` at every time step.

    Args:
        checkpoint: the file or work directory.
        config: config file to build from; None for the config that the checkpoint carries. Time
            steps are the checkpoint's, where it has any.
        allow_imports: import the modules that the checkpoint's own config names under
            ``custom_imports``: code from wherever the checkpoint came from.
        overrides: keys of the config's ``model`` to replace, e.g. ``tile=512``.

    Raises:
        CheckpointError: it cannot be read, is of another architecture, or carries no config.
        ValueError: its config wants imports and ``allow_imports`` is False; or it is a file of
            weights whose network is not known, or does not restore.
    """
    file = Path(checkpoint)
    if file.is_dir():
        file = latest_checkpoint(file)
    loaded = load_checkpoint(file)
    ours = bool(meta_of(loaded))
    if config is None and not ours:
        return _public_restorer(file, overrides)
    if config is not None:
        settings = Config.fromfile(config).to_dict()
        limit = nullcontext()
    else:
        settings = config_of(loaded)
        _import_modules(settings, allow_imports, checkpoint)
        limit = in_proportion_to(file)
    model = {**settings['model']}
    if ours:  # else the config's own
        model['timesteps'] = timesteps_of(loaded)
    with limit:
        restorer = MODELS.build({**model, **overrides})
    load_weights(restorer, loaded, str(checkpoint))
    return restorer.to(get_device()).eval()


def _public_restorer(file: Path, overrides: dict[str, Any]) -> Restorer:
    """The restorer that does what the network in a public file of weights does."""
    network = {'type': 'PublicNetwork', 'file': str(file)}
    model = {
        'type': 'Restorer',
        'backbone': {'type': 'ConditionedBackbone', 'backbone': network},
        'head': {'type': 'NoiseHead', 'residual_scale': 'one'},
        'timesteps': 'fixed:1',  # before any training time has no effect
    }
    return MODELS.build({**model, **overrides}).to(get_device()).eval()


def _import_modules(settings: dict[str, Any], allowed: bool, checkpoint: str | Path) -> None:
    modules = (settings.get('custom_imports') or {}).get('imports', [])
    if not modules:
        return
    if not allowed:
        raise ValueError(
            f'the config in {checkpoint} wants to import {modules}. Allow it (--allow-imports) if '
            f'you trust its source, or name your own config (--config)'
        )
    import_modules_from_strings(modules)


def restore(restorer: Restorer, image: np.ndarray, t: int | None) -> np.ndarray:
    """One image, RGB uint8 (H, W, 3) of any size, restored in one pass.

    The time step is ``t``; None for the one that the restorer finds by its ``inference``.

    Raises:
        ValueError: ``t`` lies outside 1..T.
    """
    if t is not None and not 1 <= t <= restorer.schedule.num_steps:
        raise ValueError(f't={t} must lie in 1..{restorer.schedule.num_steps}')
    device = next(restorer.parameters()).device
    degraded = restorer.from_uint8(torch.from_numpy(image).to(device).permute(2, 0, 1)[None])
    steps = restorer.find_steps(degraded) if t is None else torch.tensor([t], device=device)
    return to_uint8(restorer.restore_images(degraded, steps))[0]
