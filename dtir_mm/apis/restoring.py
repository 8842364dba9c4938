"""Restores images with a trained restorer: arrays in, arrays out."""

import copy
from collections.abc import Callable
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor

from dtir_mm.apis.deployed_restorer import DeployedBackbone
from dtir_mm.apis.freed_memory import freed_memory_kept
from dtir_mm.models.restorers.blind_inference import UNSURE, Prediction
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.task_timesteps import BLIND, CLEAN
from dtir_mm.typos import hint

PRECISIONS = ('auto', 'fp32', 'bf16')
_WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
_TORCH = {np.dtype(np.uint8): torch.uint8, np.dtype(np.uint16): torch.uint16}


def require_step(restorer: Restorer, t: int | None) -> None:
    """Raises ValueError if a time step is given and is not a whole number in 1..T."""
    if t is not None and not (isinstance(t, Integral) and 1 <= t <= restorer.schedule.num_steps):
        raise ValueError(f't={t!r} must be a whole number in 1..{restorer.schedule.num_steps}')


def restore_pixels(
    restorer: Restorer,
    image: np.ndarray,
    t: int | None = None,
    strength: float = 1.0,
    precision: str = 'fp32',
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """One image of any size, restored in one pass.

    Args:
        restorer: see ``load_restorer``.
        image: RGB (H, W, 3), or grey (H, W, 1), which the network sees as RGB; uint8, uint16, or
            floating point in [0, 1].
        t: time step; 0 for a clean image, which is copied; None for the step that the restorer
            chooses by its ``inference``.
        strength: weight of the restored image in the result, in [0, 1]; the rest is the input.
        precision: one of ``PRECISIONS``; "auto" is bf16 on GPUs that compute in it, else fp32.
        progress: called with the number of rows that are done.

    Returns:
        an array of the same shape and type; of grey images the mean of the three channels.

    Raises:
        ValueError: ``t`` is not in 0..T, ``strength`` not in [0, 1], or the precision is unknown.
    """
    if not (isinstance(strength, Real) and 0 <= strength <= 1):
        raise ValueError(f'strength={strength!r} must be a number in [0, 1]')
    if t is None:
        t = find(restorer, image, None).t
    if t == 0 or strength == 0:
        return image.copy()
    require_step(restorer, t)
    device = next(restorer.parameters()).device
    bf16 = resolved(precision, device) == 'bf16'
    restored, top = np.empty(image.shape, image.dtype), 0
    part, step = _reader(restorer, image), torch.tensor([t], device=device)
    # A few rows at a time: the whole image in floating point takes much more memory.
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
    with autocast, freed_memory_kept():
        for rows in restorer.restored_rows(part, image.shape[:2], step):
            bottom = top + rows.shape[-2]
            restored[top:bottom] = _converted(rows[0], image[top:bottom], strength)
            top = bottom
            if progress is not None:
                progress(top)
    return restored


def choose_step(restorer: Restorer, task: str | None = None, t: int | None = None) -> int | None:
    """The time step for images: ``t``, that of ``task``, or of the only task it was trained on.

    Returns:
        None if neither is given and the restorer can predict the degradation of each image.

    Raises:
        KeyError: the task has no time step.
        ValueError: ``t`` is not in 1..T, none is given and there are several tasks, or a deployed
            network has another step.
    """
    if isinstance(restorer.backbone, DeployedBackbone):
        restorer.backbone.require(task, t)
        return restorer.backbone.t
    require_step(restorer, t)
    if t is not None:
        return t
    if task is not None:
        return _step_of(restorer, task)
    if restorer.classifier is not None:
        return None
    if restorer.timesteps.fixed is not None:
        return restorer.timesteps.fixed
    tasks = list(restorer.trained_tasks or restorer.timesteps.by_task)
    tasks = [task for task in tasks if task != BLIND] or tasks
    if len(tasks) == 1:
        return restorer.timesteps[tasks[0]]
    raise ValueError(
        f'this checkpoint knows {len(tasks)} tasks ({", ".join(tasks)}): name one with --task'
    )


def _step_of(restorer: Restorer, task: str) -> int:
    timesteps = restorer.timesteps
    if not isinstance(task, str):
        raise ValueError(f'task={task!r} must be the name of a degradation')
    if timesteps.by_task and task not in timesteps:
        known = [CLEAN, *(name for name in timesteps.by_task if name != BLIND)]
        raise KeyError(
            f'unknown task {task!r}: this checkpoint knows {", ".join(known)}{hint(task, known)}'
        )
    return timesteps[task]


def find(
    restorer: Restorer, image: np.ndarray, t: int | None, task: str | None = None
) -> Prediction:
    """The degradation of an image and its time step: those given, or what is predicted.

    ``image`` is as for ``restore_pixels``.
    """
    if t is not None:
        return Prediction(task, None, t)
    size = (image.shape[0], image.shape[1])
    return restorer.find_predictions(_reader(restorer, image), size)[0]


def in_words(found: Prediction) -> str:
    """What was found, and what is done about it."""
    sure = '' if found.probability is None else f'{found.probability:.0%}'
    if found.task == UNSURE:
        then = f't = {found.t}' if found.t else 'it may be clean, and is returned as it is'
        return f'not sure: no degradation is more than {sure} probable; {then}'
    step = f't = {found.t}' if found.t else 'returned as it is'
    if found.task is None:
        return step
    return f'{found.task}{f" ({sure})" if sure else ""}, {step}'


def prepared(restorer: Restorer, t: int | None, tile: int | None, ensemble: bool) -> Restorer:
    """The restorer with other settings, and with prediction if ``t`` is None.

    The weights are shared, and the original stays unchanged. Raises ValueError for a tile
    that is not a whole number of at least 2 pixels.
    """
    if tile is not None and not (isinstance(tile, Integral) and tile >= 2):
        raise ValueError(
            f'tile={tile!r} must be a whole number of at least 2 pixels, or None for no tiles'
        )
    changed = copy.copy(restorer)
    changed.tile, changed.ensemble = tile, ensemble
    if tile is not None:  # a larger overlap would make tiles advance by less than half a tile
        changed.tile_overlap = min(changed.tile_overlap, tile // 2)
    if t is None:
        changed.set_inference('predict')
    return changed


def checked_device(name: str) -> torch.device:
    """The device of that name; ValueError if there is none that computes values."""
    try:
        made = torch.empty(1, device=name)
        made.cpu()  # fails on "meta", whose tensors have no values
        return made.device
    except (AssertionError, RuntimeError) as error:
        reason = str(error).partition('\n')[0]
        raise ValueError(f'the device {name!r} cannot be used: {reason}') from error


def resolved(precision: str, device: torch.device) -> str:
    """The precision, with "auto" resolved; ValueError if it is not one of ``PRECISIONS``.

    On CPUs "auto" is fp32: without special instructions bf16 is many times slower there.
    """
    if precision not in PRECISIONS:
        raise ValueError(f'precision={precision!r} must be one of {", ".join(PRECISIONS)}')
    if precision != 'auto':
        return precision
    on_gpu = device.type == 'cuda' and torch.cuda.is_bf16_supported(including_emulation=False)
    return 'bf16' if on_gpu else 'fp32'


def _reader(restorer: Restorer, image: np.ndarray) -> Callable[[int, int, int, int], Tensor]:
    """Gives parts of an image, (1, 3, h, w) in the restorer's range."""
    device = next(restorer.parameters()).device
    per_level = _WHITE.get(image.dtype, 1) / 255

    def part(top: int, bottom: int, left: int, right: int) -> Tensor:
        pixels = torch.from_numpy(image[top:bottom, left:right].astype(np.float32)).to(device)
        planes = pixels.permute(2, 0, 1)[None].expand(-1, 3, -1, -1)
        return restorer.from_uint8(planes / per_level)

    return part


def _converted(rows: Tensor, original: np.ndarray, strength: float) -> np.ndarray:
    """Restored rows (3, h, W) in [0, 1], blended with the original and in its shape and type."""
    restored = rows.permute(1, 2, 0)
    if original.shape[2] == 1:
        restored = restored.mean(2, keepdim=True)
    restored = restored * _WHITE.get(original.dtype, 1)
    if strength < 1:
        before = torch.from_numpy(original.astype(np.float32)).to(restored)
        restored = before.lerp(restored, strength)
    if original.dtype in _TORCH:
        restored = restored.round().to(_TORCH[original.dtype])
    return restored.cpu().numpy()
