"""The page of ``dtir-mm demo``: a photograph is uploaded, restored, compared and downloaded."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dtir_mm.apis.restore_file import Settings, restore_file
from dtir_mm.apis.restore_plan import Job, Naming
from dtir_mm.apis.restoring import choose_step, prepared
from dtir_mm.image_file import ImageFile, write_image_file
from dtir_mm.image_io import pixel_count, read_image
from dtir_mm.models.restorers.blind_inference import UNSURE, Prediction
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.task_timesteps import BLIND, untrained_warning
from dtir_mm.models.restorers.tiling import DEFAULT_TILE
from dtir_mm.names import shown

if TYPE_CHECKING:
    import gradio

MAX_PIXELS = 50_000_000
"""Larger photographs are refused: the browser has to show two of them."""
NOUNS = {
    'noisy': 'noise', 'rainy': 'rain', 'jpeg': 'JPEG compression', 'snowy': 'snow',
    'inpainting': 'scratches', 'raindrop': 'raindrops', 'shadowed': 'shadow',
    'low_light': 'low light', 'hazy': 'haze', 'blurry': 'blur',
}  # fmt: skip
"""What the page calls our degradations; others go by their own name."""
_KEPT, _EVERY = 24 * 3600, 600  # seconds
_TEXT = """\
# Restore a photograph
Photographs stay on the computer that runs this page, and are deleted when it ends."""


@dataclass(frozen=True)
class Restored:
    """What the page gets.

    Attributes:
        images: the photograph and its result as PNG files that every browser shows.
        words: what was found, and notes.
        file: the result, as `dtir-mm restore` writes it.
    """

    images: tuple[Path, Path]
    words: str
    file: Path


def restored_in(
    folder: Path,
    restorer: Restorer,
    photo: Path,
    task: str | None,
    strength: float,
    progress: Callable[[int, int], None],
    tile: int | None = DEFAULT_TILE,
) -> Restored:
    """Restores a photograph, with the results in a folder.

    Args:
        folder: an empty folder.
        restorer: from ``load_restorer``.
        photo: an image file.
        task: the degradation; None for the one it was trained on, or the predicted one.
        strength: see ``restore_pixels``.
        progress: called with the numbers of rows that are done, and of all.
        tile: see ``dtir_mm.restore``.

    Raises:
        OSError, ValueError: the photograph cannot be read, restored or written, or has more than
            ``MAX_PIXELS``.
    """
    if (count := pixel_count(photo)) > MAX_PIXELS:
        raise ValueError(
            f'{shown(photo)} has {count:,} pixels, more than the {MAX_PIXELS:,} that this page '
            f'restores: use `dtir-mm restore`'
        )
    t = choose_step(restorer, task)
    job = Job(photo, folder / Naming().beside(photo).result.name, None, None)
    done = restore_file(
        prepared(restorer, t, tile, ensemble=False),
        job,
        Settings(task, t, strength),
        progress,
        overwrite=False,
    )
    images = folder / 'before.png', folder / 'after.png'
    for file, image in zip((photo, job.result), images, strict=True):
        write_image_file(image, ImageFile(read_image(file)))
    warning = untrained_warning('the model', restorer.trained_tasks, [task])
    notes = [*done.notes, warning] if warning else done.notes
    words = '\n'.join([in_words(done.found), *(f'Note: {note}' for note in notes)])
    return Restored(images, words, job.result)


def in_words(found: Prediction) -> str:
    """What was found, for the owner of a photograph."""
    sure = '' if found.probability is None else f' ({found.probability:.0%} probable)'
    if found.task == UNSURE and found.t:
        return 'The model is not sure which degradation this is, and restored it cautiously.'
    if found.task == UNSURE:
        return 'The model is not sure that the photograph is degraded: it is returned as it is.'
    if not found.t:
        return f'No degradation was found{sure}: the photograph is returned as it is.'
    if found.task is None:
        return 'Restored.'
    return f'Restored: {NOUNS.get(found.task, found.task)}{sure}'


def demo_page(restorer: Restorer, folder: Path, tile: int | None) -> 'gradio.Blocks':
    """The page on which photographs are restored.

    Args:
        restorer: from ``load_restorer``.
        folder: for results, which are deleted as soon as gradio has copied them.
        tile: see ``dtir_mm.restore``.
    """
    import gradio as gr

    with gr.Blocks(title='dtir_mm', delete_cache=(_EVERY, _KEPT)) as page:
        gr.Markdown(_TEXT)
        with gr.Row():
            with gr.Column():
                photo = gr.File(label='Photograph', file_types=['image'])
                choices = _choices(restorer)
                task = gr.Dropdown(
                    choices,
                    value='' if choices[0][1] == '' else None,  # else one has to be chosen
                    label='Degradation',
                    filterable=False,
                )
                strength = gr.Slider(
                    0, 1, value=1, step=0.05, label='Strength',
                    info='1 is the restored photograph, 0 the original',
                )  # fmt: skip
                button = gr.Button('Restore', variant='primary')
            with gr.Column():
                words = gr.Textbox(label='Result', interactive=False)
                images = gr.ImageSlider(
                    label='Before and after', interactive=False, buttons=['fullscreen']
                )
                file = gr.DownloadButton('Download', interactive=False)
        outputs = [words, images, file]
        button.click(
            _restoring(restorer, folder, tile),
            [photo, task, strength],
            outputs,
            show_progress_on=images,
        )
        for changed in (photo.change, task.input, strength.release):
            changed(_nothing, outputs=outputs)
    return page


def _choices(restorer: Restorer) -> list[tuple[str, str]]:
    """The degradations to choose from, as label and value; "" leaves the choice to the model."""
    tasks = [(NOUNS.get(task, task), task) for task in restorer.timesteps.by_task if task != BLIND]
    try:
        blind = choose_step(restorer) is None
    except ValueError:  # there are several, and nothing to predict them
        return tasks
    return [('predicted by the model' if blind else 'what the model was trained for', ''), *tasks]


def _restoring(
    restorer: Restorer, folder: Path, tile: int | None
) -> Callable[..., Iterator[tuple[Any, ...]]]:
    """What the button does."""
    import gradio as gr

    progress = gr.Progress()  # as a default value, gradio replaces it with that of a call

    def restore(
        photo: str | None, task: str | None, strength: float, bar: gr.Progress = progress
    ) -> Iterator[tuple[Any, ...]]:
        if photo is None:
            yield _nothing('Choose a photograph first.')
            return
        if task is None:
            yield _nothing('Choose the degradation first: this model does not predict it.')
            return
        bar(0, desc='Restoring')
        with TemporaryDirectory(dir=folder) as results:
            try:
                restored = restored_in(
                    Path(results), restorer, Path(photo), task or None, strength,
                    lambda rows, of: bar((rows, of), desc='Restoring', unit='rows'), tile,
                )  # fmt: skip
            except (OSError, ValueError) as error:
                # The folder in which the page keeps its files means nothing to its users.
                yield _nothing(str(error).replace(f'{Path(photo).parent}{os.sep}', ''))
            else:
                download = gr.DownloadButton(value=restored.file, interactive=True)
                yield restored.words, restored.images, download

    return restore


def _nothing(words: str = '') -> tuple[Any, ...]:
    """What the page shows without a result."""
    import gradio as gr

    return words, None, gr.DownloadButton(value=None, interactive=False)
