"""Accumulates the importance of trained weights: Alg. 6 on any checkpoint, without training."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from dtir_mm import trust
from dtir_mm.apis.loading import load_restorer
from dtir_mm.config import read_config
from dtir_mm.engine.batch_size import process_batch_size
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.engine.checkpoint_meta import CheckpointMeta
from dtir_mm.engine.importance import Importance
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
    fisher: bool,
    config: str | Path | None,
    allow_imports: bool,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """The content of a checkpoint with the importance of its weights added, to be saved.

    The batches are those that its training would continue with, over all its processes. Their
    gradients are without L_reg and L_orthog, and the weights do not change, unlike in a training
    run that accumulates omega itself.

    Args:
        checkpoint: the file or work directory.
        num_batches: number of batches of the config's training data.
        fisher: the mean squared gradient of single samples (EWC) instead of the mean
            ``|gradient|`` of batches; takes one backward pass per sample.
        config: see ``load_restorer``.
        allow_imports: see ``load_restorer``.
        progress: called with the number of batches done.

    Raises:
        CheckpointError: it cannot be read, is of another architecture, or carries no config.
        ValueError: ``num_batches`` is below 1, or ``fisher`` is set and training mixed objectives,
            of which a sample's then depends on its batch.
        FloatingPointError: the importance is not finite.
    """
    if num_batches < 1:
        raise ValueError(f'num_batches={num_batches} must be at least 1')
    loaded = load_checkpoint(checkpoint)
    settings = read_config(config).to_dict() if config else loaded.config
    data = settings.get('train_dataloader')
    if not data or not settings['model'].get('step'):
        raise ValueError(
            f'the config in {config or loaded.path} has no train_dataloader or no model.step, as '
            f'that of a release file: name the config of the training (--config)'
        )
    restorer = load_restorer(loaded, config, allow_imports).train()
    step = restorer.step
    assert step is not None
    if fisher and step.mixing is not None:
        raise ValueError(
            f'{loaded.path} was trained with generative samples mixed in: the Fisher information '
            f'of single samples (fisher) is only defined for pre-training'
        )
    step.regularizers.clear()
    # The batches of all processes, in micro-batches as large as those of one process.
    step.micro_batch_size = step.micro_batch_size or process_batch_size(settings, 1)
    running = RunningImportance()
    step.observers.append(lambda update: running.update(update.of_samples.abs()))
    trusted = config is not None or allow_imports
    if not trusted:
        trust.refuse_foreign_data(data['dataset'], 'train_dataloader.dataset', loaded.path)
    with trust.building(data['dataset'], 'train_dataloader.dataset', loaded.path, trusted):
        loader = _loader(settings, loaded.meta)
    batches = iter(loader)
    for done in range(1, num_batches + 1):
        batch = restorer.data_preprocessor(next(batches), training=True)
        if fisher:
            for gradient in _sample_gradients(restorer, batch):
                running.update(gradient.square())
        else:
            step.gradient(restorer, batch)
        if running.mean is None or not running.mean.isfinite().all():
            raise FloatingPointError(
                f'{loaded.path}: gradients of batch {done} are not finite: its training diverged. '
                f'Use an earlier checkpoint'
            )
        progress(done)
    statistic = 'fisher' if fisher else 'abs_gradient'
    named = restorer.named_trained_parameters()
    importance = Importance.accumulated(named, running, statistic).entry()
    if loaded.meta.is_ours:
        return {**loaded.content, 'importance': importance}
    weights = {name: value.cpu() for name, value in restorer.state_dict().items()}
    return {'state_dict': weights, 'importance': importance}


def _sample_gradients(restorer: Restorer, batch: dict[str, Any]) -> Iterator[Tensor]:
    """The gradient (P,) of the loss of each single sample of a preprocessed batch."""
    assert restorer.step is not None
    update = Update(restorer, batch, flat_gradient, None, None)
    update.objectives = {'main': restorer.step.objective}
    for i in range(update.total):
        yield update.total * update.differentiate('main', select(batch, [i]), flat_gradient)


def _loader(config: dict[str, Any], meta: CheckpointMeta) -> DataLoader:
    settings = config['train_dataloader']
    dataset = DATASETS.build(settings['dataset'])
    size = meta.global_batch or process_batch_size(config, 1)
    sampler = IterationSampler(dataset, meta.seed, size)
    sampler.start_iteration = meta.iter
    return DataLoader(dataset, size, sampler=sampler, num_workers=settings['num_workers'])
