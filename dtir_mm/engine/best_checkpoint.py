"""The best checkpoint of a run, by a validation metric."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.names import shortened

_RULES = {'psnr': 'greater', 'ssim': 'greater', 'lpips': 'less', 'loss': 'less'}


class BestCheckpoint:
    """Tells whether a validation is the best of a run so far, and names its checkpoint.

    Its file, ``best_<metric>_iter_N.pth``, states metric and value in its meta, so that a resumed
    run knows what it has to exceed.

    Args:
        metric: name of a validation metric, e.g. "rainy/source/psnr".
        rule: whether a "greater" or a "less" value is better; None if the name tells.

    Raises:
        ValueError: the rule is another one, or is needed.
    """

    def __init__(self, metric: str, rule: str | None = None) -> None:
        figure = metric.rpartition('/')[2]
        if rule is None:
            rule = next((rule for name, rule in _RULES.items() if name in figure), None)
        if rule not in ('greater', 'less'):
            raise ValueError(
                f'rule={rule!r} of RestorationCheckpointHook must be "greater" or "less" for '
                f'save_best={metric!r}'
            )
        self.metric = metric
        self._sign = 1 if rule == 'greater' else -1
        self._stem = shortened(f'best_{metric}'.replace('/', '_'))
        self.value: float | None = None
        self.path: Path | None = None

    def name(self, iteration: int) -> str:
        """The file's name after so many updates."""
        return f'{self._stem}_iter_{iteration}.pth'

    def files(self, work_dir: str | Path) -> dict[Path, int]:
        """The files of this metric in a work directory, with the number of updates."""
        pattern = re.compile(re.escape(self._stem) + r'_iter_(\d+)\.pth')
        matches = ((pattern.fullmatch(path.name), path) for path in Path(work_dir).iterdir())
        return {path: int(match[1]) for match, path in matches if match}

    def resume(self, work_dir: str | Path, iteration: int) -> None:
        """Continues from the best file up to an iteration, if any.

        Raises:
            CheckpointError: a file cannot be read.
        """
        for path, done in self.files(work_dir).items():
            score = load_checkpoint(path).meta.score if done <= iteration else None
            if score is not None and self.is_better(score):
                self.value, self.path = score, path

    def of(self, metrics: Mapping[str, float]) -> float | None:
        """The value of the metric if it is the best so far, or else None."""
        value = float(metrics.get(self.metric, math.nan))
        return value if self.is_better(value) else None

    def is_better(self, value: float) -> bool:
        """Whether a value is finite, and better than the best so far."""
        if not math.isfinite(value):
            return False
        return self.value is None or self._sign * (value - self.value) > 0
