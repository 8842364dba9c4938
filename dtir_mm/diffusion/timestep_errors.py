"""How well each time step fits a degradation: one error an image and step, by several criteria.

The paper defines the matching time step in three ways that disagree (method.md 2). Each criterion
here makes a function ``errors_at(t) -> (N,)`` of squared errors, relative to the squared residual
``||y - x||^2`` of each image; 1 is as good as doing nothing. Images are (N, 3, H, W) in the
schedule's image range. Pairs that the degradation left as they were have no residual to match and
are left out of N; fewer than four others are a ValueError. Costs are network evaluations (NFE) an
image.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule, like
from dtir_mm.diffusion.sampling import ddim_denoise, ddpm_step, posterior_mean

ErrorsAt = Callable[[int], Tensor]
_BATCH = 8
_PIXELS = 1024
_RIDGE = 1e-2
_SDEDIT_STEPS = 10
FEWEST = 4
_PURE_NOISE = 1e-2
# What float32 makes of equal outputs, relative to the largest of their values.
_EQUAL = 1e-6
SCORE_SCALES = ('sigma', 'mu_step')


class NoisePredictor(Protocol):
    """A pre-trained network (``Restorer`` is one)."""

    def predict_noise(self, u: Tensor, t: Tensor) -> Tensor:
        """``eps`` of ``u = signal_t x_0 + sigma_t eps``, (B, 3, H, W), at steps (B,).

        A network f that predicts the residual gives f / sigma_t.
        """

    def residual_and_features(self, u: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """f(u, t) as the network gives it, and the features (B, C, H, W) that it was read from."""


def linear_probe(network: NoisePredictor, degraded: Tensor, clean: Tensor, seed: int) -> ErrorsAt:
    """How linearly the residual y - x can be read from the network's features at t (G.3).

    A ridge regression from [features, their means, f(y, t), y, 1] at each pixel to the residual is
    fitted on one half of the images and judged on the other, and the halves swapped. 1 NFE a step.
    """
    degraded, clean = changed_pairs(degraded, clean)
    count = len(degraded)
    rng = torch.Generator().manual_seed(seed)
    area = degraded.shape[-2] * degraded.shape[-1]
    pixels = torch.stack([torch.randperm(area, generator=rng)[:_PIXELS] for _ in range(count)]).to(
        degraded.device
    )
    residual = _pick(degraded - clean, pixels)
    power = (degraded - clean).double().square().mean((1, 2, 3))

    def errors_at(t: int) -> Tensor:
        inputs = torch.cat([_probe_inputs(network, y, t, p) for y, p in _batches(degraded, pixels)])
        order = torch.arange(count)
        errors = residual.new_zeros(count)
        for judged in (order % 2 == 0, order % 2 == 1):
            weights = _ridge(inputs[~judged], residual[~judged])
            rest = residual[judged] - inputs[judged] @ weights
            errors[judged] = rest.square().mean((1, 2)) / power[judged]
        return errors.cpu()

    return errors_at


def _probe_inputs(network: NoisePredictor, degraded: Tensor, t: int, pixels: Tensor) -> Tensor:
    """What the residual is regressed on: (B, P, D) in float64."""
    residual, features = network.residual_and_features(degraded, _steps(degraded, t))
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


def score(
    network: NoisePredictor,
    schedule: NoiseSchedule,
    degraded: Tensor,
    clean: Tensor,
    scale: str = 'sigma',
) -> ErrorsAt:
    """How near one denoising step on the degraded image itself comes to x. 1 NFE a step.

    This is Alg. 2 with its trajectory anchored at the degraded image, which is also G.3. ``scale``
    tells the step: "sigma" gives ``y - sigma_t eps(y, t)``, which is ``y - f(y, t)``, G.3 to the
    letter, where the network predicts the residual; "mu_step" gives the mean of x_{t-1}, unclipped,
    the step of Alg. 2.

    Raises:
        ValueError: ``scale`` is neither.
    """
    if scale not in SCORE_SCALES:
        raise ValueError(f'scale={scale!r} of score must be one of {", ".join(SCORE_SCALES)}')

    def restore(y: Tensor, t: int) -> Tensor:
        steps = _steps(y, t)
        noise = network.predict_noise(y, steps)
        if scale == 'sigma':
            return y - like(schedule.sigma(steps), y) * noise
        clean = schedule.predict_clean(y, noise, steps, clip=False)
        return posterior_mean(schedule, clean, y, steps)

    return _by_restoring(restore, *changed_pairs(degraded, clean))


def sdedit(
    network: NoisePredictor, schedule: NoiseSchedule, degraded: Tensor, clean: Tensor, seed: int
) -> ErrorsAt:
    """How near the degraded image, diffused to t and back by DDIM, comes to x (section 2.1).

    Every step sees the same noise. min(t, 10) NFE a step.
    """
    degraded, clean = changed_pairs(degraded, clean)
    noise = _noise_like(degraded, torch.Generator().manual_seed(seed))

    def restore(y: Tensor, t: int, noise: Tensor) -> Tensor:
        noisy = schedule.add_noise(y, noise, _steps(y, t))
        return ddim_denoise(schedule, network.predict_noise, noisy, t, _SDEDIT_STEPS)

    return _by_restoring(restore, degraded, clean, noise)


@torch.no_grad()
def trajectory(
    network: NoisePredictor, schedule: NoiseSchedule, degraded: Tensor, clean: Tensor, seed: int
) -> ErrorsAt:
    """Alg. 2 as printed: ``||(x_t - x_{t-1}) - (y - x)||^2`` along samples from pure noise.

    Degenerate, and here for reference: the samples know nothing of (y, x), so the error grows with
    the size of the step and t = 1 wins whatever the degradation. T NFE, all when this is called.

    Raises:
        ValueError: the schedule does not end in pure noise, so that there is nothing to start from.
    """
    snr = float(schedule.snr(torch.tensor(schedule.num_steps)))
    if snr > _PURE_NOISE:
        raise ValueError(
            f'trajectory starts from pure noise, but at t = T of {type(schedule).__name__} the '
            f'image is still there (a signal-to-noise ratio of {snr:.3g}); it needs a schedule '
            f'like VariancePreserving, below {_PURE_NOISE}'
        )
    degraded, clean = changed_pairs(degraded, clean)
    rng = torch.Generator().manual_seed(seed)
    x = _noise_like(degraded, rng)
    residual = degraded - clean
    errors: dict[int, Tensor] = {}
    for t in range(schedule.num_steps, 0, -1):
        noise = torch.cat([network.predict_noise(u, _steps(u, t)) for (u,) in _batches(x)])
        before = ddpm_step(schedule, x, noise, _steps(x, t), rng)
        errors[t] = _relative(x - before - residual, residual)
        x = before
    return errors.__getitem__


def changed_pairs(degraded: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs, of images (N, 3, H, W), that the degradation changed.

    Raises:
        ValueError: they are fewer than four.
    """
    differ = (degraded != clean).flatten(1).any(1)
    if differ.sum() < FEWEST:
        raise ValueError(
            f'matching needs at least {FEWEST} pairs whose degraded image differs from the clean '
            f'one, got {int(differ.sum())} of {len(differ)}'
        )
    return degraded[differ], clean[differ]


@torch.no_grad()
def why_no_effect(network: NoisePredictor, degraded: Tensor, num_steps: int) -> str | None:
    """Why no criterion can tell the steps of these weights apart, or None where one may.

    What ``score`` and ``trajectory`` scale by the schedule has a minimum even so, which says
    nothing of the network. Compares its outputs and features for a few images at three steps.

    Args:
        network: the pre-trained network.
        degraded: images (N, 3, H, W) in the schedule's image range.
        num_steps: T.
    """
    images = degraded[:FEWEST]
    first, *others = (
        network.residual_and_features(images, _steps(images, t))
        for t in (1, (num_steps + 1) // 2, num_steps)
    )
    for other in others:
        for before, after in zip(first, other, strict=True):
            if (before - after).abs().max() > _EQUAL * before.abs().max():
                return None
    return f'the time step has no effect on these weights: they give the same in 1..{num_steps}'


def _by_restoring(
    restore: Callable[..., Tensor], degraded: Tensor, clean: Tensor, *more: Tensor
) -> ErrorsAt:
    """Errors of ``restore(y, t, *more)``; all tensors are batched alike."""

    def errors_at(t: int) -> Tensor:
        return torch.cat(
            [
                _relative(restore(y, t, *rest) - x, y - x)
                for y, x, *rest in _batches(degraded, clean, *more)
            ]
        )

    return errors_at


def _relative(error: Tensor, residual: Tensor) -> Tensor:
    """``||error||^2 / ||residual||^2`` of each image, (B,), on the CPU in float64."""
    error, residual = (x.double().square().sum((1, 2, 3)) for x in (error, residual))
    return (error / residual).cpu()


def _batches(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.split(_BATCH) for tensor in tensors), strict=True)


def _noise_like(images: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(images.shape, generator=rng, dtype=images.dtype).to(images.device)


def _steps(images: Tensor, t: int) -> Tensor:
    return torch.full((len(images),), t, device=images.device)
