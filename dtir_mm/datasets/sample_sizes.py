"""How large the samples of a data set are, from the headers of their files: nothing is decoded."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import ExifTags, Image
from torch.utils.data import ConcatDataset, Dataset

from dtir_mm.datasets.base_dataset import RestorationDataset
from dtir_mm.datasets.degradations.base import Degradation
from dtir_mm.datasets.paired_folder import PairedFolderDataset
from dtir_mm.datasets.photos import CleanPhotosDataset, DegradedPhotosDataset
from dtir_mm.datasets.transforms import PackSample, RandomFlip, RandomFlipTurn, RandomPatch

# Of these a sample keeps its size; turns are of squares.
_KEEP_SIZE = (Degradation, PackSample, RandomFlip, RandomFlipTurn)


class Extent(NamedTuple):
    """What is known of a sample without reading it.

    Args:
        file: of its degraded image, or its only one; None for a data set that is not of ours.
        size: height and width in pixels behind the pipeline; None where they are not known.
    """

    file: Path | None
    size: tuple[int, int] | None


def sample_extents(dataset: Dataset) -> list[Extent]:
    """What is known of every sample of a data set, in order."""
    if isinstance(dataset, ConcatDataset):
        return [extent for part in dataset.datasets for extent in sample_extents(part)]
    if not isinstance(dataset, RestorationDataset):
        return [Extent(None, None)] * len(dataset)  # type: ignore[arg-type] # torch's has no len
    patch, known = None, True
    for step in dataset.pipeline:
        if isinstance(step, RandomPatch):
            patch = (step.size, step.size)
        elif not isinstance(step, _KEEP_SIZE):
            known = False
    of_file = cache(image_size)  # several samples may be made of one file
    extents = []
    for file, shrink in _files(dataset):
        size = patch if patch or file is None else of_file(file)
        if size and not patch and shrink != 1:
            height, width = (max(1, round(side * shrink)) for side in size)
            size = height, width
        extents.append(Extent(file, size if known else None))
    return extents


def image_size(file: Path) -> tuple[int, int] | None:
    """Height and width of an image as ``read_image`` gives it; None where its header is broken."""
    try:
        with Image.open(file) as image:
            # That of PNG files would decode all of the image, to look behind it.
            turned = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
            return image.size if turned in (5, 6, 7, 8) else image.size[::-1]
    except Exception:  # whoever reads the file says what is wrong with it
        return None


def _files(dataset: RestorationDataset) -> Iterator[tuple[Path | None, float]]:
    """The file of each sample, and what it is shrunk by."""
    if isinstance(dataset, PairedFolderDataset):
        yield from ((degraded, 1) for degraded, _ in dataset.pairs)
    elif isinstance(dataset, DegradedPhotosDataset):
        yield from ((file, dataset.shrink) for _, file, _ in dataset.pairs)
    elif isinstance(dataset, CleanPhotosDataset):
        yield from ((file, dataset.shrink) for file in dataset.files)
    else:
        yield from [(None, 1)] * len(dataset)
