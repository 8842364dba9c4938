"""Weights of the authors' released code under the names of ``ConditionedBackbone``.

The release (xin1u/EEDTP) saves a plain dict of its network's tensors, with its adapters in stage 3.
Here they belong to ``ReleasedNAFNet`` with ``GatedTimeEmbedding`` and ``DecoderAdapters``.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_WRAPPED = 'module.'  # of torch's DistributedDataParallel
_BLOCK = r'((?:encoders\.\d+|middle|decoders\.\d+)\.\d+)\.'
_ADAPTER = r'moe_adapters\.(\d+)\.adapter\.'
_ADAPTER_HERE = r'adapters.experts.decoders_\1'
_PARAMETER = r'\.(weight|bias)'
_LAYERS = {
    'conv1': 'widen', 'conv2': 'depthwise', 'sca.1': 'attention', 'conv3': 'project',
    'conv4': 'widen_again', 'conv5': 'project_again',
}  # fmt: skip
_EXPERT_LAYERS = {'0': 'down', '2': 'across', '4': 'up'}
# Their names, as regular expressions, and ours.
_RENAMED = {
    rf'intro{_PARAMETER}': r'net.stem.\1',
    rf'ending{_PARAMETER}': r'net.conv_out.\1',
    rf'(downs\.\d+|ups\.\d+\.0){_PARAMETER}': r'net.\1.\2',
    rf'time_mlp\.1{_PARAMETER}': r'time_embedding.mlp.0.\1',
    rf'time_mlp\.3{_PARAMETER}': r'time_embedding.mlp.2.\1',
    rf'{_BLOCK}(norm[12])\.g': r'net.\1.\2.weight',
    rf'{_BLOCK}beta': r'net.\1.scale1',
    rf'{_BLOCK}gamma': r'net.\1.scale2',
    **{
        rf'{_BLOCK}{re.escape(theirs)}{_PARAMETER}': rf'net.\1.{ours}.\2'
        for theirs, ours in _LAYERS.items()
    },
    rf'{_ADAPTER}time_emb\.weight': rf'{_ADAPTER_HERE}.steps.weight',
    rf'{_ADAPTER}(scale|router\.[02]\.(?:weight|bias))': rf'{_ADAPTER_HERE}.\2',
}
_FILMS = re.compile(rf'{_BLOCK}mlp\.1{_PARAMETER}')
_EXPERT = re.compile(rf'{_ADAPTER}experts\.(\d+)\.([024]){_PARAMETER}')


def is_release(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of the released network, by their names."""
    names = {name.removeprefix(_WRAPPED) for name in weights}
    return {'intro.weight', 'time_mlp.1.weight', 'ending.weight'} <= names


def from_release(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights by the names of a ``ConditionedBackbone``; memory may be shared.

    Raises:
        ValueError: a tensor is none of the released network's; the message lists its name.
    """
    ours: dict[str, Tensor] = {}
    experts: dict[str, dict[int, Tensor]] = {}
    unknown = []
    for full, tensor in weights.items():
        name = full.removeprefix(_WRAPPED).replace('middle_blks', 'middle')
        if expert := _EXPERT.fullmatch(name):
            layer = f'{expert.expand(_ADAPTER_HERE)}.{_EXPERT_LAYERS[expert[3]]}.{expert[4]}'
            experts.setdefault(layer, {})[int(expert[2])] = tensor
        elif films := _FILMS.fullmatch(name):
            # Theirs gives shift and scale of the first norm, then of the second; ours scale, shift.
            shift1, scale1, shift2, scale2 = tensor.chunk(4)
            film = f'films.{films[1].replace(".", "_")}'
            ours[f'{film}_norm1.linear.{films[2]}'] = torch.cat([scale1, shift1])
            ours[f'{film}_norm2.linear.{films[2]}'] = torch.cat([scale2, shift2])
        elif renamed := _renamed(name):
            ours[renamed] = _reshaped(name, tensor)
        else:
            unknown.append(full)
    if unknown:
        raise ValueError(
            f'the released network has no tensors of these names: {", ".join(unknown)}'
        )
    # Ours computes all experts of a site at once.
    stacks = {name: torch.cat([parts[i] for i in sorted(parts)]) for name, parts in experts.items()}
    return ours | stacks


def _renamed(name: str) -> str | None:
    matches = ((re.fullmatch(theirs, name), ours) for theirs, ours in _RENAMED.items())
    return next((match.expand(ours) for match, ours in matches if match), None)


def _reshaped(name: str, tensor: Tensor) -> Tensor:
    """Gains of norms (1, C, 1, 1) as (C,), factors of blocks as (C, 1, 1)."""
    if name.endswith('.g'):
        return tensor.flatten()
    return tensor.squeeze(0) if name.endswith(('.beta', '.gamma')) else tensor
