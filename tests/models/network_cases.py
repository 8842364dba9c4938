"""Small networks that many tests condition, adapt or trace, and helpers for them."""

import torch
from torch import Tensor, nn

from dtir_mm.registry import MODELS

UNET = dict(
    type='DtirUNet', width=8, channel_multipliers=(1, 2), blocks_per_level=(2,), middle_blocks=1,
    num_groups=4,
)  # fmt: skip
NAFNET = dict(  # with a global skip
    type='mmagic.NAFNet', mid_channels=4, middle_blk_num=1, enc_blk_nums=[1, 2], dec_blk_nums=[1, 1]
)
RELEASED = dict(
    type='ReleasedNAFNet', width=4, encoder_blocks=(1,), middle_blocks=1, decoder_blocks=(1,)
)


def randomised(module: nn.Module, std: float = 0.3) -> nn.Module:
    """The module in float64, with weights that hide nothing behind a zero or a one."""
    for parameter in module.double().parameters():
        nn.init.normal_(parameter, std=std)
    return module


def wrap(backbone: dict, adapters: dict | None = None, **more) -> nn.Module:
    """A conditioned network in float64 with random weights everywhere, including FiLM."""
    config = dict(type='ConditionedBackbone', backbone=backbone, time_embedding=dict(dim=8))
    return randomised(MODELS.build(config | dict(adapters=adapters) | more))


def images(batch: int = 3, height: int = 8, width: int = 12) -> Tensor:
    return torch.rand(batch, 3, height, width, dtype=torch.float64) * 2 - 1


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
