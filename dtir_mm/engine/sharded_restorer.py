"""The model wrapper for pre-training networks too large for one device with their optimiser."""

from collections.abc import Sequence

import torch
from mmengine.dist import get_world_size
from torch import Tensor, nn

from dtir_mm.engine.distributed_restorer import DistributedRestorer
from dtir_mm.models.conditioning.conditioned_backbone import ConditionedBackbone
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class ShardedRestorer(DistributedRestorer):
    """Shards weights, gradients and the optimiser's state over the processes (FSDP).

    It applies torch's ``fully_shard`` to each block of the network and to the rest, so that a
    block's weights are gathered only while it runs. Checkpoints do not change. It supports only
    pre-training, because fine-tuning combines full gradients.

    Args:
        module: the restorer.

    Raises:
        ValueError: training combines gradients, or there is a single process.
    """

    shards = True

    def __init__(self, module: Restorer) -> None:
        step = module.step
        assert step is not None
        if step.combines_gradients:
            raise ValueError(
                'model_wrapper_cfg.type="ShardedRestorer" (FSDP) is for pre-training: '
                'model.step.mixing and model.step.regularizers need full gradients. To save '
                'memory, set model.step.micro_batch_size or model.backbone.checkpoint_activations'
            )
        if get_world_size() == 1:
            raise ValueError(
                'model_wrapper_cfg.type="ShardedRestorer" (FSDP) shards a network over several '
                'processes: start them with tools/dist_train.sh'
            )
        module.init_weights()
        super().__init__(module)
        self._shard(module.backbone)
        step.differentiate = _accumulate_shards
        step.assign = _keep_shards

    def _shard(self, backbone: ConditionedBackbone) -> None:
        # Takes half a second to import, which few runs need.
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard

        device = next(backbone.parameters()).device.type
        mesh = init_device_mesh(device, (get_world_size(),))
        for block in backbone.trace.composite_blocks():
            fully_shard(block, mesh=mesh)
        # Also after a forward without backward, so that hooks always see sharded weights.
        fully_shard(backbone, mesh=mesh, reshard_after_forward=True)
        for part in backbone.modules():
            if isinstance(part, FSDPModule):
                part.set_gradient_divide_factor(1.0)  # losses are divided by the global batch


def _accumulate_shards(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Adds a loss's gradient, summed over processes, to this process's shards in ``.grad``.

    Returns a number, (1,), that is finite if the shards are.
    """
    from torch.distributed.tensor import DTensor

    loss.backward()
    sums = [p.grad.to_local().sum() for p in parameters if isinstance(p.grad, DTensor)]
    return torch.stack(sums).sum().reshape(1)


def _keep_shards(gradient: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """The shards are in ``.grad`` already."""
