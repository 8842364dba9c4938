"""Parameter importance of finished weights: Alg. 6 on any checkpoint, without training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch.utils.data import DataLoader

from dtir_mm.apis.restoring import load_restorer
from dtir_mm.engine.checkpoint import config_of, load_checkpoint
from dtir_mm.engine.hooks.importance_accumulation_hook import importance_of
from dtir_mm.engine.iteration_sampler import IterationSampler
from dtir_mm.models.preprocessor import select
from dtir_mm.models.regularizers.parameter_importance import RunningImportance
from dtir_mm.models.restorers.generative_pretrainer import GenerativePretrainer
from dtir_mm.registry import DATASETS

_NOT_OF_SAMPLES = ('importance_loss', 'orthogonality_loss')


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
    """
    if num_batches < 1:
        raise ValueError(f'num_batches={num_batches} must be at least 1')
    loaded = load_checkpoint(checkpoint)
    settings = Config.fromfile(config).to_dict() if config else config_of(loaded)
    model, data = settings['model'], settings['train_dataloader']
    overrides: dict[str, Any] = {name: None for name in _NOT_OF_SAMPLES if name in model}
    # The batches of all processes, in parts as large as one process had.
    overrides['micro_batch_size'] = model.get('micro_batch_size') or data['batch_size']
    restorer = load_restorer(checkpoint, config, allow_imports, **overrides).train()
    if fisher and type(restorer) is not GenerativePretrainer:
        raise ValueError(
            f'{checkpoint} is of {type(restorer).__name__}: the Fisher information of single '
            f'samples (fisher) is taken of GenerativePretrainer, the pre-training, alone'
        )
    running = RunningImportance()
    restorer.gradient_observers.append(
        lambda gradient: running.update(gradient.square() if fisher else gradient.abs())
    )
    batches = iter(_loader(data, loaded.get('meta', {})))
    for done in range(1, num_batches + 1):
        batch = restorer.data_preprocessor(next(batches), training=True)
        count = len(batch['path'])
        for samples in [[i] for i in range(count)] if fisher else [list(range(count))]:
            restorer.compute_gradient(select(batch, samples))
        progress(done)
    statistic = 'fisher' if fisher else 'abs_gradient'
    return {**loaded, 'importance': importance_of(restorer, running, statistic)}


def _loader(settings: dict[str, Any], meta: dict[str, Any]) -> DataLoader:
    dataset = DATASETS.build(settings['dataset'])
    size = meta.get('global_batch', settings['batch_size'])
    sampler = IterationSampler(dataset, meta.get('seed', 0), size, meta.get('iter', 0))
    return DataLoader(dataset, size, sampler=sampler, num_workers=settings['num_workers'])
