"""The model wrapper for several processes, without a reducer: restorers sum gradients."""

from typing import Any

import torch
from mmengine.dist import broadcast
from torch import nn

from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class DistributedRestorer(nn.Module):
    """Broadcasts the weights of the first process, and forwards the steps.

    torch's ``DistributedDataParallel`` averages gradients in ``backward``; restorers use
    ``autograd.grad``, which bypasses it, and combine gradients before and after the sum over
    processes (``models/restorers/training_step.py``).

    Args:
        module: the restorer.
    """

    module: Restorer
    shards = False  # whether each process holds a part of the weights

    def __init__(self, module: Restorer) -> None:
        super().__init__()
        self.module = module
        with torch.no_grad():
            for tensor in module.state_dict().values():
                broadcast(tensor, src=0)

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """The restorer's ``train_step``."""
        return self.module.train_step(*args, **kwargs)

    def val_step(self, *args: Any, **kwargs: Any) -> Any:
        """The restorer's ``val_step``."""
        return self.module.val_step(*args, **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """The restorer's ``test_step``."""
        return self.module.test_step(*args, **kwargs)
