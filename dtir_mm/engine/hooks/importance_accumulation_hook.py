"""Carries what pre-training relies on from one stage to the next (Alg. 6)."""

from typing import Any

from mmengine.hooks import Hook
from torch import Tensor

from dtir_mm.engine.checkpoint import CheckpointError
from dtir_mm.models.regularizers.parameter_importance import RunningImportance
from dtir_mm.models.restorers.gradients import flatten, from_named, to_named
from dtir_mm.registry import HOOKS


@HOOKS.register_module()
class ImportanceAccumulationHook(Hook):
    """Accumulates omega over the last updates of a run, and hands a former one to the restorer.

    Omega is the running mean of |gradient| of the global batch's loss, summed over processes, with
    any penalty left out. The run's last checkpoint carries it under "importance", with the weights
    as its anchor; a checkpoint in between carries the sums so far, so that a resumed run
    accumulates the same. A run that starts from such a checkpoint gives both to the restorer's
    penalty, and carries them on in its own checkpoints.

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

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Takes what the checkpoint carries."""
        self._former = checkpoint.get('importance')
        self._resumed = checkpoint.get('importance_so_far')

    def before_train(self, runner: Any) -> None:
        """Hands the former importance to the restorer, and begins to watch its gradients."""
        restorer = runner.restorer
        self._hand_over(restorer)
        named = restorer.named_trained_parameters()
        start = max(0, runner.max_iters - self.n_batches)
        self._running = RunningImportance()
        # Sums of another window, of a run that was shorter or is not this one, are of no use.
        if self._resumed is not None and self._resumed['batches'] == runner.iter - start:
            zeros = {name: parameter.detach() for name, parameter in named.items()}
            mean = from_named(self._resumed['omega'], zeros)
            self._running = RunningImportance(mean, self._resumed['batches'])

        def observe(gradient: Tensor) -> None:
            if runner.iter >= start:
                self._running.update(gradient.abs())

        if self.n_batches:
            restorer.gradient_observers.append(observe)

    def _hand_over(self, restorer: Any) -> None:
        penalty = getattr(restorer, 'importance_loss', None)
        if penalty is not None and penalty.statistic is not None:
            _require(self._former, penalty.form, penalty.statistic)
        if self._former is not None and hasattr(restorer, 'set_importance'):
            try:
                restorer.set_importance(self._former['omega'], self._former['anchor'])
            except ValueError as error:
                raise CheckpointError(f'the importance in the checkpoint is {error}') from error

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the importance to the checkpoint."""
        restorer = runner.restorer
        if self._former is not None and hasattr(restorer, 'set_importance'):
            checkpoint['importance'] = self._former
        if not self._running.count:
            return
        if runner.iter + 1 == runner.max_iters:
            checkpoint['importance'] = importance_of(restorer, self._running, 'abs_gradient')
        else:
            named = restorer.named_trained_parameters()
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
