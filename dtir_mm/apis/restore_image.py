"""``dtir_mm.restore``: one image, in three lines of Python."""

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from PIL import Image

from dtir_mm.apis.loading import load_with_warning
from dtir_mm.apis.pixels import Pixels
from dtir_mm.apis.restoring import (
    checked_device,
    choose_step,
    find,
    in_words,
    prepared,
    restore_pixels,
)
from dtir_mm.engine.checkpoint import checkpoints_in
from dtir_mm.image_file import of_pillow, read_image_file
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.task_timesteps import untrained_warning
from dtir_mm.models.restorers.tiling import DEFAULT_TILE
from dtir_mm.names import shown
from dtir_mm.released_model import released_model

_DEPTH = (
    'PIL has no colour images of 16 bits, so the result has the upper 8: pass an array, or use '
    '`dtir-mm restore`, to keep all 16'
)


def restore(
    image: str | Path | np.ndarray | Image.Image,
    checkpoint: str | Path | Restorer | None = None,
    *,
    task: str | None = None,
    t: int | None = None,
    strength: float = 1.0,
    ensemble: bool = False,
    tile: int | None = DEFAULT_TILE,
    device: str | None = None,
    precision: str = 'auto',
) -> np.ndarray | Image.Image:
    """Restores an image; a predicted degradation, and a task that is new to it, are logged.

    Args:
        image: the path of an image; a PIL image; or an array (H, W) or (H, W, C), C in 1..4: grey,
            grey and alpha, RGB (OpenCV reads BGR), or RGB and alpha, of type uint8, uint16, or
            floating point in [0, 1]. Alpha is kept.
        checkpoint: a checkpoint, work directory, deployed network or file of public weights, which
            stays loaded for the next call; or a ``Restorer``. None for the released model.
        task: the degradation; None for the one it was trained on, or the predicted one.
        t: time step to use instead of the task's.
        strength: weight of the restored image in the result, in [0, 1]; the rest is the input.
        ensemble: average over an image and its three flips, at four times the cost.
        tile: largest side in pixels of the tiles that images are split into; None for no tiles.
        device: such as "cuda:1"; None for the first GPU if there is one, or that of the
            ``Restorer``.
        precision: "fp32", "bf16", or "auto": bf16 on GPUs, else fp32.

    Returns:
        for an array, one of the same shape and type; for a PIL image or a path, a PIL image of mode
        L, LA, RGB, RGBA or I;16, with the orientation applied and the metadata in ``info``. PIL
        has no colour images of 16 bits: those of a path become 8 bits (``dtir-mm restore`` keeps
        all 16). ``save`` writes EXIF only if it is given: ``exif=result.info.get('exif', b'')``.

    Raises:
        CheckpointError, FileNotFoundError: a file is missing or cannot be read.
        KeyError, ValueError: the task is unknown, there are several and none is given, or an
            argument or the image is invalid.
        TypeError: the image is of another type.
    """
    if type(ensemble) is not bool:
        raise ValueError(f'ensemble={ensemble!r} must be True or False')
    pixels, info = _pixels_and_info(image)
    restorer = _restorer(checkpoint, device)
    step = choose_step(restorer, task, t)
    if warning := untrained_warning('the network', restorer.trained_tasks, [task]):
        print_log(warning, 'current', logging.WARNING)
    restorer = prepared(restorer, step, tile, ensemble)
    found = find(restorer, pixels.colours, step, task)
    if step is None:
        print_log(f'degradation: {in_words(found)}', 'current', logging.INFO)
    restored = restore_pixels(restorer, pixels.colours, found.t, strength, precision)
    result = pixels._replace(colours=restored)
    if isinstance(image, np.ndarray):
        return result.joined().reshape(image.shape).astype(image.dtype, copy=False)
    made = result.to_pil()
    made.info = {k: v for k, v in info.items() if k != 'transparency' and v is not None}
    return made


def _pixels_and_info(image: str | Path | np.ndarray | Image.Image) -> tuple[Pixels, dict[Any, Any]]:
    """The image, and what ``info`` of a PIL image of its result holds."""
    if isinstance(image, np.ndarray):
        return Pixels.of_array(image), {}
    if isinstance(image, Image.Image):
        file, info, name = of_pillow(image), image.info, 'the PIL image'
    elif isinstance(image, str | Path):
        file, name = read_image_file(image), shown(image)
        info = {'comment': file.metadata.comment, **dict(file.metadata.texts)}
    else:
        raise TypeError(_wrong_type(image))
    for note in file.notes:
        print_log(f'{name}: {note}', 'current', logging.INFO)
    pixels = Pixels(file.pixels, file.alpha)
    if pixels.is_deep_colour:
        print_log(f'{name}: {_DEPTH}', 'current', logging.WARNING)
    kept = ('icc_profile', 'exif', 'xmp', 'dpi')
    return pixels, info | {key: getattr(file.metadata, key) for key in kept}


def _restorer(checkpoint: str | Path | Restorer | None, device: str | None) -> Restorer:
    if isinstance(checkpoint, Restorer):
        return checkpoint if device is None else checkpoint.to(checked_device(device))
    path = Path(checkpoint or released_model())
    files = checkpoints_in(path) or [path]
    changed = files[-1].stat().st_mtime_ns if files[-1].exists() else None
    return _loaded(path, changed, device)


@lru_cache(maxsize=2)
def _loaded(path: Path, changed: int | None, device: str | None) -> Restorer:
    """A restorer that stays loaded until its file changes."""
    restorer, warning = load_with_warning(path)
    if warning:
        print_log(warning, 'current', logging.WARNING)
    return restorer if device is None else restorer.to(checked_device(device))


def _wrong_type(image: object) -> str:
    kind = type(image)
    accepted = 'a path, a PIL image or a numpy array (H, W, C)'
    if isinstance(image, Restorer):
        return f'the image comes first: dtir_mm.restore(image, restorer); an image is {accepted}'
    if isinstance(image, torch.Tensor):
        return f'image is a tensor: pass {accepted}, such as tensor.permute(1, 2, 0).cpu().numpy()'
    return f'image is of type {kind.__module__}.{kind.__qualname__}: pass {accepted}'
