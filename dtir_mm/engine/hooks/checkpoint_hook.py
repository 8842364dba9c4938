"""Writes checkpoints, and decides which to keep."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook

from dtir_mm.engine.checkpoint import Checkpoint, checkpoints_in, iteration_of
from dtir_mm.engine.loss_watch import LossWatch
from dtir_mm.registry import HOOKS

_UNFINISHED = re.compile(r'\.iter_\d+\.pth\.\d+\.tmp')


@HOOKS.register_module()
class RestorationCheckpointHook(Hook):
    """Writes ``iter_N.pth`` every ``interval`` updates and at the end, and keeps the last few.

    It also keeps the last good one, after which losses stayed low (``LossWatch``), because a run
    that diverges may write many useless checkpoints before a loss is non-finite. Older checkpoints
    are deleted once the new one is on disk.

    Args:
        interval: updates between checkpoints.
        max_keep: number to keep; at least 2, in case the last one is damaged.

    Raises:
        FileExistsError: a new run would mix its checkpoints with those of an earlier one.
        OSError: a checkpoint cannot be written; raised in all processes.
        ValueError: ``interval`` is below 1, or ``max_keep`` below 2.
    """

    priority = 'VERY_LOW'  # saves what other hooks leave for the next iteration

    def __init__(self, interval: int, max_keep: int = 2) -> None:
        if interval < 1:
            raise ValueError(f'interval={interval} of RestorationCheckpointHook must be at least 1')
        if max_keep < 2:
            raise ValueError(f'max_keep={max_keep} of RestorationCheckpointHook must be at least 2')
        self.interval = interval
        self.max_keep = max_keep
        self._watch = LossWatch()
        self._former: Mapping[str, Any] = {}

    def before_run(self, runner: Any) -> None:
        """Removes the unfinished checkpoint of a run that was killed."""
        if is_main_process():
            for path in Path(runner.work_dir).iterdir():
                if _UNFINISHED.fullmatch(path.name):
                    path.unlink()

    def after_load_checkpoint(self, runner: Any, checkpoint: Checkpoint) -> None:
        """Keeps the loss record of the run to resume."""
        self._former = checkpoint.meta.loss_watch

    def before_train(self, runner: Any) -> None:
        """Refuses to mix runs, and warns of checkpoints later than the iteration to resume from."""
        earlier = checkpoints_in(runner.work_dir)
        if earlier and not runner.resumes:
            raise FileExistsError(
                f'{runner.work_dir} holds checkpoints of an earlier run, up to {earlier[-1].name}: '
                f'continue it (--resume), name another folder (--work-dir), or move them away'
            )
        if runner.iter:
            known = (self._former.get(name) for name in ('good', 'lowest'))
            self._watch = LossWatch(f'iter_{runner.iter}.pth', *known)
        later = [path.name for path in earlier if iteration_of(path) > runner.iter]
        if later:
            runner.logger.warning(
                f'continuing from iteration {runner.iter}, before {", ".join(later)}: move these '
                f'away, or --resume without a name will take the last of them'
            )

    def before_stage(self, runner: Any, tasks: Sequence[str]) -> None:
        """Forgets the lowest loss: other tasks have other losses."""
        self._watch.forget_lowest()

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Saves when a checkpoint is due."""
        self._watch.add((outputs or {}).get(runner.restorer.step.objective.name))
        done = runner.iter + 1
        if done % self.interval and done != runner.max_iters:
            return
        self._watch.judge(f'iter_{done}.pth')
        self._save(runner, f'iter_{done}.pth')
        if is_main_process():
            past = [p for p in checkpoints_in(runner.work_dir) if iteration_of(p) <= done]
            for path in past[: -self.max_keep]:
                if path.name != self._watch.good:
                    path.unlink()

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the loss record."""
        checkpoint['meta']['loss_watch'] = self._watch.state()

    def way_back(self, runner: Any) -> str:
        """What to do if losses are non-finite."""
        self._watch.judge(None)
        good = self._watch.good or self._former.get('good')  # the latter before any update
        path = Path(runner.work_dir) / (good or '')
        quoted = shlex.quote(str(path))
        if not path.is_file():
            return (
                'If no file is at fault, training has diverged, and no checkpoint here is known to '
                'be good: start a new run with a lower learning rate'
            )
        return (
            f'If no file is at fault, training has diverged. The last good checkpoint is {path}: '
            f'continue from it with a lower learning rate, --resume {quoted} --allow-changes '
            f'--cfg-options optim_wrapper.optimizer.lr=...'
        )

    def _save(self, runner: Any, name: str) -> None:
        """Saves; all processes wait for the file, or raise the same error."""
        error = None
        try:
            runner.save_checkpoint(runner.work_dir, name)
        except OSError as caught:
            error = caught
        said = [str(error) if error is not None else None]
        broadcast_object_list(said)
        if said[0] is not None:
            there = [path.name for path in checkpoints_in(runner.work_dir)[-1:]]
            raise OSError(
                f'{said[0]}. Then --resume continues from {"".join(there) or "the start"}'
            ) from error
