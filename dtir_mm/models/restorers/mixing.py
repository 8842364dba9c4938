"""Generative samples among those that are restored: how many, and what their loss may do.

The preprint mixes 10 % of the data (Fig. 4): here by samples of each batch. The released code mixes
by updates: in 10 % of them it computes the generative loss on the clean images of the whole batch,
and never adds it to what is minimised.
"""

from collections.abc import Mapping
from typing import Any

from dtir_mm.randomness import generator, happens
from dtir_mm.registry import MODELS


@MODELS.register_module()
class SampleMixing:
    """A share of the samples of every batch is generative, and the others are restored.

    Which ones depends on their slot in the global batch alone: the first n_g. So it does not depend
    on the number of processes, of which some may have none. Eq. 12 leaves the generative loss out,
    but Alg. 3 trains it, and we take that for an omission: it is added.

    Args:
        objective: config of the generative objective.
        ratio: share of generative samples; 0.1 in the paper (Fig. 4), 0 for naive fine-tuning, in
            which the objective is only measured in validation.
        rounding: "round" takes n_g = round(ratio B) every time, which is none at 10 % of five
            samples or fewer; "dither" rounds up or down by chance, so that the ratio holds on
            average.
        cap: norm of the generative gradient as a share of the content's, at most, in each tensor
            in which the content loss has one; None for no cap. Global norms mislead: nearly all of
            the content's lies in the last convolution, and under Adam the generative gradient,
            several times larger everywhere else, shrinks the steps of restoration.

    Raises:
        ValueError: a ratio outside [0, 1), a cap that is not positive, or another rounding.
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
        self.objective = MODELS.build(dict(objective))
        self.ratio = ratio
        self.rounding = rounding
        self.cap = cap

    def slots(self, total: int, seed: int, iteration: int) -> tuple[range, range]:
        """The slots of a global batch of ``total`` that are generative, and those restored.

        Raises:
            ValueError: none would be restored.
        """
        exact = self.ratio * total
        count = round(exact)
        if self.rounding == 'dither':
            count = int(exact + generator(seed, iteration, 'mix').random())
        if count == total:
            raise ValueError(
                f'model.step.mixing.ratio={self.ratio} makes all {total} samples of the batch '
                f'generative; lower it, or enlarge train_dataloader.batch_size'
            )
        return range(count), range(count, total)


@MODELS.register_module()
class UpdateMixing:
    """In some updates the clean images of the whole batch are generative samples too.

    Args:
        objective: config of the generative objective.
        probability: that an update is one of these; 0.1 in the released code.
        added: add its loss to what is minimised. The released code only watches: the loss enters
            the cosine of the two gradients, which it logs and which has no gradient of its own.

    Raises:
        ValueError: a probability outside [0, 1].
    """

    cap = None

    def __init__(
        self,
        objective: Mapping[str, Any],
        probability: float = 0.1,
        added: bool = False,
    ) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f'probability={probability} of UpdateMixing must lie in [0, 1]')
        self.objective = MODELS.build(dict(objective))
        self.probability = probability
        self.added = added

    def slots(self, total: int, seed: int, iteration: int) -> tuple[range, range]:
        """All slots of a global batch, or none, as generative ones; all as restored ones."""
        mixes = happens(self.probability, seed, iteration, 'mix')
        return range(total if mixes else 0), range(total)
