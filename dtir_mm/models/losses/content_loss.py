"""The reconstruction loss of fine-tuning."""

from torch import Tensor, nn

from dtir_mm.registry import MODELS


@MODELS.register_module()
class ContentLoss(nn.Module):
    """L1: the mean absolute error of each image (L_content of Eq. 12)."""

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Two batches (B, 3, H, W) to per-sample losses (B,)."""
        return (restored - clean).abs().mean(dim=(1, 2, 3))
