"""Interpolation between pre-trained and fine-tuned weights (WiSE-FT, Wortsman et al., 2022).

A baseline for the importance penalty that takes no training. The paper does not compare with it.
"""

from typing import Any

import torch
from torch import Tensor

from dtir_mm.engine.checkpoint import Checkpoint
from dtir_mm.models.matching_weights import best, fit
from dtir_mm.models.wrapped_weights import candidates
from dtir_mm.weights_file import CheckpointError


def interpolate_weights(
    pretrained: Checkpoint, finetuned: Checkpoint, share: float
) -> dict[str, Any]:
    """The content of a checkpoint of ``(1 - share) pretrained + share finetuned``, to be saved.

    It has the meta of the fine-tuned checkpoint, if any.

    Raises:
        ValueError: ``share`` is outside [0, 1].
        CheckpointError: the architectures differ, values are not finite, or tensors have different
            kinds; the message names them.
    """
    if not 0 <= share <= 1:
        raise ValueError(f'share={share} of the fine-tuned weights must lie in [0, 1]')
    source, target = f'{pretrained.path} (pre-trained)', f'{finetuned.path} (fine-tuned)'
    after = next(candidates(finetuned.content, target)).weights
    found = best(fit(before, after) for before in candidates(pretrained.content, source))
    if not found.is_exact:
        raise CheckpointError(found.difference(source, target))
    before = found.candidate.weights
    for name, value in after.items():
        _require_comparable(name, before[name], value, source, target)
    weights = {name: _between(before[name], value, share) for name, value in after.items()}
    meta = {key: value for key, value in finetuned.content.items() if key == 'meta'}
    return {**meta, 'state_dict': weights}


def _require_comparable(name: str, before: Tensor, after: Tensor, source: str, target: str) -> None:
    if before.is_floating_point() != after.is_floating_point():
        raise CheckpointError(
            f'{name} is {before.dtype} in {source}, but {after.dtype} in {target}: both must be '
            f'floating point, or both integers'
        )
    if not after.is_floating_point():
        return
    same = before.to(after.dtype) == after
    for values, file in ((before, source), (after, target)):
        if count := int((~values.isfinite() & ~same).sum()):
            raise CheckpointError(
                f'{file}: {count} of {values.numel()} values of {name} are not finite (NaN or '
                f'infinite): its training diverged, or the file is damaged. Use an earlier '
                f'checkpoint'
            )


def _between(before: Tensor, after: Tensor, share: float) -> Tensor:
    """Interpolates, except for index tables, counters, and infinities of masks."""
    if not after.is_floating_point():
        return after
    before = before.to(after.dtype)
    return torch.where(before == after, after, before.lerp(after, share))
