"""Restores one image file, with everything else that it holds."""

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from dtir_mm.apis.restore_plan import Job
from dtir_mm.apis.restoring import find, restore_pixels
from dtir_mm.apis.tile_note import tile_note
from dtir_mm.files import replacing
from dtir_mm.image_file import ImageFile, format_of, read_image_file, write_image_file
from dtir_mm.models.restorers.blind_inference import Prediction
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.names import shown


@dataclass(frozen=True)
class Settings:
    """How image files are restored.

    Attributes:
        task: the degradation, if it is given.
        t: the time step; None to predict it for each image.
        strength: see ``restore_pixels``.
        precision: see ``restore_pixels``.
        max_pixels: larger images are refused; None for the default limit.
    """

    task: str | None = None
    t: int | None = None
    strength: float = 1.0
    precision: str = 'auto'
    max_pixels: int | None = None


@dataclass(frozen=True)
class RestoredImage:
    """What ``restore_file`` did.

    Attributes:
        size: width and height in pixels.
        found: the degradation.
        seconds: the time that it took.
        notes: what the result does not keep of the file, and on its tiles.
    """

    size: tuple[int, int]
    found: Prediction
    seconds: float
    notes: list[str]

    @property
    def entry(self) -> dict[str, Any]:
        """The same as plain data, for a record."""
        return {
            'size': list(self.size),
            **asdict(self.found),
            'seconds': round(self.seconds, 3),
            'notes': self.notes,
        }


def restore_file(
    restorer: Restorer,
    job: Job,
    settings: Settings,
    progress: Callable[[int, int], None],
    overwrite: bool,
) -> RestoredImage:
    """Restores an image file and writes the result.

    A clean image is copied byte for byte if its format stays.

    Args:
        restorer: from ``load_restorer``.
        job: the files.
        settings: how to restore.
        progress: called with the numbers of rows that are done, and of all.
        overwrite: whether files that exist are replaced.

    Raises:
        ExistsByNowError: a file to write exists, and ``overwrite`` is False.
        OSError, ValueError: the image cannot be read, restored or written; the message names it.
    """
    started = time.perf_counter()
    image = read_image_file(job.source, settings.max_pixels)
    height, width = image.pixels.shape[:2]
    try:
        found = find(restorer, image.pixels, settings.t, settings.task)
        restored = restore_pixels(
            restorer,
            image.pixels,
            found.t,
            settings.strength,
            settings.precision,
            lambda rows: progress(rows, height),
        )
    except (ArithmeticError, MemoryError, RuntimeError, ValueError) as error:
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise ValueError(f'{shown(job.source)} cannot be restored: {reason}') from error
    notes = list(image.notes)
    if found.t and (note := tile_note(restorer, (height, width), found.t)):
        notes.append(note)
    if found.t == 0 and format_of(job.result.suffix) == format_of(job.source.suffix):
        # Writing it again would change a JPEG.
        with replacing(job.result, new=not overwrite) as temporary:
            shutil.copyfile(job.source, temporary)
        notes = []
    else:
        notes += write_image_file(job.result, replace(image, pixels=restored), not overwrite)
    # After the result, by which --skip-existing decides.
    if job.comparison is not None:
        write_image_file(job.comparison, _side_by_side(image, restored), not overwrite)
    return RestoredImage((width, height), found, time.perf_counter() - started, notes)


def _side_by_side(image: ImageFile, restored: np.ndarray) -> ImageFile:
    """The image, and the restored one to its right."""
    alpha = None if image.alpha is None else np.hstack([image.alpha, image.alpha])
    return replace(image, pixels=np.hstack([image.pixels, restored]), alpha=alpha)
