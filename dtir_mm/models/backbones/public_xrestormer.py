"""X-Restormer as an architecture of spandrel, which lacks it."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dtir_mm.models.backbones.xrestormer import XRestormer

__all__ = ['XRestormer']  # what SpandrelRegistry registers

_LEVELS = ('encoder_level1', 'encoder_level2', 'encoder_level3', 'latent')
_PUBLISHED_EXPANSION = 2.66
_PUBLISHED_OVERLAP = 0.5


class XRestormerArchitecture:
    """What ``spandrel.Architecture`` asks for, without spandrel before it is needed."""

    id = name = 'XRestormer'

    def detect(self, weights: Mapping[str, Tensor]) -> bool:
        """Whether weights are those of an X-Restormer."""
        return 'encoder_level1.0.spatial_attn.rel_pos_emb.rel_height' in weights

    def load(self, weights: dict[str, Tensor]) -> Any:
        """The network of weights, as a ``spandrel.ImageModelDescriptor``."""
        from spandrel import ImageModelDescriptor, SizeRequirements

        network = XRestormer(**hyperparameters_of(weights))
        # torch types attributes of modules as tensors or modules.
        network.hyperparameters = hyperparameters_of(weights)  # type: ignore[assignment]
        return ImageModelDescriptor(
            network,
            weights,
            architecture=self,
            purpose='Restoration',
            tags=[],
            supports_half=False,
            supports_bfloat16=True,
            scale=1,
            input_channels=weights['patch_embed.proj.weight'].shape[1],
            output_channels=weights['output.weight'].shape[0],
            size_requirements=SizeRequirements(multiple_of=network.size_multiple),
        )


def hyperparameters_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of ``XRestormer`` for weights of these shapes, with the published overlap."""
    dim = weights['patch_embed.proj.weight'].shape[0]
    attention = [f'{level}.0.spatial_attn' for level in _LEVELS]
    offsets, head_channels = weights[f'{attention[0]}.rel_pos_emb.rel_height'].shape
    hidden = weights['encoder_level1.0.channel_ffn.project_out.weight'].shape[1]
    published = hidden == int(dim * _PUBLISHED_EXPANSION)
    return {
        'dim': dim,
        'num_blocks': [_length(weights, level) for level in _LEVELS],
        'num_refinement_blocks': _length(weights, 'refinement'),
        'channel_heads': [
            weights[f'{level}.0.channel_attn.temperature'].shape[0] for level in _LEVELS
        ],
        'spatial_heads': [
            weights[f'{part}.project_out.weight'].shape[1] // head_channels for part in attention
        ],
        'overlap_ratio': _PUBLISHED_OVERLAP,
        'window_size': round((offsets + 1) / 2 / (1 + _PUBLISHED_OVERLAP)),
        'spatial_dim_head': head_channels,
        'ffn_expansion_factor': _PUBLISHED_EXPANSION if published else hidden / dim,
    }


def _length(weights: Mapping[str, Tensor], stage: str) -> int:
    """The number of blocks of a stage."""
    return len({name.split('.')[1] for name in weights if name.startswith(f'{stage}.')})
