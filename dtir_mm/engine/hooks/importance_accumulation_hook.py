"""Carries what training has learnt to rely on from one stage to the next (Alg. 4, 6)."""

import itertools
from functools import partial
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from dtir_mm.engine.checkpoint import CheckpointError
from dtir_mm.models.gradients import flatten, from_named, to_named
from dtir_mm.models.regularizers.parameter_importance import RunningImportance
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.update import Update
from dtir_mm.registry import HOOKS

STATISTICS = ('abs_gradient', 'abs_mean')


@HOOKS.register_module()
class ImportanceAccumulationHook(Hook):
    """Accumulates omega over some batches, and hands it to the training step's penalty.

    Omega is of the gradient of the global batch's loss, summed over processes, with any penalty
    left out; its anchor is the weights at that time. Checkpoints carry both under "importance", and
    in the middle of an accumulation the sums so far, so that a resumed run accumulates the same. A
    run that starts from such a checkpoint gives them to its penalty.

    Where one task after another joins, the omega of k stages is their mean, and the anchor that of
    the last: with both the penalty of a stage protects all before it, as in PIGWM.

    Args:
        n_batches: updates, or batches, over which omega is accumulated; 0 only carries on a former
            one. The paper takes the whole last epoch; 200 is our choice, the released code has 50.
        when: "end", the last updates of a stage, as the preprint has it; "start", as the released
            code has it: the generative objective (of ``model.step.mixing``) on clean images of this
            run's own training set, before its first update.
        statistic: what omega is: "abs_gradient", the mean of the gradient's absolute values, or
            "abs_mean", the absolute value of its mean, a reading of "accumulating gradients" under
            which omega was measured at 16 % of the other's size.

    Raises:
        ValueError: ``n_batches`` is negative, or another argument is none of its values.
        CheckpointError: there is a penalty, and the checkpoint that the run starts from has no
            importance, or that of another network.
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
        self._former: dict[str, Any] | None = None
        self._resumed: dict[str, Any] | None = None
        self._ends_at: int | None = None  # the iteration at which omega was last accumulated
        self._running = RunningImportance()

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Takes what the checkpoint carries."""
        self._former = checkpoint.get('importance')
        self._resumed = checkpoint.get('importance_so_far')

    def before_train(self, runner: Any) -> None:
        """Hands the importance to the penalty, and begins to watch gradients."""
        if self.n_batches and runner.sharded:
            raise ValueError(
                'FSDP has no whole gradients to accumulate importance from: set '
                'default_hooks.importance=None, and add it by tools/accumulate_importance.py '
                'when pre-training has ended'
            )
        penalized = 'importance' in runner.restorer.step.regularizers
        if self.n_batches and not penalized and not runner.iter:
            self._former = None  # pre-training starts anew, whatever it starts from
        if self.when == 'start':
            if not runner.iter:
                self._accumulate_before_training(runner)
        elif self.n_batches:
            self._continue(runner)
            runner.restorer.step.observers.append(partial(self._observe, runner))
        self._require_former(runner.restorer)
        self._hand_over(runner.restorer)

    def _accumulate_before_training(self, runner: Any) -> None:
        restorer, loader = runner.restorer, runner.train_dataloader
        if restorer.step.mixing is None:
            raise ValueError(
                'ImportanceAccumulationHook(when="start") needs model.step.mixing, whose objective '
                'says how the pre-trained weights were trained'
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
        self._former = importance_of(restorer, running, self.statistic)

    def _continue(self, runner: Any) -> None:
        """Goes on with the sums of a run that is resumed within the window of its accumulation."""
        start, _ = self._window(runner)
        # Sums of another window, of a run that was shorter or is not this one, are of no use.
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
        """At a stage's end: joins the new importance to the former ones, and hands it over."""
        if not self._running.count or runner.iter + 1 != self._window(runner)[1]:
            return
        new = importance_of(runner.restorer, self._running, self.statistic)
        self._former = joined_importance(self._former, new)
        self._ends_at = runner.iter + 1
        self._running = RunningImportance()
        self._hand_over(runner.restorer)

    def _window(self, runner: Any) -> tuple[int, int]:
        """The iterations of the present stage that omega is accumulated over: first, and end."""
        stage_start = runner.iter // runner.stage_length * runner.stage_length
        end = min(stage_start + runner.stage_length, runner.max_iters)
        return max(stage_start, end - self.n_batches), end

    def _require_former(self, restorer: Restorer) -> None:
        penalty = restorer.step.regularizers.get('importance')
        if penalty is not None and penalty.statistics:
            _require(self._former, penalty.form, penalty.statistics)

    def _hand_over(self, restorer: Restorer) -> None:
        penalty = restorer.step.regularizers.get('importance')
        if self._former is not None and penalty is not None:
            named = restorer.named_trained_parameters()
            frozen = {name for name, _ in restorer.named_parameters()} - named.keys()
            omega, anchor = (
                {name: value for name, value in self._former[part].items() if name not in frozen}
                for part in ('omega', 'anchor')
            )
            try:
                penalty.set_importance(omega, anchor, named)
            except ValueError as error:
                raise CheckpointError(f'the importance in the checkpoint is {error}') from error

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the importance to the checkpoint."""
        named = runner.restorer.named_trained_parameters()
        if self._former is not None:
            checkpoint['importance'] = self._former
            if self._ends_at == runner.max_iters:  # the next run starts from what is saved here
                anchor = {name: checkpoint['state_dict'][name] for name in named}
                anchor = {**self._former['anchor'], **anchor}
                checkpoint['importance'] = {**self._former, 'anchor': anchor}
        if self._running.count:
            checkpoint['importance_so_far'] = {
                'omega': to_named(self._running.mean, named),
                'batches': self._running.count,
            }


def importance_of(restorer: Restorer, running: RunningImportance, statistic: str) -> dict[str, Any]:
    """The entry "importance" of a checkpoint: omega, the present weights as its anchor, and how.

    ``statistic`` says what omega is: "abs_gradient", the mean of |gradient| of batches, "abs_mean",
    the absolute value of its mean, or "fisher", the mean of squared gradients of samples.
    """
    named = restorer.named_trained_parameters()
    return {
        'omega': to_named(running.mean.abs(), named),
        'anchor': to_named(flatten(list(named.values())), named),
        'batches': running.count,
        'statistic': statistic,
    }


def joined_importance(former: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """The entry of a stage after the former ones: the mean of their omegas, and its own anchor.

    Weights that the former stages did not have, the adapters', had no importance then; those that
    the new one has frozen keep theirs.

    Raises:
        CheckpointError: the omegas are means of different things.
    """
    if former is None:
        return new
    if former['statistic'] != new['statistic']:
        raise CheckpointError(
            f'an importance of statistic {former["statistic"]!r} cannot be continued with one of '
            f'{new["statistic"]!r}; make the former with tools/accumulate_importance.py'
        )
    stages = former.get('stages', 1)
    omega = {
        name: (stages * former['omega'].get(name, torch.zeros_like(value)) + value) / (stages + 1)
        for name, value in new['omega'].items()
    }
    return {
        **new,
        'omega': {**former['omega'], **omega},
        'anchor': {**former['anchor'], **new['anchor']},
        'stages': stages + 1,
    }


def _require(former: dict[str, Any] | None, form: str, statistics: tuple[str, ...]) -> None:
    how = f'tools/accumulate_importance.py{" --fisher" if statistics == ("fisher",) else ""}'
    if former is None:
        raise CheckpointError(
            f'model.step.regularizers.importance.form={form!r} needs the importance of the '
            f'pre-trained weights, but load_from names no checkpoint that carries it. Add it with '
            f'{how}, or set model.step.regularizers.importance=None'
        )
    if former['statistic'] not in statistics:
        raise CheckpointError(
            f'model.step.regularizers.importance.form={form!r} needs an importance of statistic '
            f'{" or ".join(map(repr, statistics))}, the checkpoint carries '
            f'{former["statistic"]!r}. Make the other with {how}'
        )
