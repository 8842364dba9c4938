"""Stage 3, MTUL: one network for many degradations (section 3.3, Alg. 4 and 5).

Fine-tuning as in stage 2, on the pairs of all tasks that have joined, each at its own time step,
with adapters that the time step prompts. Which one an image needs is told, or found out here.
"""

from typing import Any

import torch
from torch import Tensor

from dtir_mm.models.restorers.finetune_restorer import FinetuneRestorer
from dtir_mm.models.restorers.generative_consistency import most_consistent
from dtir_mm.registry import MODELS

Samples = dict[str, Any]

INFERENCES = ('task', 'predict', 'try_all')
# Switch Transformer (Fedus et al., 2022); only where top-k routing could starve an expert.
_BALANCE_WEIGHT = 0.01


@MODELS.register_module()
class UnifiedRestorer(FinetuneRestorer):
    """``FinetuneRestorer`` for many tasks, which can also find out the task.

    Args:
        inference: where t comes from at test time: "task", the sample's task, as the paper has it;
            "predict", a classifier, for which a clean image is one more class and comes back
            unchanged; "try_all", restoring at the step of every task and
            keeping what is most consistent (``generative_consistency.py``); or a time step itself.
        classifier: config of the classifier, which ``ClassifierTrainer`` trains; None for none, and
            no "predict".
        kwargs: see ``FinetuneRestorer``.

    Raises:
        ValueError: there is no such inference, or "predict" without a classifier.
    """

    introduced = ('backbone.adapters.', 'classifier.')

    def __init__(
        self,
        inference: str | int = 'task',
        classifier: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.classifier = MODELS.build(classifier).requires_grad_(False) if classifier else None
        self.set_inference(inference)

    def set_inference(self, inference: str | int) -> None:
        """Changes where t comes from.

        Raises:
            ValueError: see the class.
        """
        if type(inference) is int:
            if not 0 <= inference <= self.schedule.num_steps:
                raise ValueError(f'inference={inference} must lie in 0..{self.schedule.num_steps}')
        elif inference not in INFERENCES:
            raise ValueError(
                f'inference={inference!r} must be one of {", ".join(INFERENCES)}, or a time step'
            )
        if inference == 'predict' and self.classifier is None:
            raise ValueError('inference="predict" needs model.classifier, and weights for it')
        self.inference = inference

    # --- training -----------------------------------------------------------------------------

    def compute_gradient(self, batch: Samples) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``FinetuneRestorer``; logs the entropy of the routing too."""
        gradient, logged = super().compute_gradient(batch)
        adapters = self.backbone.adapters
        if adapters is not None:
            # All processes log the same names, also one that has generative samples alone.
            content = logged['content']
            logged['routing_entropy'] = (
                adapters.routing_entropy.reshape(1) if len(content) else content
            )
        return gradient, logged

    def content_losses(self, batch: Samples) -> Tensor:
        """See ``FinetuneRestorer``; with top-k routing, the balance of the experts comes on top.

        The balance is that of each micro-batch and process: it is not linear in the samples.
        """
        losses = super().content_losses(batch)
        adapters = self.backbone.adapters
        if adapters is None or adapters.top_k is None:
            return losses
        return losses + _BALANCE_WEIGHT * adapters.balance_loss

    # --- which t ------------------------------------------------------------------------------

    def steps_to_restore_at(self, batch: Samples) -> list[int]:
        """The time step of each sample, by ``inference``; 0 for a clean image."""
        if self.inference == 'task':
            return super().steps_to_restore_at(batch)
        return self.find_steps(batch['degraded'])

    @torch.no_grad()
    def find_steps(self, degraded: Tensor) -> list[int]:
        """The time step of each image (B, 3, H, W) in [-1, 1], for which no task is told.

        Raises:
            ValueError: ``inference`` is "task", which must be told.
        """
        if type(self.inference) is int:
            return [self.inference] * len(degraded)
        if self.inference == 'predict':
            classes = [self.classifier.classes[i] for i in self.classifier(degraded).argmax(1)]
            return [self.timesteps[name] for name in classes]
        if self.inference == 'try_all':
            steps = set(self.timesteps.by_task.values()) or {self.timesteps.fixed}
            return most_consistent(self, degraded, sorted(steps))
        raise ValueError('inference="task" needs the task; set "predict" or "try_all" instead')
