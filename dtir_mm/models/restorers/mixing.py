"""Mixing generative samples into fine-tuning.

The preprint mixes 10 % of the data (Fig. 4): here, of the samples of each batch. The released code
mixes by updates: in 10 % of them it computes the generative loss on the clean images of the whole
batch, but never adds it to the objective.
"""

from collections.abc import Mapping
from typing import Any

from dtir_mm.models.objectives.objective import Objective
from dtir_mm.randomness import generator, happens
from dtir_mm.registry import MODELS


@MODELS.register_module()
class SampleMixing:
    """Uses a share of every batch as generative samples and restores the others.

    The first n_g slots of the global batch are generative, for any number of processes. Eq. 12
    lacks the generative loss, but Alg. 3 trains it; we assume an omission and add it.

    Args:
        objective: config of the generative objective.
        ratio: share of generative samples; 0.1 in the paper (Fig. 4). With 0 (naive fine-tuning)
            the objective is only evaluated in validation.
        rounding: "round" for n_g = round(ratio B), which is 0 at 10 % of five samples or fewer;
            "dither" to round up or down at random, so that the ratio holds on average.
        cap: maximum norm of the generative gradient relative to the content gradient, per tensor,
            since most of the content gradient is in the last convolution; in the others the
            generative gradient is several times larger, and Adam's steps for restoration become
            smaller. None for no cap.

    Raises:
        ValueError: a ratio outside [0, 1), a cap that is not positive, or an unknown rounding.
    """

    added = True

    def __init__(
        self,
        objective: Mapping[str, Any],
        ratio: float = 0.1,
        rounding: str = 'round',
        cap: float | None = None,
    ) -> None:
        if not 0 <= ratio < 1:
            raise ValueError(f'ratio={ratio} of SampleMixing must lie in [0, 1)')
        if rounding not in ('round', 'dither'):
            raise ValueError(f'rounding={rounding!r} of SampleMixing must be "round" or "dither"')
        if cap is not None and cap <= 0:
            raise ValueError(f'cap={cap} of SampleMixing must be positive, or None')
        self.objective: Objective = MODELS.build(dict(objective))
        self.ratio = ratio
        self.rounding = rounding
        self.cap = cap

    def slots(self, total: int, seed: int, iteration: int) -> tuple[range, range]:
        """The generative slots of a global batch of ``total``, and those to restore.

        Raises:
            ValueError: there would be none to restore.
        """
        exact = self.ratio * total
        count = round(exact)
        if self.rounding == 'dither':
            count = int(exact + generator(seed, iteration, 'mix').random())
        if count == total:
            raise ValueError(
                f'model.step.mixing.ratio={self.ratio} makes all {total} samples of the batch '
                f'generative; lower it, or enlarge global_batch_size'
            )
        return range(count), range(count, total)


@MODELS.register_module()
class UpdateMixing:
    """In some updates, uses the clean images of the whole batch as generative samples, too.

    Args:
        objective: config of the generative objective.
        probability: share of these updates; 0.1 in the released code.
        added: whether to minimise its loss. The released code only logs the cosine of the two
            gradients.

    Raises:
        ValueError: a probability outside [0, 1].
    """

    cap = None

    def __init__(
        self, objective: Mapping[str, Any], probability: float = 0.1, added: bool = False
    ) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f'probability={probability} of UpdateMixing must lie in [0, 1]')
        self.objective: Objective = MODELS.build(dict(objective))
        self.probability = probability
        self.added = added

    def slots(self, total: int, seed: int, iteration: int) -> tuple[range, range]:
        """All slots of a global batch, or none, as generative; all of them to restore."""
        mixes = happens(self.probability, seed, iteration, 'mix')
        return range(total if mixes else 0), range(total)
