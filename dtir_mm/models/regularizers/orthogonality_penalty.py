"""Gradient orthogonality as a term of the update (L_orthog of Eq. 12), by second derivatives."""

from collections.abc import Sequence
from functools import partial, reduce

import torch
from mmengine.dist import get_world_size
from mmengine.logging import MMLogger
from torch import Tensor, nn

from dtir_mm.models.gradients import (
    flat_gradient,
    hessian_vector_product,
    per_sample_gradients,
    refuse_custom_functions,
    scale_parts,
    sum_over_processes,
)
from dtir_mm.models.regularizers.gradient_orthogonality import (
    MODES,
    Orthogonality,
    capped,
    orthogonality,
)
from dtir_mm.models.regularizers.regularizer import Update
from dtir_mm.registry import MODELS

IMPLEMENTATIONS = ('group', 'per_sample')
KINDS = ('mixed', 'main')  # generative gradients come first


@MODELS.register_module()
class GradientOrthogonality:
    """The loss of Eq. 17 to 19 on the gradients of both objectives.

    With the weight of 1 that Eq. 12 implies, its gradient was 2 to 4450 times as large as the
    content loss's, so it is capped. It is restricted to layers with generative gradients
    (layer-wise decay).

    Args:
        mode: see ``gradient_orthogonality.py``; "align" is the paper's.
        implementation: "group" uses the gradients of groups of each objective's samples, in two
            phases that hold one group's graph at a time; "per_sample" is Eq. 17 to 19 as printed,
            in a single graph and process, for small networks.
        interval: K; the loss is added every K updates, if these have generative samples. It should
            be 1 with ``UpdateMixing``.
        weight: of the loss.
        grad_cap: maximum norm of the loss's gradient relative to that of the content loss; None for
            no cap, as in Eq. 12, with the gradient multiplied by K.
        groups: groups per objective, for "group"; with 1, the loss is 1 minus the cosine of the two
            gradients, which the released code logs.

    Raises:
        ValueError: the mode or implementation is unknown, or the interval is below 1.
    """

    second_order = True

    def __init__(
        self,
        mode: str = 'align',
        implementation: str = 'group',
        interval: int = 8,
        weight: float = 1.0,
        grad_cap: float | None = 0.1,
        groups: int = 2,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f'mode={mode!r} of GradientOrthogonality must be one of {MODES}')
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f'implementation={implementation!r} of GradientOrthogonality must be one of '
                f'{IMPLEMENTATIONS}'
            )
        if interval < 1:
            raise ValueError(f'interval={interval} of GradientOrthogonality must be at least 1')
        self.mode = mode
        self.implementation = implementation
        self.interval = interval
        self.weight = weight
        self.grad_cap = grad_cap
        self.num_groups = groups
        self._warned = False
        self._known_twice_differentiable = False

    def is_due(self, update: Update) -> bool:
        """See ``Regularizer``: every K updates, if there are generative samples."""
        due = update.counts['mixed'] > 0 and update.iteration % self.interval == 0
        if due and update.counts['mixed'] < 2 and self.num_groups > 1 and not self._warned:
            self._warned = True
            MMLogger.get_current_instance().warning(
                'L_orthog has a single generative sample, so that d of Eq. 18 ignores the '
                'generative side. Enlarge the batch (10 % of 16 is 2) or model.step.mixing.ratio'
            )
        return due

    def gradient(self, update: Update) -> Tensor:
        """See ``Regularizer``; logs the loss, s, d, and the norm relative to the content's."""
        with update.twice_differentiable():
            literal = self.implementation == 'per_sample'
            gradient = self._literal(update) if literal else self._grouped(update)
        limited = self.limit(gradient, update.content_norm)
        update.log('orthogonality_ratio', limited.norm() / update.content_norm)
        return limited

    def limit(self, gradient: Tensor, content_norm: Tensor) -> Tensor:
        """The weighted gradient (P,) of the loss, capped by the norm of the content gradient."""
        gradient = self.weight * gradient
        if self.grad_cap is None:
            return self.interval * gradient
        return capped(gradient, self.grad_cap * content_norm)

    def _grouped(self, update: Update) -> Tensor:
        """The gradient (P,) in two phases, with one group's graph alive at a time.

        The groups' gradients (``rows``, which are consumed) give dL / dg_a in closed form; then
        each group adds its Hessian-vector product.
        """
        generative, restoration = (update.rows.pop(kind) for kind in KINDS)
        for row in (*generative, *restoration):
            _to_reached(row, update)
        counts = update.counts['mixed'], update.counts['main']
        result = orthogonality(generative, restoration, counts, self.mode)
        _log(result, update)
        pulls = [*generative, *restoration]
        del generative, restoration
        result.differentiate_(pulls)
        reached = (update.layer_decay.gate > 0).tolist()
        products = (
            update.differentiate(
                kind, samples, partial(self._second_derivative, pulls.pop(0), reached)
            )
            for kind in KINDS
            for samples in update.groups[kind]
        )
        return sum_over_processes(reduce(Tensor.add_, products))

    def _literal(self, update: Update) -> Tensor:
        """The same by Eq. 17 to 19 as printed: every sample's gradient in a single graph."""
        if get_world_size() > 1:
            raise ValueError(
                'model.step.regularizers.orthogonality.implementation="per_sample" needs all '
                'samples in one process; use "group" with several'
            )
        losses = torch.cat(
            [update.losses(kind, samples) for kind in KINDS for samples in update.groups[kind]]
        )
        refuse_custom_functions(losses.sum())
        rows = per_sample_gradients(losses, update.parameters)
        pulls = rows.detach().clone()
        views = pulls.unbind()
        for row in views:
            _to_reached(row, update)
        count = update.counts['mixed']
        result = orthogonality(views[:count], views[count:], mode=self.mode)
        _log(result, update)
        result.differentiate_(views)
        return _to_reached(flat_gradient((rows * pulls).sum(), update.parameters), update)

    def _second_derivative(
        self, vector: Tensor, reached: list[bool], loss: Tensor, parameters: Sequence[nn.Parameter]
    ) -> Tensor:
        if not self._known_twice_differentiable:
            refuse_custom_functions(loss)
            self._known_twice_differentiable = True
        return hessian_vector_product(loss, parameters, vector, reached)


def _to_reached(vector: Tensor, update: Update) -> Tensor:
    """Sets a vector (P,) to zero in layers without generative gradients, in place."""
    return scale_parts(vector, (update.layer_decay.gate > 0).float(), update.parameters)


def _log(result: Orthogonality, update: Update) -> None:
    update.log('orthogonality', result.loss)
    update.log('orthogonality_cross', result.cross)
    update.log('orthogonality_within', result.within)
