"""The blocks of a restorer's network, and how large a gradient or a change is in each."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer


class Blocks:
    """The blocks of a network, in order of depth.

    Args:
        restorer: whose trained parameters, P values, all belong to its network.
    """

    def __init__(self, restorer: 'Restorer') -> None:
        block_of = restorer.backbone.parameter_blocks()
        named = restorer.named_trained_parameters()
        self.names = restorer.backbone.trace.order
        self._sizes = [parameter.numel() for parameter in named.values()]
        self._places = torch.tensor(
            [self.names.index(block_of[name.removeprefix('backbone.')]) for name in named]
        )

    def squared_norms(self, vector: Tensor) -> Tensor:
        """The squared norm of each block's part (blocks,) of a vector (P,)."""
        parts = torch.stack([part.square().sum() for part in vector.split(self._sizes)])
        places = self._places.to(parts.device)
        return parts.new_zeros(len(self.names)).index_add(0, places, parts)
