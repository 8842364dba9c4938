"""Checks model and data together before the first update, so that faults end a run early.

Sizes come from file headers; validation reads one image. Weights, buffers and random number
generators do not change.
"""

from collections.abc import Sequence
from typing import Any

from mmengine.dist import is_main_process

from dtir_mm.datasets.sample_sizes import Extent, sample_extents
from dtir_mm.engine.loader_faults import training_faults, val_faults
from dtir_mm.engine.watched_metrics import (
    metric_faults,
    metric_names,
    watched_metrics,
    without_results,
)
from dtir_mm.models.finite import NotFiniteError
from dtir_mm.models.restorers.trial import (
    deployment_obstacle,
    idle_batch_norms,
    try_large,
    try_training,
)
from dtir_mm.models.tracing.sizes import cause, undisturbed


def dry_pass(runner: Any) -> None:
    """Probes training and validation of a ``RestorationRunner`` that has loaded its weights.

    Raises:
        ValueError: they would fail; the message has a line for each fault.
    """
    restorer = runner.restorer
    if not runner.sharded:  # the first process has only a part of the weights then
        _try_network(runner)
    train = runner.train_dataloader
    with undisturbed(restorer):
        faults = training_faults(restorer, train.dataset, train.batch_size)
        if runner.val_loop is not None:
            faults += _validation_faults(runner)
        else:
            faults += [
                f'{key} needs val_dataloader, val_evaluator and val_cfg'
                for key in watched_metrics(runner.hooks)
            ]
    if faults:
        raise ValueError('\n'.join(faults))


def _try_network(runner: Any) -> None:
    restorer = runner.restorer
    net = restorer.backbone.net
    if not any(parameter.requires_grad for parameter in restorer.backbone.parameters()):
        return
    try_training(restorer)
    try_large(restorer)
    if not is_main_process():
        return
    obstacle = deployment_obstacle(restorer)
    if obstacle is not None:
        runner.logger.warning(
            f'{type(net).__name__} will train, but dtir-mm deploy will not take it: {obstacle}'
        )
    norms = idle_batch_norms(net)
    if norms:
        runner.logger.warning(
            f'{len(norms)} batch norms of {type(net).__name__} ({", ".join(norms[:3])} ...) have '
            f'their initial statistics, which are not updated here (docs/backbones.md), so they '
            f'do not normalise. Start from trained weights, or use group or layer norms'
        )


def _validation_faults(runner: Any) -> list[str]:
    """What does not fit, or else the error on the smallest image."""
    loader = runner.val_dataloader
    extents = sample_extents(loader.dataset)
    return val_faults(
        runner.restorer, 'val_dataloader', loader.dataset, extents, loader.batch_sampler
    ) or _try_smallest(runner, extents)


def _try_smallest(runner: Any, extents: Sequence[Extent]) -> list[str]:
    """Validates the sample with the shortest side, or the first if no size is known."""
    loader = runner.val_dataloader
    metrics = runner.val_evaluator.metrics
    known = {i: sorted(extent.size) for i, extent in enumerate(extents) if extent.size}
    index = min(known, key=known.__getitem__, default=0)
    extent = extents[index]
    try:
        batch = loader.collate_fn([loader.dataset[index]])
        samples = runner.model.val_step(batch)
        for metric in metrics:
            without_results(metric).process(batch, samples)
    except NotFiniteError:  # of diverged weights, which the runner handles
        raise
    except Exception as error:  # data set, network and metric may be the user's own
        size = ' x '.join(map(str, extent.size or ()))
        named = f'{extent.file} ({size} pixels)' if size else f'sample {index}'
        return [f'val_dataloader: {named}: {cause(error)}']
    names = metric_names(metrics, batch, samples, getattr(loader.dataset, 'groups', None))
    return [] if names is None else metric_faults(runner.hooks, names)
