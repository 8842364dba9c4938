"""Accumulates the importance of the weights, and carries it from stage to stage (Alg. 4, 6)."""

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

from mmengine.hooks import Hook
from torch import Tensor

from dtir_mm.engine.checkpoint import Checkpoint
from dtir_mm.engine.importance import Importance, require_importance
from dtir_mm.models.gradients import from_named, to_named
from dtir_mm.models.regularizers.parameter_importance import RunningImportance
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.update import Update
from dtir_mm.registry import HOOKS
from dtir_mm.weights_file import CheckpointError

STATISTICS = ('abs_gradient', 'abs_mean')


@HOOKS.register_module()
class ImportanceAccumulationHook(Hook):
    """Accumulates omega over some batches, and gives it to the training step's penalty.

    Omega is computed from the gradient of the global batch's loss, without any penalty; its anchor
    is the weights at that time. Checkpoints carry both as "importance" (``Importance``), for the
    penalty of later runs, and during an accumulation the sums so far, to resume exactly.

    The visualizer gets the mean omega of each block as ``importance/<block>``.

    In incremental training, omega is the mean over the stages so far, and the anchor the last
    stage's: the penalty protects all earlier stages, as in PIGWM.

    Args:
        n_batches: updates or batches over which omega is accumulated; 0 only passes on a former
            one. The paper uses the whole last epoch; 200 is our choice, the released code has 50.
        when: "end", over the last updates of a stage, as in the preprint; "start", before the first
            update, as in the released code: the generative objective (of ``model.step.mixing``) on
            clean images of this run's training set.
        statistic: "abs_gradient", the mean of the gradient's absolute values, or "abs_mean", the
            absolute value of its mean, another reading of "accumulating gradients", which was
            measured at 16 % of the former's size.

    Raises:
        ValueError: ``n_batches`` is negative, or another argument has none of its values.
        CheckpointError: there is a penalty, and the checkpoint that the run starts from has no
            importance, or another network's.
    """

    priority = 'NORMAL'

    def __init__(
        self, n_batches: int = 200, when: str = 'end', statistic: str = 'abs_gradient'
    ) -> None:
        if n_batches < 0:
            raise ValueError(f'n_batches={n_batches} must be at least 0')
        if when not in ('start', 'end'):
            raise ValueError(
                f'when={when!r} of ImportanceAccumulationHook must be "start" or "end"'
            )
        if statistic not in STATISTICS:
            raise ValueError(
                f'statistic={statistic!r} of ImportanceAccumulationHook must be one of {STATISTICS}'
            )
        self.n_batches = n_batches
        self.when = when
        self.statistic = statistic
        self._former: Importance | None = None
        self._resumed: dict[str, Any] | None = None
        self._ends_at: int | None = None  # the iteration at which omega was last accumulated
        self._running = RunningImportance()

    def after_load_checkpoint(self, runner: Any, checkpoint: Checkpoint) -> None:
        """Keeps the checkpoint's importance."""
        self._former = checkpoint.importance
        self._resumed = checkpoint.content.get('importance_so_far')

    def before_train(self, runner: Any) -> None:
        """Gives the importance to the penalty, and registers an observer of the gradients."""
        if self.n_batches and runner.sharded:
            raise ValueError(
                'FSDP has no full gradients to accumulate importance from: set '
                'default_hooks.importance=None, and add it with dtir-mm accumulate-importance '
                'after pre-training'
            )
        penalized = 'importance' in runner.restorer.step.regularizers
        if self.n_batches and not penalized and not runner.iter:
            self._former = None  # pre-training accumulates its own
        if self.when == 'start':
            if not runner.iter:
                self._accumulate_before_training(runner)
        elif self.n_batches:
            self._continue(runner)
            runner.restorer.step.observers.append(partial(self._observe, runner))
        penalty = _penalty_of(runner.restorer)
        if penalty is not None and penalty.statistics:
            require_importance(self._former, penalty.form, penalty.statistics)
        self._hand_over(runner, runner.iter)

    def _accumulate_before_training(self, runner: Any) -> None:
        restorer, loader = runner.restorer, runner.train_dataloader
        if restorer.step.mixing is None:
            raise ValueError(
                'ImportanceAccumulationHook(when="start") needs model.step.mixing, whose objective '
                'is that of pre-training'
            )
        runner.logger.info(
            f'importance of the weights: {self.n_batches} batches of clean training images'
        )
        restorer.train()
        loader.sampler.start_iteration = 0
        running = RunningImportance()
        for data in itertools.islice(loader, self.n_batches):
            batch = restorer.data_preprocessor(data, training=True)
            gradient = restorer.step.gradient_of(restorer, batch, restorer.step.mixing.objective)
            running.update(self._values(gradient))
        named = restorer.named_trained_parameters()
        self._former = Importance.accumulated(named, running, self.statistic)

    def _continue(self, runner: Any) -> None:
        """Takes the sums of a run that is resumed during an accumulation."""
        start, _ = self._window(runner)
        # Sums of another window are of a shorter or another run.
        if self._resumed is not None and self._resumed['batches'] == runner.iter - start:
            named = runner.restorer.named_trained_parameters()
            zeros = {name: parameter.detach() for name, parameter in named.items()}
            mean = from_named(self._resumed['omega'], zeros)
            self._running = RunningImportance(mean, self._resumed['batches'])

    def _observe(self, runner: Any, update: Update) -> None:
        if runner.iter >= self._window(runner)[0]:
            self._running.update(self._values(update.of_samples))

    def _values(self, gradient: Tensor) -> Tensor:
        return gradient.abs() if self.statistic == 'abs_gradient' else gradient

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """At the end of a stage, joins its importance to the former ones for the penalty."""
        if not self._running.count or runner.iter + 1 != self._window(runner)[1]:
            return
        named = runner.restorer.named_trained_parameters()
        new = Importance.accumulated(named, self._running, self.statistic)
        self._former = new.after(self._former)
        self._ends_at = runner.iter + 1
        self._running = RunningImportance()
        self._hand_over(runner, runner.iter + 1)

    def _window(self, runner: Any) -> tuple[int, int]:
        """The first iteration of the current stage that omega is accumulated over, and the end."""
        length = runner.train_loop.schedule.stage_length
        start = runner.iter // length * length
        end = min(start + length, runner.max_iters)
        return max(start, end - self.n_batches), end

    def _hand_over(self, runner: Any, iteration: int) -> None:
        """Gives the importance, if any, to the visualizer and the penalty."""
        if self._former is None:
            return
        restorer = runner.restorer
        blocks = restorer.backbone.parameter_blocks()
        means = self._former.block_means({f'backbone.{name}': b for name, b in blocks.items()})
        runner.visualizer.add_scalars({f'importance/{b}': m for b, m in means.items()}, iteration)
        penalty = _penalty_of(restorer)
        if penalty is not None:
            named = restorer.named_trained_parameters()
            frozen = {name for name, _ in restorer.named_parameters()} - named.keys()
            omega, anchor = (
                {name: value for name, value in part.items() if name not in frozen}
                for part in (self._former.omega, self._former.anchor)
            )
            try:
                penalty.set_importance(omega, anchor, named)
            except ValueError as error:
                raise CheckpointError(f'the importance in the checkpoint is {error}') from error

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the importance to the checkpoint."""
        named = runner.restorer.named_trained_parameters()
        if self._former is not None:
            saved = self._former
            if self._ends_at == runner.max_iters:  # the next run starts from what is saved here
                weights = {name: checkpoint['state_dict'][name] for name in named}
                saved = replace(saved, anchor={**saved.anchor, **weights})
            checkpoint['importance'] = saved.entry()
        if self._running.mean is not None:
            checkpoint['importance_so_far'] = {
                'omega': to_named(self._running.mean, named),
                'batches': self._running.count,
            }


def _penalty_of(restorer: Restorer) -> Any:
    """The step's ``ImportancePenalty``, if there is one."""
    assert restorer.step is not None
    return restorer.step.regularizers.get('importance')
