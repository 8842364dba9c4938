"""Weight-space interpolation between pre-trained and fine-tuned weights (WiSE-FT).

Wortsman et al. (2022): a rival of the importance penalty that costs no training at all, so every
table that shows the penalty should show it too. The paper does not.
"""

from typing import Any

import torch
from torch import Tensor

from dtir_mm.models.matching_weights import best, fit
from dtir_mm.models.wrapped_weights import candidates
from dtir_mm.weights_file import CheckpointError


def interpolate_weights(
    pretrained: dict[str, Any], finetuned: dict[str, Any], share: float
) -> dict[str, Any]:
    """The fine-tuned checkpoint with ``(1 - share) pretrained + share finetuned`` as its weights.

    Of weights from elsewhere (``wrapped_weights.py``), which have no meta, the result has none.

    Raises:
        ValueError: ``share`` lies outside [0, 1].
        CheckpointError: the two are of different architectures; the message shows their names. Or
            values of theirs are not finite, or numbers of different kinds.
    """
    if not 0 <= share <= 1:
        raise ValueError(f'share={share} of the fine-tuned weights must lie in [0, 1]')
    after = next(candidates(finetuned, 'the fine-tuned checkpoint')).weights
    source = 'the pre-trained checkpoint'
    found = best(fit(before, after) for before in candidates(pretrained, source))
    if not found.is_exact:
        raise CheckpointError(found.difference(source, 'the fine-tuned one'))
    weights = {
        key: _between(key, found.candidate.weights[key], value, share)
        for key, value in after.items()
    }
    meta = {'meta': finetuned['meta']} if 'meta' in finetuned else {}
    return {**meta, 'state_dict': weights}


def _between(name: str, before: Tensor, after: Tensor, share: float) -> Tensor:
    """Tables of indices, and counters, have nothing between them; nor have infinities of masks."""
    if before.is_floating_point() != after.is_floating_point():
        raise CheckpointError(
            f'{name} is {before.dtype} in the pre-trained checkpoint, but {after.dtype} in the '
            f'fine-tuned one: both must be of one kind'
        )
    if not after.is_floating_point():
        return after
    before = before.to(after.dtype)
    same = before == after
    for values, which in ((before, 'pre-trained'), (after, 'fine-tuned')):
        if count := int((~values.isfinite() & ~same).sum()):
            raise CheckpointError(
                f'the {which} checkpoint: {count} of {values.numel()} values of {name} are not '
                f'finite (NaN or infinite): its training diverged, or the file is damaged. Take '
                f'an earlier checkpoint'
            )
    return torch.where(same, after, before.lerp(after, share))
