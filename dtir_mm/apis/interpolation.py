"""Weight-space interpolation between pre-trained and fine-tuned weights (WiSE-FT).

Wortsman et al. (2022): a rival of the importance penalty that costs no training at all, so every
table that shows the penalty should show it too. The paper does not.
"""

from typing import Any

from dtir_mm.engine.checkpoint import require_same_architecture


def interpolate_weights(
    pretrained: dict[str, Any], finetuned: dict[str, Any], share: float
) -> dict[str, Any]:
    """The fine-tuned checkpoint with ``(1 - share) pretrained + share finetuned`` as its weights.

    Raises:
        ValueError: ``share`` lies outside [0, 1].
        CheckpointError: the two are of different architectures; the message lists the keys.
    """
    if not 0 <= share <= 1:
        raise ValueError(f'share={share} of the fine-tuned weights must lie in [0, 1]')
    before, after = pretrained['state_dict'], finetuned['state_dict']
    require_same_architecture(before, after, 'the pre-trained checkpoint', 'the fine-tuned one')
    weights = {
        # Tables of indices, and counters, have nothing between them.
        key: before[key].lerp(value, share) if value.is_floating_point() else value
        for key, value in after.items()
    }
    return {'meta': finetuned['meta'], 'state_dict': weights}
