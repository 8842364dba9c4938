"""Checks the names of the validation metrics that hooks watch, before the first update."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.hooks import EarlyStoppingHook, Hook

from dtir_mm.engine.hooks.checkpoint_hook import RestorationCheckpointHook
from dtir_mm.typos import hint


def watched_metrics(hooks: Iterable[Hook]) -> dict[str, str]:
    """The metric that decides about the best checkpoint or early stopping, by its key."""
    watched = {}
    for hook in hooks:
        if isinstance(hook, EarlyStoppingHook):
            watched['monitor of EarlyStoppingHook'] = hook.monitor
        elif isinstance(hook, RestorationCheckpointHook) and hook.best is not None:
            watched['save_best of RestorationCheckpointHook'] = hook.best.metric
    return watched


def metric_faults(hooks: Iterable[Hook], known: Iterable[str]) -> list[str]:
    """A line for each watched metric that is not among the known ones."""
    known = sorted(known)
    return [
        f'{key}: validation gives no {name!r}, only {", ".join(known)}{hint(name, known)}'
        for key, name in watched_metrics(hooks).items()
        if name not in known
    ]


def without_results(metric: BaseMetric) -> BaseMetric:
    """A copy to try samples on, so that the metric itself does not count them."""
    trial = copy.copy(metric)
    trial.results = []
    return trial


def metric_names(
    metrics: Iterable[BaseMetric],
    batch: Any,
    samples: Sequence[dict],
    groups: Sequence[tuple[str, str]] | None,
) -> list[str] | None:
    """What metrics will give for a data set with pairs of some tasks and domains.

    Args:
        metrics: of the evaluator; their results do not change.
        batch: a batch of the data set.
        samples: what ``val_step`` returned for it.
        groups: each task and domain; None if unknown.

    Returns:
        the names; None if that cannot be told beforehand.
    """
    if groups is None:
        return None
    names: list[str] = []
    for metric in metrics:
        trial = without_results(metric)
        for task, domain in groups or [('', '')]:
            named = [{**sample, 'task': task, 'domain': domain} for sample in samples]
            trial.process(batch, named)
        prefix = f'{metric.prefix}/' if metric.prefix else ''
        try:
            names += [f'{prefix}{name}' for name in trial.compute_metrics(trial.results)]
        except Exception:  # a metric of the user's own may need all samples
            return None
    return names
