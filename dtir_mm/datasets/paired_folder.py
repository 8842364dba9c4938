"""Pairs in two folders, matched by file stem."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dtir_mm.datasets.base_dataset import RestorationDataset
from dtir_mm.datasets.image_folders import list_images
from dtir_mm.names import pair_stem, shown
from dtir_mm.registry import DATASETS


@DATASETS.register_module()
class PairedFolderDataset(RestorationDataset):
    """Pairs ``degraded/<stem>.*`` with ``clean/<stem>.*``.

    Args:
        degraded: folder of the degraded images.
        clean: folder of the ground-truth images.
        task: name of the degradation: one of the ten tasks, or any other.
        pipeline: see ``RestorationDataset``.
        domain: "source" for the kind of data trained on, "target" for unseen data.
        cache: see ``RestorationDataset``.
        decoded: see ``RestorationDataset``.

    Raises:
        FileNotFoundError: a folder is missing or empty, or a file has no partner.
        ValueError: two files in a folder have the same stem or, on reading, the images of a pair
            differ in size.
    """

    def __init__(
        self,
        degraded: str,
        clean: str,
        task: str,
        pipeline: Sequence[dict],
        domain: str = 'source',
        cache: bool = False,
        decoded: str | None = None,
    ) -> None:
        super().__init__(pipeline, cache, decoded)
        self.task = task
        self.domain = domain
        degraded_files, clean_files = _by_stem(degraded), _by_stem(clean)
        for folder, lonely in (
            (clean, degraded_files.keys() - clean_files.keys()),
            (degraded, clean_files.keys() - degraded_files.keys()),
        ):
            if lonely:
                names = sorted(lonely)
                raise FileNotFoundError(
                    f'{len(names)} image(s) have no partner in {folder}: no file there has the '
                    f'stem {", ".join(map(repr, names[:5]))}{" ..." if len(names) > 5 else ""}'
                )
        self.pairs = [(file, clean_files[stem]) for stem, file in degraded_files.items()]

    @property
    def tasks(self) -> list[str]:
        """The one task."""
        return [self.task]

    @property
    def groups(self) -> list[tuple[str, str]]:
        """See ``RestorationDataset``."""
        return [(self.task, self.domain)]

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, index: int) -> dict[str, Any]:
        """See ``RestorationDataset``."""
        degraded_file, clean_file = self.pairs[index]
        degraded, clean = self._read_image(degraded_file), self._read_image(clean_file)
        if degraded.shape != clean.shape:
            raise ValueError(
                f'the images of a pair differ in size (height x width): {degraded_file} is '
                f'{degraded.shape[0]} x {degraded.shape[1]}, {clean_file} is '
                f'{clean.shape[0]} x {clean.shape[1]}'
            )
        return {
            'clean': clean,
            'degraded': degraded,
            'task': self.task,
            'domain': self.domain,
            'path': str(degraded_file),
        }


def _by_stem(folder: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for file in list_images(folder):
        stem = pair_stem(file)
        if stem in files:
            raise ValueError(
                f'two images with the same stem: {shown(files[stem])} and {shown(file)}'
            )
        files[stem] = file
    return files
