"""Sizes, batches and tasks of a data set that do not fit a restorer, without reading images."""

from collections.abc import Iterable, Iterator, Sequence

from torch.utils.data import Dataset

from dtir_mm.datasets.sample_sizes import Extent, sample_extents
from dtir_mm.models.objectives import GENERATIVE, Reconstruction
from dtir_mm.models.restorers.restorer import Restorer


def training_faults(restorer: Restorer, dataset: Dataset, batch_size: int) -> list[str]:
    """What would stop training, now or when a task joins; one line for each fault."""
    assert restorer.step is not None
    where, objective = 'train_dataloader', restorer.step.objective
    faults: list[str] = []
    extents = list(dict.fromkeys(sample_extents(dataset)))
    if any(parameter.requires_grad for parameter in restorer.backbone.parameters()):
        rule = restorer.backbone.size_rule
        wrong = [e for e in extents if e.size and not rule.takes(*e.size)]
        for extent in wrong[:1]:  # patches of all files have one size
            size = max(rule.enclosing(*extent.size)) if extent.size else 0
            faults.append(
                f'{where}: {_text(extent)} to train on: {rule.describe()}. Cut patches of such a '
                f'size (RandomPatch in its dataset.pipeline), e.g. size={size}'
            )
    if batch_size > 1:
        faults += _mixed_sizes(where, [extents])
    if isinstance(objective, Reconstruction):
        faults += _unknown_tasks(where, restorer, dataset)
    return faults


def val_faults(
    restorer: Restorer,
    where: str,
    dataset: Dataset,
    extents: Sequence[Extent],
    batches: Iterable[Sequence[int]],
) -> list[str]:
    """What would stop a validation or test; one line for each fault.

    Args:
        restorer: the model.
        where: the loader's key in the config.
        dataset: its data set.
        extents: ``sample_extents`` of the data set.
        batches: indices of the samples of each batch.
    """
    faults = _mixed_sizes(where, ([extents[i] for i in batch] for batch in batches))
    if restorer.inference == 'task':
        faults += _unknown_tasks(where, restorer, dataset)
    if where == 'val_dataloader' and _measures_noise(restorer):
        smallest, _ = restorer.backbone.size_rule.enclosing(1, 1)
        small = [e for e in dict.fromkeys(extents) if e.size and min(e.size) < smallest]
        if small:
            others = f' and {len(small) - 1} others' if len(small) > 1 else ''
            faults.append(
                f'{where}: {_text(small[0])}{others}, too small to measure the noise loss on: '
                f'{restorer.backbone.size_rule.describe()}. Leave such images out'
            )
    return faults


def _measures_noise(restorer: Restorer) -> bool:
    """Whether validation measures the generative loss, which it does on unpadded images."""
    step = restorer.step
    return step is not None and (step.mixing is not None or step.objective.name in GENERATIVE)


def _mixed_sizes(where: str, batches: Iterable[Sequence[Extent]]) -> list[str]:
    """A fault for the first batch with images of different sizes, if any."""
    for batch in batches:
        sized = [extent for extent in batch if extent.size]
        other = next((extent for extent in sized if extent.size != sized[0].size), None)
        if other is not None:
            return [
                f'{where}: a batch cannot hold images of two sizes: {_text(sized[0])}, '
                f'{_text(other)}. Set {where}.batch_size=1, or cut patches (RandomPatch)'
            ]
    return []


def _unknown_tasks(where: str, restorer: Restorer, dataset: Dataset) -> Iterator[str]:
    for task in getattr(dataset, 'tasks', []):
        try:
            restorer.timesteps[task]
        except KeyError as error:
            yield f'{where}: {error.args[0]}'


def _text(extent: Extent) -> str:
    height, width = extent.size or (0, 0)
    return f'{extent.file} gives {height} x {width} pixels'
