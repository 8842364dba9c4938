"""Restoration architectures at tiny sizes, and their expected properties."""

from typing import Any, NamedTuple

import spandrel
import spandrel_extra_arches
import torch
from torch import Tensor, nn

from dtir_mm.registry import MODELS


class Case(NamedTuple):
    network: dict[str, Any]
    films: int  # groups of norms (or convolutions) that share a FiLM layer
    first: str  # blocks that are executed first and last
    last: str
    side: int = 16  # of the images that it is trained on
    learning_rate: float = 2e-3
    conditioning: list[str] | None = None


CASES = {
    'NAFNet': Case(
        dict(type='spandrel.NAFNet', width=8, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
        films=5, first='intro', last='ending',
    ),
    'Restormer': Case(
        dict(
            type='spandrel.Restormer', dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1,
            heads=[1, 1, 2, 2],
        ),
        films=8, first='patch_embed', last='output',
    ),
    'X-Restormer': Case(
        dict(
            type='XRestormer', dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1,
            window_size=2, overlap_ratio=1.0, spatial_dim_head=4,
        ),
        films=8, first='patch_embed', last='output',
    ),
    'SwinIR': Case(
        dict(
            type='spandrel.SwinIR', upscale=1, img_size=16, window_size=4, depths=[2, 2],
            num_heads=[2, 2], embed_dim=12, mlp_ratio=2.0,
        ),
        films=4, first='conv_first', last='conv_last',
    ),
    'Uformer': Case(
        dict(
            type='spandrel.Uformer', embed_dim=4, win_size=2, depths=[1] * 9, num_heads=[1] * 9,
            mlp_ratio=1.0, drop_path_rate=0.0,
        ),
        films=9, first='input_proj', last='output_proj', side=32,
    ),
    'MPRNet': Case(
        dict(
            type='spandrel.MPRNet', n_feat=8, scale_unetfeats=4, scale_orsnetfeats=4, num_cab=1
        ),
        films=23, first='shallow_feat1.0', last='tail',
    ),
    'MIRNet2': Case(
        dict(type='spandrel.MIRNet2', n_feat=16, n_MRB=1),
        films=3, first='conv_in', last='conv_out',
        conditioning=['body.*.dau_*.body.*[02]'],  # not the masks, which a softmax follows
    ),
    'RetinexFormer': Case(
        dict(type='spandrel.RetinexFormer', n_feat=8, stage=1),
        films=3, first='body.0.estimator', last='body.0.denoiser.mapping',
    ),
    'MixDehazeNet': Case(
        dict(type='spandrel.MixDehazeNet', embed_dims=[8, 16, 32, 16, 8], depths=[1] * 5),
        films=5, first='patch_embed', last='patch_unembed', side=40,
    ),
    'KBNet': Case(
        dict(
            type='spandrel.KBNet_s', width=8, middle_blk_num=1, enc_blk_nums=[1, 1],
            dec_blk_nums=[1, 1],
        ),
        films=5, first='intro', last='ending',
    ),
    'FFTformer': Case(
        dict(
            type='spandrel.FFTformer', dim=8, num_blocks=[1, 1, 1], num_refinement_blocks=1,
            ffn_expansion_factor=2,
        ),
        films=13, first='patch_embed', last='reduce_chan_level2', side=32,  # which never runs
    ),
    'SCUNet': Case(
        dict(type='spandrel.SCUNet', config=[1] * 7, dim=64),
        films=7, first='m_head.0', last='m_tail.0', side=40, learning_rate=5e-4,
    ),
    'DRUNet': Case(
        dict(type='spandrel.DRUNet', in_nc=4, out_nc=3, nc=[8, 8, 16, 16], nb=2),
        films=9, first='m_head', last='m_tail',
    ),
}  # fmt: skip


def bare_network(name: str) -> nn.Module:
    """The network with random weights, of the class that its authors wrote."""
    torch.manual_seed(1)
    arguments = {key: value for key, value in CASES[name].network.items() if key != 'type'}
    backbone = MODELS.get(CASES[name].network['type'])
    network = getattr(backbone, 'network', backbone)(**arguments).eval()
    for parameter in network.parameters():  # gammas of zero would hide what is behind them
        parameter.data += 0.02 * torch.randn_like(parameter)
    return network


def in_its_own_way(name: str, bare: nn.Module, image: Tensor) -> Tensor:
    """What it makes of an image in [0, 1], in [-1, 1]."""
    if name in ('X-Restormer', 'MixDehazeNet'):  # they take [-1, 1] themselves
        return bare(image * 2 - 1)
    captured = []
    found = spandrel_loader().load_from_state_dict(bare.state_dict())

    def capture(module: nn.Module, inputs: tuple, output: Any) -> None:  # it is clamped afterwards
        captured.append((output[0] if isinstance(output, (list, tuple)) else output).clone())

    found.model.register_forward_hook(capture)
    found(image)
    return captured[0] * 2 - 1


def spandrel_loader() -> Any:
    registry = spandrel.MAIN_REGISTRY.copy()
    registry.add(*spandrel_extra_arches.EXTRA_REGISTRY)
    return spandrel.ModelLoader(registry=registry)
