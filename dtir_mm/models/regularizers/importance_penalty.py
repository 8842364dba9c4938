"""Importance regularization towards the pre-trained weights (L_reg of Eq. 12 and 16)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dtir_mm.models.gradients import flatten, from_named, scale_parts
from dtir_mm.models.regularizers.parameter_importance import FORMS, importance_penalty
from dtir_mm.models.regularizers.regularizer import Update
from dtir_mm.randomness import happens
from dtir_mm.registry import MODELS


@MODELS.register_module()
class ImportancePenalty:
    """``importance_penalty``; ``ImportanceAccumulationHook`` sets importance and anchor.

    Args:
        form: see ``parameter_importance.py``; for "ewc", omega is the Fisher diagonal
            (``dtir-mm accumulate-importance --fisher``).
        weight: lambda; 0.2 in the paper.
        share: share of the updates that it is added to; 0.1 in the released code. They are the ones
            that ``UpdateMixing`` with this probability selects.

    Raises:
        ValueError: the form is unknown, or the share lies outside (0, 1].
    """

    num_groups = 0
    second_order = False

    def __init__(self, form: str = 'pigwm', weight: float = 0.2, share: float = 1.0) -> None:
        if form not in FORMS:
            raise ValueError(f'form={form!r} of ImportancePenalty must be one of {FORMS}')
        if not 0 < share <= 1:
            raise ValueError(f'share={share} of ImportancePenalty must lie in (0, 1]')
        self.form = form
        self.weight = weight
        self.share = share
        self._importance: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def statistics(self) -> tuple[str, ...]:
        """The accepted statistics of omega; none if the form needs no omega."""
        gradients = ('abs_gradient', 'abs_mean')
        special = {'none': (), 'l2sp': (*gradients, 'fisher'), 'ewc': ('fisher',)}
        return special.get(self.form, gradients)

    def set_importance(
        self,
        omega: Mapping[str, Tensor],
        anchor: Mapping[str, Tensor],
        named: Mapping[str, nn.Parameter],
    ) -> None:
        """Sets each parameter's importance and pre-trained value; new ones are not penalized.

        Raises:
            ValueError: they belong to another network; the message lists names and shapes.
        """
        zeros = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
        known = torch.tensor([float(name in anchor) for name in named])
        self._importance = (from_named(omega, zeros), from_named(anchor, named), known)

    def is_due(self, update: Update) -> bool:
        """See ``Regularizer``.

        Raises:
            RuntimeError: no importance has been set.
        """
        if self.form == 'none':
            return False
        if self._importance is None:
            raise RuntimeError(
                'model.step.regularizers.importance needs an importance: add the hook '
                'ImportanceAccumulationHook, and set load_from to a pre-trained checkpoint'
            )
        return happens(self.share, update.seed, update.iteration, 'mix')

    def gradient(self, update: Update) -> Tensor:
        """See ``Regularizer``; logs the penalty's parts and the distance from the anchor."""
        assert self._importance is not None, 'checked by is_due'
        omega, anchor, known = self._importance
        parameters = update.parameters
        delta = scale_parts(flatten(parameters).sub_(anchor), known, parameters)
        strength = self.weight * update.layer_decay.penalty.to(delta)
        sizes = [parameter.numel() for parameter in parameters]
        penalty = importance_penalty(delta, omega, strength, sizes, self.form)
        update.log('drift', delta.norm())
        update.log('importance', penalty.value)
        update.log('importance_s', penalty.first_order)
        update.log('importance_s2', penalty.second_order)
        update.log('importance_ratio', penalty.value / update.mean_loss('main'))
        return penalty.gradient
