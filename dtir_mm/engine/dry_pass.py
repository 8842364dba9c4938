"""Model and data tried together before the first update, so that no validation ends a long run.

Sizes come from the headers of the files; one image is read for each loader that is validated on.
Weights, buffers and random numbers stay as they are.
"""

import copy
from collections.abc import Sequence
from typing import Any

from mmengine.dist import is_main_process

from dtir_mm.datasets.sample_sizes import Extent, sample_extents
from dtir_mm.engine.loader_faults import training_faults, val_faults
from dtir_mm.models.finite import NotFiniteError
from dtir_mm.models.restorers.trial import (
    deployment_obstacle,
    idle_batch_norms,
    try_large,
    try_training,
)
from dtir_mm.models.tracing.sizes import cause, undisturbed


def dry_pass(runner: Any) -> None:
    """Tries what a ``RestorationRunner`` that has loaded its weights is about to do.

    Raises:
        ValueError: something of it would fail; the message has a line for each fault.
    """
    restorer = runner.restorer
    if not runner.sharded:  # sharded weights cannot be tried by one process
        _try_network(runner)
    train = runner.train_dataloader
    with undisturbed(restorer):
        faults = training_faults(restorer, train.dataset, train.batch_size)
        if runner.val_loop is not None:
            faults += _validation_faults(runner)
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
            f'{type(net).__name__} will train, but tools/deploy.py will not take it: {obstacle}'
        )
    norms = idle_batch_norms(net)
    if norms:
        runner.logger.warning(
            f'{len(norms)} batch norms of {type(net).__name__} ({", ".join(norms[:3])} ...) have '
            f'the statistics that they were built with, and keep them: batch norms learn none here '
            f'(docs/backbones.md), so these normalise nothing. Start from trained weights, or use '
            f'group or layer norms'
        )


def _validation_faults(runner: Any) -> list[str]:
    """What does not fit, and what the smallest image of all meets on its way to the figures."""
    loader = runner.val_dataloader
    extents = sample_extents(loader.dataset)
    return val_faults(
        runner.restorer, 'val_dataloader', loader.dataset, extents, loader.batch_sampler
    ) or _try_smallest(runner, extents)


def _try_smallest(runner: Any, extents: Sequence[Extent]) -> list[str]:
    """The sample with the shortest side; the first where no size is known."""
    loader = runner.val_dataloader
    known = [i for i, extent in enumerate(extents) if extent.size]
    index = min(known, key=lambda i: sorted(extents[i].size), default=0)
    extent = extents[index]
    try:
        batch = loader.collate_fn([loader.dataset[index]])
        samples = runner.model.val_step(batch)
        for metric in runner.val_evaluator.metrics:
            trial = copy.copy(metric)
            trial.results = []
            trial.process(batch, samples)
    except NotFiniteError:  # of weights that have diverged, to which the runner has an answer
        raise
    except Exception as error:  # the data set, the network and the metric may be the user's own
        size = ' x '.join(map(str, extent.size or ()))
        named = f'{extent.file} ({size} pixels)' if size else f'sample {index}'
        return [f'val_dataloader: {named}: {cause(error)}']
    return []
