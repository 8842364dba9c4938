"""An exponential moving average (EMA) of the weights."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dtir_mm.engine.checkpoint import ONLINE, Checkpoint
from dtir_mm.engine.sharding import gather_full, shard_like
from dtir_mm.registry import HOOKS


@HOOKS.register_module()
class WeightEMAHook(Hook):
    """Averages the trained weights: ``average = d average + (1 - d) weights`` after each update.

    d is ``min(decay, (1 + n) / (10 + n))`` after n updates, so that short runs forget their initial
    weights. The paper mentions no average.

    The averages are used for validation and are a checkpoint's ``state_dict``, which is tested,
    matched, deployed and fine-tuned; a resumed run continues with its ``online_state_dict``.

    mmengine's ``EMAHook`` deep-copies the model, which FSDP forbids, restarts the average after the
    first update, and saves it under other keys.

    Args:
        decay: d of a long run.

    Raises:
        ValueError: ``decay`` does not lie in (0, 1).
    """

    priority = 'HIGH'  # other hooks validate and save the averages

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise ValueError(f'decay={decay} of WeightEMAHook must lie in (0, 1)')
        self.decay = decay
        self._averages: dict[str, Tensor] = {}
        self._former: dict[str, Tensor] = {}

    def after_load_checkpoint(self, runner: Any, checkpoint: Checkpoint) -> None:
        """Keeps the checkpoint's averages, if any."""
        self._former = checkpoint.averages

    def before_train(self, runner: Any) -> None:
        """Starts from the checkpoint's averages, or from the weights."""
        self._averages = {}
        for name, parameter in _named(runner).items():
            start = self._former.get(name, parameter).detach()
            start = start.to(device=parameter.device, dtype=parameter.dtype)
            self._averages[name] = shard_like(start, parameter).clone()
        self._former = {}
        runner.logger.info(
            f'validation and checkpoints use averaged weights (EMA, decay {self.decay})'
        )

    @torch.no_grad()
    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Adds the updated weights to the averages."""
        decay = min(self.decay, (1 + runner.iter) / (10 + runner.iter))
        update = get_ema_multi_avg_fn(decay)
        update(list(self._averages.values()), list(_named(runner).values()), runner.iter)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Makes the averages the checkpoint's weights."""
        online = checkpoint['state_dict']
        averages = {name: gather_full(average).cpu() for name, average in self._averages.items()}
        checkpoint[ONLINE] = online
        checkpoint['state_dict'] = {**online, **averages}
        checkpoint['meta']['ema_decay'] = self.decay

    @torch.no_grad()
    def _exchange(self, runner: Any) -> None:
        """Exchanges weights and averages, before validation or a test and again afterwards."""
        if not self._averages:  # validation or a test without training
            return
        for name, parameter in _named(runner).items():
            weights = parameter.clone()
            parameter.copy_(self._averages[name])
            self._averages[name].copy_(weights)

    before_val = after_val = before_test = after_test = _exchange


def _named(runner: Any) -> dict[str, nn.Parameter]:
    return runner.restorer.named_trained_parameters()
