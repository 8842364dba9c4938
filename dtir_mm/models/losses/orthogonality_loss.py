"""Reconciling the generative and the restoration gradients (L_orthog of Eq. 12 and 19)."""

from torch import Tensor, nn

from dtir_mm.models.regularizers.gradient_orthogonality import (
    MODES,
    Orthogonality,
    capped,
    orthogonality,
)
from dtir_mm.registry import MODELS

IMPLEMENTATIONS = ('group', 'per_sample', 'project')


@MODELS.register_module()
class OrthogonalityLoss(nn.Module):
    """What is done about two objectives whose gradients differ, how, and how often.

    Uncapped, at the weight of one that Eq. 12 implies, its gradient is tens of times that of the
    content loss (method.md 3.6), hence the cap.

    Args:
        mode: see ``regularizers/gradient_orthogonality.py``; "align" is the paper's.
        implementation: "group" takes the gradients of ``num_groups`` groups of each objective's
            samples, in two phases that hold one group's graph at a time; "per_sample" is Eq. 17 to
            19 to the letter, in a single graph and process, for small networks; "project" is of
            first order: each update's generative gradient loses what points against restoration,
            and no loss is added.
        interval: K, the loss is added every K updates; "project" acts at every update.
        weight: of the loss.
        grad_cap: norm of the loss's gradient as a share of that of the content loss, at most; None
            for no cap, Eq. 12 to the letter: what is added every K updates then counts K times.
        num_groups: groups of each objective, for "group".

    Raises:
        ValueError: a mode or implementation that there is not, or an interval below 1.
    """

    def __init__(
        self,
        mode: str = 'align',
        implementation: str = 'group',
        interval: int = 8,
        weight: float = 1.0,
        grad_cap: float | None = 0.1,
        num_groups: int = 2,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f'mode={mode!r} of OrthogonalityLoss must be one of {MODES}')
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f'implementation={implementation!r} of OrthogonalityLoss must be one of '
                f'{IMPLEMENTATIONS}'
            )
        if interval < 1:
            raise ValueError(f'interval={interval} of OrthogonalityLoss must be at least 1')
        self.mode = mode
        self.implementation = implementation
        self.interval = interval
        self.weight = weight
        self.grad_cap = grad_cap
        self.num_groups = num_groups

    @property
    def literal(self) -> bool:
        """Whether it takes single samples in a single graph."""
        return self.implementation == 'per_sample'

    @property
    def projects(self) -> bool:
        """Whether it changes the generative gradient instead of adding one of its own."""
        return self.implementation == 'project'

    def is_due(self, iteration: int) -> bool:
        """Whether the loss is added at an update, counted from 0."""
        return not self.projects and iteration % self.interval == 0

    def forward(
        self, generative: Tensor, restoration: Tensor, counts: tuple[int, int]
    ) -> Orthogonality:
        """The loss of gradients (m, P) of both objectives, which ``counts`` samples made."""
        return orthogonality(generative, restoration, counts, self.mode)

    def limit(self, gradient: Tensor, content_norm: Tensor) -> Tensor:
        """The loss's gradient (P,), weighted, and capped by the norm of the content's."""
        gradient = self.weight * gradient
        if self.grad_cap is None:
            return self.interval * gradient
        return capped(gradient, self.grad_cap * content_norm)
