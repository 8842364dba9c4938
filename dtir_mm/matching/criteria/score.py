"""The criterion of one denoising step at t on the degraded image itself (Alg. 2, G.3)."""

from functools import partial

from torch import Tensor

from dtir_mm.diffusion.noise_schedule import like
from dtir_mm.matching.criteria.criterion import Criterion, ErrorsAt, PretrainedNetwork
from dtir_mm.matching.pairs import restoration_errors, steps_like
from dtir_mm.registry import CRITERIA


@CRITERIA.register_module(name='score')
class Score(Criterion):
    """How close ``y - sigma_t eps(y, t)`` comes to the ground truth.

    This is Alg. 2 with its trajectory anchored at the degraded image; if the network predicts the
    residual, it is ``y - f(y, t)``, G.3 to the letter. One network evaluation per image and step.
    """

    def errors_at(
        self, network: PretrainedNetwork, degraded: Tensor, clean: Tensor, seed: int
    ) -> ErrorsAt:
        """See ``Criterion``; nothing is random."""

        def restore(y: Tensor, t: int) -> Tensor:
            steps = steps_like(y, t)
            return y - like(network.schedule.sigma(steps), y) * network.predict_noise(y, steps)

        return partial(restoration_errors, restore, degraded, clean)
