"""Weights of the authors' released code under the names of ``ConditionedBackbone``.

The release (xin1u/EEDTP) saves a plain dict of its network's tensors, with those of its adapters in
stage 3. Here they belong to ``ReleasedNAFNet`` with ``GatedTimeEmbedding`` and ``DecoderAdapters``.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_WRAPPED = 'module.'  # of torch's DistributedDataParallel
_OURS_OF_STAGE = {'encoders': 'encoders', 'middle_blks': 'middle', 'decoders': 'decoders'}
_OURS_OF_LAYER = {
    'conv1': 'widen',
    'conv2': 'depthwise',
    'conv3': 'project',
    'conv4': 'widen_again',
    'conv5': 'project_again',
    'sca.1': 'attention',
}
_OURS_OF_SCALE = {'beta': 'scale1', 'gamma': 'scale2'}
_OURS_OF_CONV = {'0': 'down', '2': 'across', '4': 'up'}
_BLOCK = re.compile(r'(encoders\.\d+|middle_blks|decoders\.\d+)\.(\d+)\.(.+)')
_ADAPTER = re.compile(r'moe_adapters\.(\d+)\.adapter\.(.+)')
_EXPERT = re.compile(r'experts\.(\d+)\.([024])\.(weight|bias)')


def is_release(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of the released network, by their names."""
    names = {name.removeprefix(_WRAPPED) for name in weights}
    return {'intro.weight', 'time_mlp.1.weight', 'ending.weight'} <= names


def from_release(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights by the names of a ``ConditionedBackbone``; a tensor may be shared.

    Raises:
        ValueError: a tensor is none of the released network's; the message lists its name.
    """
    ours: dict[str, Tensor] = {}
    experts: dict[str, dict[int, Tensor]] = {}
    unknown = []
    for full, tensor in weights.items():
        name = full.removeprefix(_WRAPPED)
        if match := _ADAPTER.fullmatch(name):
            prefix, rest = f'adapters.experts.decoders_{match[1]}', match[2]
            if expert := _EXPERT.fullmatch(rest):
                stacked = f'{prefix}.{_OURS_OF_CONV[expert[2]]}.{expert[3]}'
                experts.setdefault(stacked, {})[int(expert[1])] = tensor
                continue
            found = _adapters_own(prefix, rest, tensor)
        elif match := _BLOCK.fullmatch(name):
            stage, _, level = match[1].partition('.')
            path = '.'.join(filter(None, [_OURS_OF_STAGE[stage], level, match[2]]))
            found = _of_block(path, match[3], tensor)
        else:
            found = _outside_blocks(name, tensor)
        ours |= found
        if not found:
            unknown.append(full)
    if unknown:
        raise ValueError(
            f'the released network has no tensors of these names: {", ".join(unknown)}'
        )
    # Ours computes all experts of a site at once.
    stacks = {name: torch.cat([parts[i] for i in sorted(parts)]) for name, parts in experts.items()}
    return ours | stacks


def _outside_blocks(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Stem, head, changes of resolution and time embedding; empty where it is none of these."""
    renamed = {'intro': 'net.stem', 'ending': 'net.conv_out'}
    renamed |= {'time_mlp.1': 'time_embedding.mlp.0', 'time_mlp.3': 'time_embedding.mlp.2'}
    module, _, parameter = name.rpartition('.')
    if re.fullmatch(r'downs\.\d+|ups\.\d+\.0', module):
        renamed[module] = f'net.{module}'
    known = module in renamed and parameter in ('weight', 'bias')
    return {f'{renamed[module]}.{parameter}': tensor} if known else {}


def _of_block(block: str, name: str, tensor: Tensor) -> dict[str, Tensor]:
    """A tensor of the block of that name in our network; empty where a block has none such."""
    if name in _OURS_OF_SCALE:
        return {f'net.{block}.{_OURS_OF_SCALE[name]}': tensor.squeeze(0)}
    if name in ('norm1.g', 'norm2.g'):
        return {f'net.{block}.{name[:-2]}.weight': tensor.flatten()}
    module, _, parameter = name.rpartition('.')
    if parameter not in ('weight', 'bias'):
        return {}
    if module in _OURS_OF_LAYER:
        return {f'net.{block}.{_OURS_OF_LAYER[module]}.{parameter}': tensor}
    if module != 'mlp.1':
        return {}
    # Theirs gives shift and scale of the first norm, then of the second; ours scale and shift.
    shift1, scale1, shift2, scale2 = tensor.chunk(4)
    film = f'films.{block.replace(".", "_")}'
    return {
        f'{film}_norm1.linear.{parameter}': torch.cat([scale1, shift1]),
        f'{film}_norm2.linear.{parameter}': torch.cat([scale2, shift2]),
    }


def _adapters_own(prefix: str, name: str, tensor: Tensor) -> dict[str, Tensor]:
    """What an adapter has beside its experts; empty where that is nothing of this name."""
    renamed = {'time_emb.weight': 'steps.weight', 'scale': 'scale'}
    renamed |= {n: n for n in (f'router.{i}.{p}' for i in (0, 2) for p in ('weight', 'bias'))}
    return {f'{prefix}.{renamed[name]}': tensor} if name in renamed else {}
