"""Parameter importance of finished weights: Alg. 6 on any checkpoint, without training."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from dtir_mm import trust
from dtir_mm.apis.restoring import load_restorer
from dtir_mm.config import read_config
from dtir_mm.engine.batch_size import process_batch_size
from dtir_mm.engine.checkpoint import config_of, load_checkpoint
from dtir_mm.engine.checkpoint_meta import meta_of
from dtir_mm.engine.hooks.importance_accumulation_hook import importance_of
from dtir_mm.engine.iteration_sampler import IterationSampler
from dtir_mm.models.gradients import flat_gradient
from dtir_mm.models.preprocessor import select
from dtir_mm.models.regularizers.parameter_importance import RunningImportance
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.update import Update
from dtir_mm.registry import DATASETS


def accumulate_importance(
    checkpoint: str | Path,
    num_batches: int,
    fisher: bool = False,
    config: str | Path | None = None,
    allow_imports: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """The checkpoint with the importance of its weights under "importance".

    The batches are those that its training would go on with, over all processes that it had; their
    gradient is that of the samples' losses, without L_reg and L_orthog. Where a training run
    accumulates omega itself, its weights still move a little; here they stand still.

    Args:
        checkpoint: the file or work directory.
        num_batches: over how many batches of the config's training data.
        fisher: the mean of squared gradients of single samples (EWC) instead of |gradient| of
            batches; one backward pass a sample.
        config: config file to build from; None for the config that the checkpoint carries.
        allow_imports: see ``load_restorer``.
        progress: called with the batches done.

    Raises:
        CheckpointError: it cannot be read, is of another architecture, or carries no config.
        ValueError: ``num_batches`` is below 1, or ``fisher`` of weights that were not pre-trained
            alone: which objective a sample has depends on its batch then.
        FloatingPointError: the importance is not finite.
    """
    if num_batches < 1:
        raise ValueError(f'num_batches={num_batches} must be at least 1')
    loaded = load_checkpoint(checkpoint)
    settings = read_config(config).to_dict() if config else config_of(loaded, checkpoint)
    data = settings['train_dataloader']
    restorer = load_restorer(checkpoint, config, allow_imports).train()
    step = restorer.step
    if fisher and step.mixing is not None:
        raise ValueError(
            f'{checkpoint} was trained with generative samples mixed in: the Fisher information of '
            f'single samples (fisher) is taken of pre-training alone'
        )
    step.regularizers.clear()
    # The batches of all processes, in parts as large as one process had.
    step.micro_batch_size = step.micro_batch_size or process_batch_size(settings, 1)
    running = RunningImportance()
    step.observers.append(lambda update: running.update(update.of_samples.abs()))
    trusted = config is not None or allow_imports
    if not trusted:
        trust.refuse_foreign_data(data['dataset'], 'train_dataloader.dataset', checkpoint)
    with trust.building(data['dataset'], 'train_dataloader.dataset', checkpoint, trusted):
        loader = _loader(settings, meta_of(loaded))
    batches = iter(loader)
    for done in range(1, num_batches + 1):
        batch = restorer.data_preprocessor(next(batches), training=True)
        if fisher:
            for gradient in _sample_gradients(restorer, batch):
                running.update(gradient.square())
        else:
            step.gradient(restorer, batch)
        if not running.mean.isfinite().all():
            raise FloatingPointError(
                f'{checkpoint}: gradients of batch {done} are not finite: its weights have '
                f'diverged, and have no importance. Take an earlier checkpoint'
            )
        progress(done)
    statistic = 'fisher' if fisher else 'abs_gradient'
    importance = importance_of(restorer, running, statistic)
    if not meta_of(loaded):  # whatever wraps the weights, they are those of the restorer now
        loaded = {'state_dict': {name: w.cpu() for name, w in restorer.state_dict().items()}}
    return {**loaded, 'importance': importance}


def _sample_gradients(restorer: Restorer, batch: dict[str, Any]) -> Iterator[Tensor]:
    """The gradient (P,) of the loss of each sample of a preprocessed batch by itself."""
    update = Update(restorer, batch, flat_gradient, None, None)
    update.objectives = {'main': restorer.step.objective}
    for i in range(update.total):
        yield update.total * update.differentiate('main', select(batch, [i]), flat_gradient)


def _loader(config: dict[str, Any], meta: dict[str, Any]) -> DataLoader:
    settings = config['train_dataloader']
    dataset = DATASETS.build(settings['dataset'])
    size = meta.get('global_batch') or process_batch_size(config, 1)
    sampler = IterationSampler(dataset, meta.get('seed', 0), size, meta.get('iter', 0))
    return DataLoader(dataset, size, sampler=sampler, num_workers=settings['num_workers'])
