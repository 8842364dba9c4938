"""Carries what training has learnt to rely on from one stage to the next (Alg. 4, 6)."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from dtir_mm.engine.checkpoint import CheckpointError
from dtir_mm.models.regularizers.parameter_importance import RunningImportance
from dtir_mm.models.restorers.gradients import flatten, from_named, to_named
from dtir_mm.registry import HOOKS


@HOOKS.register_module()
class ImportanceAccumulationHook(Hook):
    """Accumulates omega over the last updates of a stage, and hands it to the restorer's penalty.

    Omega is the running mean of |gradient| of the global batch's loss, summed over processes, with
    any penalty left out; its anchor is the weights at the stage's end. Checkpoints carry both under
    "importance", and in the middle of an accumulation the sums so far, so that a resumed run
    accumulates the same. A run that starts from such a checkpoint gives them to its penalty.

    Where one task after another joins, the omega of k stages is their mean, and the anchor that of
    the last: with both the penalty of a stage protects all before it (PIGWM; method.md 4.1).

    Args:
        n_batches: updates over which omega is accumulated; 0 only carries on a former one. The
            paper takes the whole last epoch; 200 is our choice (method.md 3.4).

    Raises:
        ValueError: ``n_batches`` is negative.
        CheckpointError: the restorer has a penalty, and the checkpoint that the run starts from no
            importance, or that of another network.
    """

    priority = 'NORMAL'

    def __init__(self, n_batches: int = 200) -> None:
        if n_batches < 0:
            raise ValueError(f'n_batches={n_batches} must be at least 0')
        self.n_batches = n_batches
        self._former: dict[str, Any] | None = None
        self._resumed: dict[str, Any] | None = None
        self._ends_at: int | None = None  # the iteration at which omega was last accumulated

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Takes what the checkpoint carries."""
        self._former = checkpoint.get('importance')
        self._resumed = checkpoint.get('importance_so_far')

    def before_train(self, runner: Any) -> None:
        """Hands the former importance to the restorer, and begins to watch its gradients."""
        if self.n_batches and runner.sharded:
            raise ValueError(
                'FSDP has no whole gradients to accumulate importance from: set '
                'default_hooks.importance=None, and add it by tools/accumulate_importance.py '
                'when pre-training has ended'
            )
        restorer = runner.restorer
        if not hasattr(restorer, 'set_importance'):
            self._former = None  # pre-training starts anew, whatever it starts from
        self._require_former(restorer)
        self._hand_over(restorer)
        named = restorer.named_trained_parameters()
        start, _ = self._window(runner)
        self._running = RunningImportance()
        # Sums of another window, of a run that was shorter or is not this one, are of no use.
        if self._resumed is not None and self._resumed['batches'] == runner.iter - start:
            zeros = {name: parameter.detach() for name, parameter in named.items()}
            mean = from_named(self._resumed['omega'], zeros)
            self._running = RunningImportance(mean, self._resumed['batches'])

        def observe(gradient: Tensor) -> None:
            if runner.iter >= self._window(runner)[0]:
                self._running.update(gradient.abs())

        if self.n_batches:
            restorer.gradient_observers.append(observe)

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
        new = importance_of(runner.restorer, self._running, 'abs_gradient')
        self._former = joined_importance(self._former, new)
        self._ends_at = runner.iter + 1
        self._running = RunningImportance()
        self._hand_over(runner.restorer)

    def _window(self, runner: Any) -> tuple[int, int]:
        """The iterations of the present stage that omega is accumulated over: first, and end."""
        stage_start = runner.iter // runner.stage_length * runner.stage_length
        end = min(stage_start + runner.stage_length, runner.max_iters)
        return max(stage_start, end - self.n_batches), end

    def _require_former(self, restorer: Any) -> None:
        penalty = getattr(restorer, 'importance_loss', None)
        if penalty is not None and penalty.statistic is not None:
            _require(self._former, penalty.form, penalty.statistic)

    def _hand_over(self, restorer: Any) -> None:
        if self._former is not None and hasattr(restorer, 'set_importance'):
            try:
                restorer.set_importance(self._former['omega'], self._former['anchor'])
            except ValueError as error:
                raise CheckpointError(f'the importance in the checkpoint is {error}') from error

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the importance to the checkpoint."""
        named = runner.restorer.named_trained_parameters()
        if self._former is not None:
            checkpoint['importance'] = self._former
            if self._ends_at == runner.max_iters:  # the next run starts from what is saved here
                anchor = {name: checkpoint['state_dict'][name] for name in named}
                checkpoint['importance'] = {**self._former, 'anchor': anchor}
        if self._running.count:
            checkpoint['importance_so_far'] = {
                'omega': to_named(self._running.mean, named),
                'batches': self._running.count,
            }


def importance_of(restorer: Any, running: RunningImportance, statistic: str) -> dict[str, Any]:
    """The entry "importance" of a checkpoint: omega, the present weights as its anchor, and how.

    ``statistic`` says what omega is the mean of: "abs_gradient", |gradient| of batches, or
    "fisher", squared gradients of samples.
    """
    named = restorer.named_trained_parameters()
    return {
        'omega': to_named(running.mean, named),
        'anchor': to_named(flatten(list(named.values())), named),
        'batches': running.count,
        'statistic': statistic,
    }


def joined_importance(former: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """The entry of a stage after the former ones: the mean of their omegas, and its own anchor.

    Weights that the former stages did not have, the adapters', had no importance then.

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
    return {**new, 'omega': omega, 'stages': stages + 1}


def _require(former: dict[str, Any] | None, form: str, statistic: str) -> None:
    how = f'tools/accumulate_importance.py{" --fisher" if statistic == "fisher" else ""}'
    if former is None:
        raise CheckpointError(
            f'importance_loss.form={form!r} needs the importance of the pre-trained weights, but '
            f'load_from names no checkpoint that carries it. Add it with {how}, or set '
            f'model.importance_loss=None'
        )
    if statistic not in ('any', former['statistic']):
        raise CheckpointError(
            f'importance_loss.form={form!r} needs an importance of statistic {statistic!r}, the '
            f'checkpoint carries {former["statistic"]!r}. Make the other with {how}'
        )
