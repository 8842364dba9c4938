"""The size of the generative gradient relative to that of restoration, in each block."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from dtir_mm.models.regularizers.regularizer import Update
from dtir_mm.models.restorers.blocks import Blocks
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
        blocks = Blocks(restorer)

        def observe(update: Update) -> None:
            if update.counts['mixed'] and runner.iter % INTERVAL == 0:
                self._log(runner, blocks.names, block_ratios(update, blocks))

        restorer.step.observers.append(observe)

    def _log(self, runner: Any, names: list[str], ratios: Tensor) -> None:
        known = {
            block: ratio
            for block, ratio in zip(names, ratios.tolist(), strict=True)
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


def block_ratios(update: Update, blocks: Blocks) -> Tensor:
    """The ratio of the norms in each block, (blocks,); NaN if the content loss has no gradient.

    ``update`` is one with the gradients of both kinds.
    """
    generative, content = map(blocks.squared_norms, (update.mixed, update.main))
    return torch.where(content > 0, (generative / content).sqrt(), torch.nan).cpu()
