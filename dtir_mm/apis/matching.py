"""Finds the matching time step of each task for a pre-trained checkpoint."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from dtir_mm.apis.loading import load_restorer
from dtir_mm.datasets import DegradedPhotosDataset, PairedFolderDataset
from dtir_mm.datasets.base_dataset import RestorationDataset, SampleKey
from dtir_mm.diffusion.noise_schedule import VarianceExploding
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.files import require_writable
from dtir_mm.matching.conclusion import conclude
from dtir_mm.matching.given_timestep import given_timestep
from dtir_mm.matching.pairs import MIN_PAIRS, changed_pairs
from dtir_mm.matching.search import search
from dtir_mm.matching.time_effect import why_no_effect
from dtir_mm.matching.timestep_match import TimestepMatch
from dtir_mm.matching.timesteps_file import read_matches, same_source, write_timesteps
from dtir_mm.models.conditioning.conditioned_backbone import ConditionedBackbone
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import CRITERIA

FALLBACKS = ('recipe', 'paper', 'found')
Folder = str | Path
Method = str | Mapping[str, Any]


def match_timesteps(
    checkpoint: str | Path | Restorer,
    tasks: Sequence[str] | Mapping[str, tuple[Folder, Folder]],
    photos: Folder | None = None,
    *,
    method: Method = 'linear_probe',
    fallback: Method = 'recipe',
    num_images: int = 64,
    size: int = 128,
    shrink: float = 1.0,
    seed: int = 0,
    output: str | Path | None = None,
    overwrite: bool = False,
    config: str | Path | None = None,
    allow_imports: bool = False,
    progress: bool = False,
) -> dict[str, TimestepMatch]:
    """Finds the matching time step of each task; use training images, never test images.

    Args:
        checkpoint: of pre-training, its work directory, or a restorer.
        tasks: names of synthetic degradations of ``photos``; or, for your own pairs, a dict from
            any name to the folders of degraded images and of their ground truths.
        photos: folder of clean photographs.
        method: "paper" (Table 4), "random", "fixed:k", or a criterion: its name in ``CRITERIA`` or
            its config, such as ``dict(type='probe_train', iterations=200)``.
        fallback: t_mat of an unidentified task: "paper", Table 4's value, if any; "found", the best
            step anyway; "recipe", the former if the schedule is ``VarianceExploding``, else the
            latter; or another criterion to match by, and if that fails, as "recipe".
        num_images: crops per task, at least 4.
        size: side of a crop in pixels.
        shrink: factor that photographs are resized by before they are degraded.
        seed: of crops, criteria and the bootstrap.
        output: JSON file to write; if it exists, the tasks are added to it.
        overwrite: replace the output instead.
        config: see ``load_restorer``.
        allow_imports: see ``load_restorer``.
        progress: show progress bars.

    Returns:
        The match of each task, and of those that ``output`` already had.

    Raises:
        ValueError: a task, method or fallback is unknown, an argument is out of range, fewer than
            four pairs differ, errors are not finite, or the output is of other weights, another
            schedule or another image range.
        OSError: a folder is missing, or the output cannot be written.
    """
    if output is not None:
        output = Path(output)
        if output.suffix != '.json':
            raise ValueError(f'the output must be a .json file, got {output}')
        require_writable(output.parent)
    _check_arguments(tasks, num_images)
    datasets = _datasets(tasks, photos, size, shrink)
    if isinstance(checkpoint, Restorer):
        restorer, name = checkpoint.eval(), None
    else:
        loaded = load_checkpoint(checkpoint)  # refuses deployed networks
        restorer, name = load_restorer(loaded, config, allow_imports), str(checkpoint)
    if not isinstance(restorer.backbone, ConditionedBackbone):
        raise ValueError(
            f'{restorer.backbone.source} has no time conditioning, and so no step to match: name a '
            f'checkpoint of pre-training, which may start from public weights (PublicNetwork, '
            f'docs/backbones.md)'
        )
    rule = restorer.backbone.size_rule
    if not rule.takes(size, size):
        raise ValueError(f'size={size}: {rule.describe()}')
    if fallback not in FALLBACKS and CRITERIA.get(_name(fallback)) is None:
        known = ', '.join([*FALLBACKS, *CRITERIA.module_dict])
        raise ValueError(f'fallback {_name(fallback)!r} must be one of {known}')
    source = _source(restorer, name, seed)
    matches = {} if output is None or overwrite else _earlier_matches(output, source)
    matcher = _Matcher(restorer, num_images, seed, progress)
    for task, dataset in datasets.items():
        try:
            matches[task] = matcher.match_or_fall_back(task, dataset, method, fallback)
        except ValueError as error:
            raise ValueError(f'{task}: {error}') from error
    if output is not None:
        write_timesteps(output, {task: match.to_json() for task, match in matches.items()}, source)
    return matches


def _check_arguments(tasks: object, num_images: int) -> None:
    if isinstance(tasks, str) or not tasks:
        raise ValueError(f'tasks={tasks!r} must be a list of names, or a dict of pairs of folders')
    if num_images < MIN_PAIRS:
        raise ValueError(f'num_images={num_images} must be at least {MIN_PAIRS}')


@dataclass(frozen=True)
class _Matcher:
    restorer: Restorer
    num_images: int
    seed: int
    progress: bool

    def match_or_fall_back(
        self, task: str, dataset: RestorationDataset, method: Method, fallback: Method
    ) -> TimestepMatch:
        """The task's match by the method, or by the fallback if it is unidentified.

        The reason for "recipe": the authors' code uses Table 4, and a variance-exploding network
        hardly changes with t. A variance-preserving one treats most of its input as noise at large
        t, which fine-tuning has to unlearn first: there Table 4 costs decibels unless the curve
        agrees with it.
        """
        match = self._match(task, dataset, method)
        if match.status == 'unidentified' and fallback not in FALLBACKS:
            match = self._match(task, dataset, fallback)
        schedule = self.restorer.schedule
        exploding = isinstance(schedule, VarianceExploding)
        if fallback == 'paper' or (exploding and fallback != 'found'):
            match = match.or_table4(task, schedule.num_steps)
        return match

    @torch.no_grad()
    def _match(self, task: str, dataset: RestorationDataset, method: Method) -> TimestepMatch:
        num_steps = self.restorer.schedule.num_steps
        name = _name(method)
        if CRITERIA.get(name) is None:
            return given_timestep(name, task, num_steps, self.seed)
        criterion = CRITERIA.build({'type': method} if isinstance(method, str) else dict(method))
        pairs = changed_pairs(*self._pairs(task, dataset))
        why_flat = None if criterion.trains else why_no_effect(self.restorer, pairs[0])
        with tqdm(desc=f'{task}: {name}', unit='step', disable=not self.progress) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            criterion.report = bar.set_postfix_str
            errors_at = criterion.errors_at(self.restorer, *pairs, self.seed)
            evaluated = search(errors_at, num_steps, criterion.grid(num_steps), show)
            match = conclude(evaluated, name, num_steps, self.seed, criterion.min_gain, why_flat)
            bar.set_postfix_str(f't_mat = {match.t_mat}, {match.status}')
        return match

    def _pairs(self, task: str, dataset: RestorationDataset) -> tuple[Tensor, Tensor]:
        """Degraded and clean crops (N, 3, size, size) in the restorer's range."""
        count = range(self.num_images)
        keys = [SampleKey(self.seed, 0, i, i % len(dataset)) for i in count]
        device = next(self.restorer.parameters()).device
        with tqdm(keys, f'{task}: reading pairs', leave=False, disable=not self.progress) as bar:
            samples = [dataset[key] for key in bar]
        degraded, clean = (
            self.restorer.from_uint8(torch.stack([sample[name] for sample in samples]).to(device))
            for name in ('degraded', 'clean')
        )
        return degraded, clean


def _name(method: Method) -> str:
    return method if isinstance(method, str) else method['type']


def _datasets(
    tasks: Sequence[str] | Mapping[str, tuple[Folder, Folder]],
    photos: Folder | None,
    size: int,
    shrink: float,
) -> dict[str, RestorationDataset]:
    """The pairs of each task, for all tasks before any is matched, which takes hours."""
    pipeline: list[dict[str, Any]] = [{'type': 'RandomPatch', 'size': size}, {'type': 'PackSample'}]
    if isinstance(tasks, Mapping) == (photos is not None):
        raise ValueError(
            f'tasks must be names of synthetic degradations with photos, or a dict from name to '
            f'(degraded folder, clean folder) without; got tasks={tasks!r}, photos={photos!r}'
        )
    if isinstance(tasks, Mapping):
        return {
            task: PairedFolderDataset(str(degraded), str(clean), task, pipeline)
            for task, (degraded, clean) in tasks.items()
        }
    return {
        task: DegradedPhotosDataset(str(photos), task, pipeline, shrink=shrink) for task in tasks
    }


def _source(restorer: Restorer, checkpoint: str | None, seed: int) -> dict[str, Any]:
    """What the matches depend on."""
    digest = hashlib.sha256()
    for weight in restorer.state_dict().values():
        digest.update(weight.cpu().numpy().tobytes())
    return {
        'checkpoint': checkpoint,
        'weights_sha256': digest.hexdigest(),
        'schedule': restorer.schedule.config,
        'num_steps': restorer.schedule.num_steps,
        'image_range': list(restorer.image_range),
        'seed': seed,
    }


def _earlier_matches(output: Path, source: Mapping[str, Any]) -> dict[str, TimestepMatch]:
    """The matches of other tasks in the output."""
    if not output.exists():
        return {}
    earlier = read_matches(output)
    if not same_source(output, source):
        raise ValueError(
            f'{output} has time steps of other weights, another schedule or another image range: '
            f'name another file, or replace it (--overwrite)'
        )
    return {task: TimestepMatch.from_json(match) for task, match in earlier.items()}
