"""An exponential moving average of the weights, which is what checkpoints offer and tests take."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dtir_mm.engine.checkpoint import ONLINE
from dtir_mm.engine.sharding import gather_full, shard_like
from dtir_mm.registry import HOOKS


@HOOKS.register_module()
class WeightEMAHook(Hook):
    """Averages the trained weights: ``average = d average + (1 - d) weights`` after each update.

    d is ``decay``, and less in the first updates, ``min(decay, (1 + n) / (10 + n))`` after n of
    them, so that short runs do not end with a share of their initial weights.

    Validation runs on the averages. A checkpoint offers them as its ``state_dict``, so that they
    are what is tested, matched, deployed and trained on by the next stage; the weights that the
    same run goes on with lie beside them as ``online_state_dict``. The paper names no average
    (method.md 0).

    Args:
        decay: d of a long run.

    Raises:
        ValueError: ``decay`` does not lie in (0, 1).
    """

    priority = 'HIGH'  # its averages are what other hooks validate and save

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise ValueError(f'decay={decay} of WeightEMAHook must lie in (0, 1)')
        self.decay = decay
        self._averages: dict[str, Tensor] = {}
        self._former: dict[str, Tensor] = {}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keeps the averages of the checkpoint, if it has any."""
        self._former = checkpoint['state_dict'] if ONLINE in checkpoint else {}

    def before_train(self, runner: Any) -> None:
        """Goes on with the checkpoint's averages, or begins with the weights as they are."""
        self._averages = {}
        for name, parameter in _named(runner).items():
            start = self._former.get(name, parameter).detach()
            start = start.to(device=parameter.device, dtype=parameter.dtype)
            self._averages[name] = shard_like(start, parameter).clone()
        self._former = {}
        runner.logger.info(
            f'validation and checkpoints take averaged weights (EMA, decay {self.decay})'
        )

    @torch.no_grad()
    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Takes the updated weights into the averages."""
        decay = min(self.decay, (1 + runner.iter) / (10 + runner.iter))
        update = get_ema_multi_avg_fn(decay)
        update(list(self._averages.values()), list(_named(runner).values()), runner.iter)

    def before_val(self, runner: Any) -> None:
        """Puts the averages in the place of the weights."""
        self._exchange(runner)

    def after_val(self, runner: Any) -> None:
        """Puts the weights back."""
        self._exchange(runner)

    def before_test(self, runner: Any) -> None:
        """Puts the averages in the place of the weights."""
        self._exchange(runner)

    def after_test(self, runner: Any) -> None:
        """Puts the weights back."""
        self._exchange(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Makes the averages what the checkpoint offers."""
        online = checkpoint['state_dict']
        averages = {name: gather_full(average).cpu() for name, average in self._averages.items()}
        checkpoint[ONLINE] = online
        checkpoint['state_dict'] = {**online, **averages}
        checkpoint['meta']['ema_decay'] = self.decay

    @torch.no_grad()
    def _exchange(self, runner: Any) -> None:
        if not self._averages:  # validation or a test without training
            return
        for name, parameter in _named(runner).items():
            weights = parameter.clone()
            parameter.copy_(self._averages[name])
            self._averages[name].copy_(weights)


def _named(runner: Any) -> dict[str, nn.Parameter]:
    return runner.restorer.named_trained_parameters()
