"""When checkpoints are written, and which are kept."""

from pathlib import Path
from typing import Any

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook

from dtir_mm.registry import HOOKS


@HOOKS.register_module()
class RestorationCheckpointHook(Hook):
    """Writes ``iter_N.pth`` every ``interval`` updates and at the end, and keeps the last few.

    Note:
        Runs after all other hooks of an iteration, so that what it saves is what the next one
        starts from. An older checkpoint goes only when the newer one is on disk.

    Args:
        interval: updates between checkpoints.
        max_keep: how many to keep; at least 2, so that a damaged last one costs little.
    """

    priority = 'VERY_LOW'

    def __init__(self, interval: int, max_keep: int = 2) -> None:
        if interval < 1:
            raise ValueError(f'interval={interval} of RestorationCheckpointHook must be at least 1')
        if max_keep < 2:
            raise ValueError(f'max_keep={max_keep} of RestorationCheckpointHook must be at least 2')
        self.interval = interval
        self.max_keep = max_keep

    def before_run(self, runner: Any) -> None:
        """Removes what a run that was killed while it wrote a checkpoint left behind."""
        if is_main_process():
            for path in Path(runner.work_dir).glob('.iter_*.pth.*.tmp'):
                path.unlink()

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Saves when it is time."""
        done = runner.iter + 1
        if done % self.interval and done != runner.max_iters:
            return
        runner.save_checkpoint(runner.work_dir, f'iter_{done}.pth')
        if is_main_process():
            self._prune(Path(runner.work_dir))
        barrier()

    def _prune(self, work_dir: Path) -> None:
        checkpoints = sorted(work_dir.glob('iter_*.pth'), key=lambda p: int(p.stem.split('_')[1]))
        for path in checkpoints[: -self.max_keep]:
            path.unlink()
