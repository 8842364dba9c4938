"""The model wrapper for several processes; restorers sum gradients themselves."""

import torch
from mmengine.dist import broadcast
from torch import nn

from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class DistributedRestorer(nn.Module):
    """Broadcasts the weights of the first process, and has the restorer's steps.

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
        self.train_step = module.train_step
        self.val_step = module.val_step
        self.test_step = module.test_step
