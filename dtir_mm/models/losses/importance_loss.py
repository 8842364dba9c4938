"""The price of moving away from the pre-trained weights (L_reg of Eq. 12 and 16)."""

from collections.abc import Sequence

from torch import Tensor, nn

from dtir_mm.models.regularizers.parameter_importance import FORMS, Penalty, importance_penalty
from dtir_mm.registry import MODELS


@MODELS.register_module()
class ImportanceLoss(nn.Module):
    """``importance_penalty`` with a weight lambda on all tensors.

    Args:
        form: see ``regularizers/parameter_importance.py``; "ewc" reads omega as the Fisher
            diagonal, which ``tools/accumulate_importance.py --fisher`` makes.
        weight: lambda; 0.2 in the paper.

    Raises:
        ValueError: there is no such form.
    """

    def __init__(self, form: str = 'pigwm', weight: float = 0.2) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f'form={form!r} of ImportanceLoss must be one of {FORMS}')
        self.form = form
        self.weight = weight

    @property
    def statistic(self) -> str | None:
        """What omega must be the mean of: "abs_gradient", "fisher", "any"; None: not needed."""
        return {'none': None, 'l2sp': 'any', 'ewc': 'fisher'}.get(self.form, 'abs_gradient')

    def forward(self, delta: Tensor, omega: Tensor, decay: Tensor, sizes: Sequence[int]) -> Penalty:
        """Value and gradient at ``delta`` (P,), with lambda times ``decay`` (K,) a tensor."""
        return importance_penalty(delta, omega, self.weight * decay, sizes, self.form)
