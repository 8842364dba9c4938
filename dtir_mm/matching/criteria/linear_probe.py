"""The default criterion: how linearly the residual can be read from the features at t (G.3)."""

import torch
from torch import Tensor

from dtir_mm.matching.criteria.criterion import Criterion, ErrorsAt, PretrainedNetwork
from dtir_mm.matching.pairs import batches, steps_like
from dtir_mm.registry import CRITERIA

_PIXELS = 1024
_RIDGE = 1e-2


@CRITERIA.register_module(name='linear_probe')
class LinearProbe(Criterion):
    """Cross-validated ridge regression from the features to the residual y - x.

    For each pixel the inputs are [features, their means over the image, f(y, t), y, 1]. The
    regression is fitted to one half of the images and evaluated on the other, and vice versa. One
    network evaluation per image and time step.
    """

    min_gain = 0.1

    def errors_at(
        self, network: PretrainedNetwork, degraded: Tensor, clean: Tensor, seed: int
    ) -> ErrorsAt:
        """See ``Criterion``."""
        count = len(degraded)
        rng = torch.Generator().manual_seed(seed)
        area = degraded.shape[-2] * degraded.shape[-1]
        samples = [torch.randperm(area, generator=rng)[:_PIXELS] for _ in range(count)]
        pixels = torch.stack(samples).to(degraded.device)
        residual = _pick(degraded - clean, pixels)
        power = (degraded - clean).double().square().mean((1, 2, 3))

        def errors_at(t: int) -> Tensor:
            inputs = torch.cat(
                [_regression_inputs(network, y, t, p) for y, p in batches(degraded, pixels)]
            )
            order = torch.arange(count)
            errors = residual.new_zeros(count)
            for held_out in (order % 2 == 0, order % 2 == 1):
                weights = _ridge(inputs[~held_out], residual[~held_out])
                rest = residual[held_out] - inputs[held_out] @ weights
                errors[held_out] = rest.square().mean((1, 2)) / power[held_out]
            return errors.cpu()

        return errors_at


def _regression_inputs(
    network: PretrainedNetwork, degraded: Tensor, t: int, pixels: Tensor
) -> Tensor:
    """(B, P, D) in float64."""
    residual, features = network.residual_and_features(degraded, steps_like(degraded, t))
    local = _pick(torch.cat([features, residual, degraded], dim=1), pixels)
    means = features.double().mean((2, 3))[:, None].expand(-1, pixels.shape[1], -1)
    return torch.cat([local, means, torch.ones_like(local[..., :1])], dim=2)


def _pick(images: Tensor, pixels: Tensor) -> Tensor:
    """Values at pixels (B, P) of images (B, C, H, W): (B, P, C) in float64."""
    flat = images.double().flatten(2).transpose(1, 2)
    return flat.gather(1, pixels[..., None].expand(-1, -1, flat.shape[2]))


def _ridge(inputs: Tensor, targets: Tensor) -> Tensor:
    """Ridge weights (D, 3) by the normal equations."""
    inputs, targets = inputs.flatten(0, 1), targets.flatten(0, 1)
    gram = inputs.T @ inputs
    penalty = _RIDGE * gram.diagonal().mean() * torch.eye(len(gram)).to(gram)
    return torch.linalg.solve(gram + penalty, inputs.T @ targets)
