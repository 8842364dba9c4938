"""Writes checkpoints, and decides which to keep."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook

from dtir_mm.engine.best_checkpoint import BestCheckpoint
from dtir_mm.engine.checkpoint import Checkpoint, checkpoints_in, iteration_of
from dtir_mm.engine.loss_watch import LossWatch
from dtir_mm.registry import HOOKS

_UNFINISHED = re.compile(r'\.(best_.*_)?iter_\d+\.pth\.\d+\.tmp')


@HOOKS.register_module()
class RestorationCheckpointHook(Hook):
    """Writes ``iter_N.pth`` every ``interval`` updates and at the end, and keeps the last few.

    It also keeps the last good one, after which losses stayed low (``LossWatch``), because a run
    that diverges may write many useless checkpoints before a loss is non-finite. Older checkpoints
    are deleted once the new one is on disk.

    With ``save_best``, the checkpoint of the best validation is kept as well, as
    ``best_<metric>_iter_N.pth``. Training that is stopped early (``EarlyStoppingHook``) ends with a
    checkpoint, too.

    Args:
        interval: updates between checkpoints.
        max_keep: number to keep; at least 2, in case the last one is damaged.
        save_best: name of the validation metric to keep the best checkpoint of, e.g.
            "rainy/source/psnr"; None for none.
        rule: whether a "greater" or a "less" value is better; None for PSNR, SSIM, LPIPS and
            losses, whose names tell.

    Raises:
        FileExistsError: a new run would mix its checkpoints with those of an earlier one.
        OSError: a checkpoint cannot be written; raised in all processes.
        ValueError: ``interval`` is below 1, or ``max_keep`` below 2; or the rule is unknown.
    """

    priority = 'VERY_LOW'  # saves what other hooks leave for the next iteration

    def __init__(
        self,
        interval: int,
        max_keep: int = 2,
        save_best: str | None = None,
        rule: str | None = None,
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval={interval} of RestorationCheckpointHook must be at least 1')
        if max_keep < 2:
            raise ValueError(f'max_keep={max_keep} of RestorationCheckpointHook must be at least 2')
        self.interval = interval
        self.max_keep = max_keep
        self.best = BestCheckpoint(save_best, rule) if save_best is not None else None
        self._metrics: Mapping[str, float] = {}  # of a validation that has not been judged
        self._trains = False
        self._saved = 0  # updates done at the last checkpoint
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
        found = self.best.files(runner.work_dir) if self.best else {}
        found |= {path: iteration_of(path) for path in checkpoints_in(runner.work_dir)}
        if found and not runner.resumes:
            raise FileExistsError(
                f'{runner.work_dir} holds checkpoints of an earlier run, up to '
                f'{list(found)[-1].name}: continue it (--resume), name another folder '
                f'(--work-dir), or move them away'
            )
        if runner.iter:
            known = (self._former.get(name) for name in ('good', 'lowest'))
            self._watch = LossWatch(f'iter_{runner.iter}.pth', *known)
        later = [path.name for path, done in found.items() if done > runner.iter]
        if later:
            runner.logger.warning(
                f'continuing from iteration {runner.iter}, before {", ".join(later)}: move these '
                f'away, or --resume without a name will take the last of them'
            )
        self._trains, self._saved = True, runner.iter
        if self.best is not None:
            self.best.resume(runner.work_dir, runner.iter)
            self._save_best(runner, self.best)

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
        self._save_newest(runner, done)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Keeps the metrics until ``after_val``, when the weights are the online ones again."""
        self._metrics = metrics or {}

    def after_val(self, runner: Any) -> None:
        """Saves when a validation was the best."""
        if self.best is not None and self._trains:
            self._save_best(runner, self.best)

    def after_train(self, runner: Any) -> None:
        """Saves where training was stopped early."""
        self._trains = False
        if runner.iter != self._saved:
            self._save_newest(runner, runner.iter)
        if runner.iter < runner.max_iters:
            runner.logger.info(
                f'stopped early, after {runner.iter} of {runner.max_iters} updates: '
                f'iter_{runner.iter}.pth'
            )

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

    def _save_newest(self, runner: Any, done: int) -> None:
        """Saves ``iter_N.pth``, and deletes those that need not be kept."""
        self._watch.judge(f'iter_{done}.pth')
        self._save(runner, f'iter_{done}.pth', {'iter': done})
        self._saved = done
        if is_main_process():
            past = [p for p in checkpoints_in(runner.work_dir) if iteration_of(p) <= done]
            for path in past[: -self.max_keep]:
                if path.name != self._watch.good:
                    path.unlink()

    def _save_best(self, runner: Any, best: BestCheckpoint) -> None:
        """Saves if the last validation was the best, and deletes the former best."""
        value, self._metrics = best.of(self._metrics), {}
        if value is None:
            return
        path, former = Path(runner.work_dir) / best.name(runner.iter), best.path
        meta = {'iter': runner.iter, 'metric': best.metric, 'score': value}
        self._save(runner, path.name, meta)
        best.value, best.path = value, path
        if is_main_process() and former is not None and former != path:
            former.unlink(missing_ok=True)
        runner.logger.info(f'best {best.metric} so far, {value:.5g}: {path.name}')

    def _save(self, runner: Any, name: str, meta: dict[str, Any]) -> None:
        """Saves; all processes wait for the file, or raise the same error."""
        error = None
        try:
            runner.save_checkpoint(runner.work_dir, name, meta)
        except OSError as caught:
            error = caught
        said = [str(error) if error is not None else None]
        broadcast_object_list(said)
        if said[0] is not None:
            there = [path.name for path in checkpoints_in(runner.work_dir)[-1:]]
            raise OSError(
                f'{said[0]}. Then --resume continues from {"".join(there) or "the start"}'
            ) from error
