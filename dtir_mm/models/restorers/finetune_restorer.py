"""Stage 2, GEF: reconstruction at the matched time step, with generative samples mixed in."""

from typing import Any

import torch
from torch import Tensor

from dtir_mm.models.preprocessor import select
from dtir_mm.models.restorers.generative_pretrainer import GenerativePretrainer
from dtir_mm.models.restorers.gradients import sum_over_processes
from dtir_mm.randomness import generator
from dtir_mm.registry import MODELS


@MODELS.register_module()
class FinetuneRestorer(GenerativePretrainer):
    """``(n_r / B) L_content + (n_g / B) L_g`` over a batch of n_r pairs and n_g clean images.

    Which samples of the global batch are generative depends on their slot alone: the first n_g. So
    it does not depend on the number of processes, of which some may have none. Eq. 12 leaves out
    L_g, which Alg. 3 trains; we take that for an omission.

    Args:
        content_loss: config of the reconstruction loss; None for L1.
        mix_ratio: share of generative samples; 0.1 in the paper (Fig. 4), 0 for naive fine-tuning.
        mix_rounding: "round" takes n_g = round(ratio B) every time, which is none at 10 % of five
            samples or fewer; "dither" rounds up or down by chance, so that the ratio holds on
            average.
        kwargs: see ``GenerativePretrainer``.
    """

    def __init__(
        self,
        content_loss: dict | None = None,
        mix_ratio: float = 0.1,
        mix_rounding: str = 'round',
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= mix_ratio < 1:
            raise ValueError(f'mix_ratio={mix_ratio} must lie in [0, 1)')
        if mix_rounding not in ('round', 'dither'):
            raise ValueError(f'mix_rounding={mix_rounding!r} must be "round" or "dither"')
        self.content_loss = MODELS.build(content_loss or {'type': 'ContentLoss'})
        self.mix_ratio = mix_ratio
        self.mix_rounding = mix_rounding

    def content_losses(self, batch: dict[str, Any]) -> Tensor:
        """Per-sample reconstruction loss (B,) at the matched time steps of the samples' tasks."""
        steps = [self.timesteps[task] for task in batch['task']]
        t = torch.tensor(steps, device=batch['degraded'].device)
        return self.content_loss(self(batch['degraded'], t), batch['clean'])

    def num_generative(self, global_batch: int, seed: int, iteration: int) -> int:
        """n_g of an iteration's global batch."""
        exact = self.mix_ratio * global_batch
        if self.mix_rounding == 'round':
            return round(exact)
        return int(exact + generator(seed, iteration, 'mix').random())

    def compute_gradient(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Where the gradients meet: generative ones are added to those of the restoration."""
        total = self.global_batch(batch)
        seed, iteration, _ = batch['key'][0].tolist()
        num_generative = self.num_generative(total, seed, iteration)
        slots = batch['key'][:, 2].tolist()
        generative = select(batch, [i for i, s in enumerate(slots) if s < num_generative])
        restoration = select(batch, [i for i, s in enumerate(slots) if s >= num_generative])

        generative_gradient, noise = self.accumulate(generative, self.noise_losses, total)
        restoration_gradient, content = self.accumulate(restoration, self.content_losses, total)
        sum_over_processes(generative_gradient)
        sum_over_processes(restoration_gradient)
        return restoration_gradient + generative_gradient, {'content': content, 'noise': noise}

    def val_step(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """Restored images, as in ``test_step``."""
        return self.test_step(data)
