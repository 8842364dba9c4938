"""Layer-wise decay: how deep generative gradient and importance penalty reach (Eq. 10, 21)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook

from dtir_mm.models.regularizers.layer_decay import layer_decay
from dtir_mm.models.regularizers.regularizer import LayerDecay
from dtir_mm.registry import HOOKS


@HOOKS.register_module()
class LayerWiseDecayHook(Hook):
    """Sets the training step's gate and decay of lambda from t_mat and each block's depth.

    A config without this hook is the ablation "w/o w_decay".

    Args:
        rate: a of w(t) = exp(-a t); 0.05 in the paper.
        gate: mode for the generative gradient; see ``regularizers/layer_decay.py``.
        fraction: fraction of the depth that the gate passes, instead of w(t) (Fig. 3).
        penalty: mode for lambda_k of each tensor.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        rate: float = 0.05,
        gate: str = 'cut',
        fraction: float | None = None,
        penalty: str = 'soft',
    ) -> None:
        depth = torch.zeros(1)
        layer_decay(depth, 1, rate, gate, fraction)  # fails before training if invalid
        layer_decay(depth, 1, rate, penalty)
        self.rate = rate
        self.gate = gate
        self.fraction = fraction
        self.penalty = penalty

    def before_train(self, runner: Any) -> None:
        """Sets the factors for the first tasks."""
        self.apply(runner, runner.train_loop.schedule.tasks_at(runner.iter))

    def before_stage(self, runner: Any, tasks: Sequence[str]) -> None:
        """Sets the factors for the tasks of a new stage."""
        self.apply(runner, tasks)

    def apply(self, runner: Any, tasks: Sequence[str]) -> None:
        """Sets and logs the factors, averaged over the tasks, which share each batch.

        The visualizer gets the share of the blocks that the generative gradient reaches as
        ``gate/reach``, and the mean of its factors over the blocks as ``gate/mean``.
        """
        restorer = runner.restorer
        order = restorer.backbone.trace.order
        depth = torch.tensor(list(restorer.backbone.trace.depths.values()))
        steps = [restorer.timesteps[task] for task in tasks]

        def factors(mode: str, fraction: float | None = None) -> torch.Tensor:
            each = [layer_decay(depth, t, self.rate, mode, fraction) for t in steps]
            return torch.stack(each).mean(0)

        gate, penalty = factors(self.gate, self.fraction), factors(self.penalty)
        blocks = restorer.backbone.parameter_blocks()
        names = [name.removeprefix('backbone.') for name in restorer.named_trained_parameters()]
        decay = LayerDecay(len(names))
        for place, name in enumerate(names):
            rank = order.index(blocks[name])
            decay.gate[place], decay.penalty[place] = gate[rank], penalty[rank]
        restorer.step.layer_decay = decay
        reached = [
            block if factor == 1 else f'{block} x {factor:.2f}'
            for block, factor in zip(order, gate.tolist(), strict=True)
            if factor > 0
        ]
        shares = {'gate/reach': len(reached) / len(order), 'gate/mean': gate.mean().item()}
        runner.visualizer.add_scalars(shares, runner.iter)
        named = ', '.join(f'{task} (t={t})' for task, t in zip(tasks, steps, strict=True))
        runner.logger.info(
            f'layer-wise decay for {named}: the generative gradient reaches {len(reached)} of '
            f'{len(order)} blocks: {", ".join(reached)}; lambda falls to '
            f'{penalty.min():.2f} of its value'
        )
