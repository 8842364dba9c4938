"""Saves comparison images of a test."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from dtir_mm.analysis.comparison_strip import comparison_strip
from dtir_mm.image_io import save_image
from dtir_mm.names import shortened


class ComparisonHook(Hook):
    """Saves input | restored | ground truth for the first images of each task and domain.

    With several processes, only the first one saves its images.

    Args:
        folder: of the images.
        method: caption of the restored image.
        count: images per task and domain.
    """

    def __init__(self, folder: str | Path, method: str, count: int) -> None:
        self.folder = Path(folder)
        self.method = method
        self.count = count
        self.saved: Counter[tuple[str, str]] = Counter()
        self.paths: list[Path] = []

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[dict] | None = None,
    ) -> None:
        """Saves the images of a batch until there are enough."""
        for sample in (outputs or ()) if is_main_process() else ():
            group = sample['task'], sample['domain']
            if self.saved[group] >= self.count:
                continue
            self.saved[group] += 1
            strip = comparison_strip(
                sample['degraded'], {self.method: sample['restored']}, sample['clean']
            )
            name = shortened(f'{"_".join(group)}_{Path(sample["path"]).stem}')
            path, number = self.folder / f'{name}.png', 2
            while path in self.paths:  # from another folder, or another draw
                path, number = self.folder / f'{name}_{number}.png', number + 1
            self.paths.append(path)
            save_image(path, strip)
