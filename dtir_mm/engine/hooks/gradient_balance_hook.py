"""The size of the generative gradient relative to that of restoration, in each block."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from dtir_mm.models.regularizers.regularizer import Update
from dtir_mm.registry import HOOKS

INTERVAL = 500  # updates between measurements


@HOOKS.register_module()
class GradientBalanceHook(Hook):
    """Logs the ratio of the gradient norms of L_g and of the content loss for each block.

    Global norms mislead: nearly all of the content loss's gradient is in the last convolution,
    while in earlier blocks the generative gradient is often several times as large, which under
    Adam shrinks the restoration steps. The visualizer gets the ratios as ``balance/<block>``, the
    text log their median, minimum and maximum.
    """

    priority = 'LOW'

    def before_train(self, runner: Any) -> None:
        """Registers an observer of the gradients."""
        restorer = runner.restorer
        blocks = restorer.backbone.parameter_blocks()
        order = restorer.backbone.trace.order
        names = [name.removeprefix('backbone.') for name in restorer.named_trained_parameters()]
        places = torch.tensor([order.index(blocks[name]) for name in names])

        def observe(update: Update) -> None:
            if update.counts['mixed'] and runner.iter % INTERVAL == 0:
                self._log(runner, order, block_ratios(update, places))

        restorer.step.observers.append(observe)

    def _log(self, runner: Any, order: list[str], ratios: Tensor) -> None:
        known = {
            block: ratio
            for block, ratio in zip(order, ratios.tolist(), strict=True)
            if ratio == ratio
        }
        if not known:
            runner.logger.info('no block has a gradient of the content loss to compare with')
            return
        runner.visualizer.add_scalars({f'balance/{b}': r for b, r in known.items()}, runner.iter)
        low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        runner.logger.info(
            f'gradient norm of L_g over that of the content loss in {len(known)} blocks: median '
            f'{torch.tensor(list(known.values())).median():.2g}, {known[low]:.2g} in {low}, '
            f'{known[high]:.2g} in {high}'
        )


def block_ratios(update: Update, places: Tensor) -> Tensor:
    """The ratio of the norms in each block, (blocks,); NaN if the content loss has no gradient.

    Args:
        update: with the gradients of both kinds.
        places: the block of each parameter, (K,), counted from 0.
    """
    sizes = [parameter.numel() for parameter in update.parameters]
    squares = [
        torch.stack([part.square().sum() for part in vector.split(sizes)])
        for vector in (update.mixed, update.main)
    ]
    generative, content = (
        torch.zeros(int(places.max()) + 1).to(s).index_add(0, places.to(s.device), s)
        for s in squares
    )
    return torch.where(content > 0, (generative / content).sqrt(), torch.nan).cpu()
