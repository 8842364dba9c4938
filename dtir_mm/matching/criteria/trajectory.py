"""Alg. 2 as printed, for reference: its minimum does not depend on the degradation."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule
from dtir_mm.diffusion.sampling import ddpm_step
from dtir_mm.matching.criteria.criterion import Criterion, ErrorsAt, PretrainedNetwork
from dtir_mm.matching.pairs import batches, noise_like, relative_squares, steps_like
from dtir_mm.registry import CRITERIA

_PURE_NOISE = 1e-2


@CRITERIA.register_module(name='trajectory')
class Trajectory(Criterion):
    """``||(x_t - x_{t-1}) - (y - x)||^2`` along samples that start from pure noise.

    Degenerate: the samples do not depend on (y, x), so the error grows with the size of the step
    and t = 1 wins for every degradation. T network evaluations per image, all in ``errors_at``.
    """

    min_gain = -math.inf

    def grid(self, num_steps: int) -> Sequence[int]:
        """All time steps."""
        return range(1, num_steps + 1)

    @torch.no_grad()
    def errors_at(
        self, network: PretrainedNetwork, degraded: Tensor, clean: Tensor, seed: int
    ) -> ErrorsAt:
        """See ``Criterion``.

        Raises:
            ValueError: the schedule does not end in pure noise.
        """
        schedule = network.schedule
        _require_pure_noise(schedule)
        rng = torch.Generator().manual_seed(seed)
        x = noise_like(degraded, rng)
        residual = degraded - clean
        errors: dict[int, Tensor] = {}
        for t in range(schedule.num_steps, 0, -1):
            noise = torch.cat([network.predict_noise(u, steps_like(u, t)) for (u,) in batches(x)])
            x_before = ddpm_step(schedule, x, noise, steps_like(x, t), rng)
            errors[t] = relative_squares(x - x_before - residual, residual)
            x = x_before
            self.report(f'sampling, t = {t}')
        return errors.__getitem__


def _require_pure_noise(schedule: NoiseSchedule) -> None:
    snr = float(schedule.snr(torch.tensor(schedule.num_steps)))
    if snr > _PURE_NOISE:
        raise ValueError(
            f'trajectory starts from pure noise, but {type(schedule).__name__} has a '
            f'signal-to-noise ratio of {snr:.3g} at t = T; it needs one below {_PURE_NOISE}, as '
            f'VariancePreserving has'
        )
