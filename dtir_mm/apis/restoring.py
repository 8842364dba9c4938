"""Images in, images out: a restorer from a checkpoint alone, and what it makes of an image."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from torch import Tensor

from dtir_mm import trust
from dtir_mm.config import read_config
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
        ValueError: its config wants imports, names what is not registered, or what reads other
            files, and ``allow_imports`` is False; or it is a file of weights whose network is not
            known, or does not restore.
    """
    file = Path(checkpoint)
    if file.is_dir():
        file = latest_checkpoint(file)
    loaded = load_checkpoint(file)
    ours = bool(meta_of(loaded))
    if config is None and not ours:
        return _public_restorer(file, overrides)
    if config is not None:
        settings = read_config(config).to_dict()
        limit = nullcontext()
    else:
        settings = config_of(loaded, checkpoint)
        trust.import_if_allowed(settings, allow_imports, checkpoint)
        limit = in_proportion_to(file)
    model = _model_of(settings, config or checkpoint)
    if ours:  # else the config's own
        model['timesteps'] = timesteps_of(loaded)
    trusted = config is not None or allow_imports
    with limit, trust.building(model, 'model', checkpoint, trusted):
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


def _model_of(settings: dict[str, Any], source: str | Path) -> dict[str, Any]:
    model = settings.get('model')
    if not isinstance(model, dict):
        raise ValueError(
            f'the config in {source} must have a dict "model", got {type(model).__name__}'
        )
    return {**model}


def require_step(restorer: Restorer, t: int | None) -> None:
    """Raises ValueError where a time step is given and lies outside 1..T."""
    if t is not None and not 1 <= t <= restorer.schedule.num_steps:
        raise ValueError(f't={t} must lie in 1..{restorer.schedule.num_steps}')


def restore(restorer: Restorer, image: np.ndarray, t: int | None) -> np.ndarray:
    """One image, RGB uint8 (H, W, 3) of any size, restored in one pass.

    The time step is ``t``; None for the one that the restorer finds by its ``inference``.

    Raises:
        ValueError: ``t`` lies outside 1..T.
    """
    require_step(restorer, t)
    device = next(restorer.parameters()).device
    height, width = image.shape[:2]

    def part(top: int, bottom: int, left: int, right: int) -> Tensor:
        pixels = torch.from_numpy(image[top:bottom, left:right]).to(device)
        return restorer.from_uint8(pixels.permute(2, 0, 1)[None])

    if t is None:
        steps = restorer.find_steps(part(0, height, 0, width))
        if int(steps) == 0:  # taken for clean
            return image.copy()
    else:
        steps = torch.tensor([t], device=device)
    restored, top = np.empty_like(image), 0
    # Floating point numbers of a few rows at a time take much less than those of all.
    for rows in restorer.restored_rows(part, (height, width), steps):
        restored[top : top + rows.shape[-2]] = to_uint8(rows)[0]
        top += rows.shape[-2]
    return restored
