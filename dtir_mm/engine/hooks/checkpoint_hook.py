"""When checkpoints are written, and which are kept."""

from pathlib import Path
from typing import Any

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook

from dtir_mm.engine.checkpoint import checkpoints_in, iteration_of
from dtir_mm.registry import HOOKS


@HOOKS.register_module()
class RestorationCheckpointHook(Hook):
    """Writes ``iter_N.pth`` every ``interval`` updates and at the end, and keeps the last few.

    A new run in the work directory of an earlier one is refused: its checkpoints would be mixed up
    with those that are there.

    Note:
        Runs after all other hooks of an iteration, so that what it saves is what the next one
        starts from. An older checkpoint goes only when the newer one is on disk.

    Args:
        interval: updates between checkpoints.
        max_keep: how many to keep; at least 2, so that a damaged last one costs little.

    Raises:
        FileExistsError: see above.
        ValueError: ``interval`` is below 1, or ``max_keep`` below 2.
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

    def before_train(self, runner: Any) -> None:
        """Keeps a new run from an earlier one's checkpoints."""
        earlier = checkpoints_in(runner.work_dir)
        if earlier and not runner.resumes:
            raise FileExistsError(
                f'{runner.work_dir} holds checkpoints of an earlier run, up to {earlier[-1].name}: '
                f'go on with it (--resume), name another folder (--work-dir), or move them away'
            )

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
            past = [p for p in checkpoints_in(runner.work_dir) if iteration_of(p) <= done]
            for path in past[: -self.max_keep]:
                path.unlink()
        barrier()
