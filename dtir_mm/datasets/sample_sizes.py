"""Sizes of the samples of a data set, from file headers, without decoding."""

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

# These keep the size of a sample; quarter turns need squares.
_KEEP_SIZE = (Degradation, PackSample, RandomFlip, RandomFlipTurn)


class Extent(NamedTuple):
    """What is known about a sample without decoding it.

    Args:
        file: the degraded or only image; None for an unknown type of data set.
        size: height and width in pixels after the pipeline; None if unknown.
    """

    file: Path | None
    size: tuple[int, int] | None


def sample_extents(dataset: Dataset) -> list[Extent]:
    """The extents of all samples of a data set, in order."""
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
    of_file = cache(image_size)  # several samples may come from one file
    extents = []
    for file, shrink in _files(dataset):
        size = patch if patch or file is None else of_file(file)
        if size and not patch and shrink != 1:
            size = max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))
        extents.append(Extent(file, size if known else None))
    return extents


def image_size(file: Path) -> tuple[int, int] | None:
    """Height and width as ``read_image`` returns them; None if the header is broken."""
    try:
        with Image.open(file) as image:
            # The override for PNG files would decode the whole image.
            turned = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
            return image.size if turned in (5, 6, 7, 8) else image.size[::-1]
    except Exception:  # reading the file will report the error
        return None


def _files(dataset: RestorationDataset) -> Iterator[tuple[Path | None, float]]:
    """The file of each sample and its shrink factor."""
    if isinstance(dataset, PairedFolderDataset):
        yield from ((degraded, 1) for degraded, _ in dataset.pairs)
    elif isinstance(dataset, DegradedPhotosDataset):
        yield from ((file, dataset.shrink) for _, file, _ in dataset.pairs)
    elif isinstance(dataset, CleanPhotosDataset):
        yield from ((file, dataset.shrink) for file in dataset.files)
    else:
        yield from [(None, 1)] * len(dataset)
