"""What pre-training and fine-tuning share: the head convention, one optimiser update, restoring."""

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import NoiseSchedule, like
from dtir_mm.models.preprocessor import select, to_uint8, to_unit_range
from dtir_mm.models.restorers.gradients import flat_gradient, sum_over_processes, write_gradient
from dtir_mm.models.restorers.task_timesteps import TaskTimesteps
from dtir_mm.models.restorers.tiling import apply_tiled
from dtir_mm.randomness import seed_of, seeded
from dtir_mm.registry import MODELS

RESIDUAL_SCALES = ('one', 'sigma', 'sigma_floor')
_SIGMA_FLOOR = 0.25

PerSampleLoss = Callable[[dict[str, Any]], Tensor]
Differentiate = Callable[[Tensor, list[torch.nn.Parameter]], Tensor]


class BaseRestorer(BaseModel):
    """A time-conditioned network that generates (predicts noise) and restores (predicts residuals).

    Head convention (method.md 1.4): the body f predicts the nuisance in both modes. Generation
    reads it as the noise, restoration as the degradation: ``x_hat = y - c(t) f(y, t)``.

    Args:
        backbone: config of a ``ConditionedBackbone``.
        schedule: arguments of ``NoiseSchedule``.
        timesteps: which t stands for which task; see ``TaskTimesteps``.
        residual_scale: c(t): "one" (networks that start from restoration weights, so that
            x_hat = net(y) at initialisation), "sigma" (the noise level s_t), or "sigma_floor",
            max(s_t, 0.25).
        micro_batch_size: samples forwarded at once; None: all. Same update (but for dropout).
        tile: side in pixels of the tiles in which larger images are restored; None for no tiles.
        tile_overlap: how far tiles overlap, in pixels.
    """

    introduced: tuple[str, ...] = ()  # prefixes of weights that earlier stages do not have

    def __init__(
        self,
        backbone: dict,
        schedule: Mapping[str, Any] | None = None,
        timesteps: str | Mapping[str, int] = 'paper',
        residual_scale: str = 'sigma_floor',
        micro_batch_size: int | None = None,
        tile: int | None = None,
        tile_overlap: int = 64,
    ) -> None:
        super().__init__(data_preprocessor={'type': 'dtir_mm.RestorationPreprocessor'})
        if residual_scale not in RESIDUAL_SCALES:
            raise ValueError(f'residual_scale={residual_scale!r} must be one of {RESIDUAL_SCALES}')
        if tile is not None and not 0 < tile_overlap < tile:
            raise ValueError(
                f'tile_overlap={tile_overlap} must lie in 1..{tile - 1}, below {tile=}'
            )
        if micro_batch_size is not None and micro_batch_size < 1:
            raise ValueError(f'micro_batch_size={micro_batch_size} must be at least 1, or None')
        self.backbone = MODELS.build(backbone)
        self.schedule = NoiseSchedule(**(schedule or {}))
        self.timesteps = TaskTimesteps(timesteps, self.schedule.num_steps)
        self.residual_scale = residual_scale
        self.micro_batch_size = micro_batch_size
        self.tile = tile
        self.tile_overlap = tile_overlap
        self.precision = 'fp32'
        self.differentiate, self.assign_gradient = flat_gradient, write_gradient  # FSDP: its own
        self.gradient_observers: list[Callable[[Tensor], None]] = []

    # --- the network in its two modes ---------------------------------------------------------

    def set_precision(self, precision: str) -> None:
        """ "fp32"; "bf16": forwards of training under autocast; "fp64": everything, to verify."""
        self.precision = precision
        if precision == 'fp64':
            self.double()
            self.data_preprocessor.dtype = torch.float64

    @contextlib.contextmanager
    def full_precision(self, needed: bool = True) -> Iterator[None]:
        """Forwards in here are not under autocast, where that is ``needed``."""
        precision = self.precision
        if needed and precision == 'bf16':
            self.precision = 'fp32'
        try:
            yield
        finally:
            self.precision = precision

    def nuisance(self, u: Tensor, t: Tensor, adapted: bool = True) -> Tensor:
        """f(u, t): noise or degradation in ``u`` (B, 3, H, W) in [-1, 1], at steps ``t`` (B,).

        Adapters, where there are any, know of degradations alone: noise is predicted without.
        """
        bf16 = self.precision == 'bf16' and self.training
        context = (
            torch.autocast(u.device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()
        )
        with context:
            return self.backbone.nuisance(u, t, adapted).to(u.dtype)

    def forward(self, degraded: Tensor, t: Tensor) -> Tensor:
        """``x_hat = y - c(t) f(y, t)``, unclamped: (B, 3, H, W) in [-1, 1] at steps (B,)."""
        return degraded - like(self.scale_of(t), degraded) * self.nuisance(degraded, t)

    def scale_of(self, t: Tensor) -> Tensor:
        """c(t) of ``residual_scale``, (B,)."""
        if self.residual_scale == 'one':
            return torch.ones_like(t, dtype=torch.float32)
        sigma = self.schedule.sigma(t)
        return sigma if self.residual_scale == 'sigma' else sigma.clamp(min=_SIGMA_FLOOR)

    # --- one optimiser update -----------------------------------------------------------------

    def train_step(self, data: dict[str, Any], optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One update on the global batch; returns the means of its losses over all processes.

        Raises:
            FloatingPointError: a loss or the gradient is not finite; weights stay as they were.
        """
        batch = self.data_preprocessor(data, training=True)
        gradient, losses = self.compute_gradient(batch)
        means = self._means(losses)
        self._check_finite(batch, losses, means, gradient)
        self.assign_gradient(gradient, self.trained_parameters())
        optim_wrapper.step()
        optim_wrapper.zero_grad()
        return means

    @abstractmethod
    def compute_gradient(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The update's flat gradient, summed over all processes, and its local losses.

        Returns:
            the gradient (P,) and, for each name to log, this process's per-sample values (n,), of
            which there may be none.
        """

    def trained_parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that receive gradients, in the order of flat gradients."""
        return list(self.named_trained_parameters().values())

    def named_trained_parameters(self) -> dict[str, torch.nn.Parameter]:
        """The same by their names."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def show_gradient(self, gradient: Tensor) -> None:
        """Shows an update's data gradient (P,), summed over processes, to ``gradient_observers``.

        It is that of the samples' losses alone, before any penalty, gate or clipping.
        """
        for observe in self.gradient_observers:
            observe(gradient)

    def accumulate(
        self,
        samples: dict[str, Any],
        loss_of: PerSampleLoss,
        global_batch: int,
        differentiate: Differentiate | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Gradient (P,) of ``sum(losses) / global_batch`` over this process's samples, and losses.

        One micro-batch's graph is alive at a time; no samples give zeros. ``differentiate`` may be
        another linear functional, under the same dropout (drawn by the first sample's key).
        """
        differentiate = differentiate or self.differentiate
        parameters = self.trained_parameters()
        gradient = None  # no zeros to add to: each such vector is as large as the network
        losses = [torch.empty(0, dtype=parameters[0].dtype, device=parameters[0].device)]
        count = len(samples['path'])
        step = self.micro_batch_size or max(count, 1)
        for start in range(0, count, step):
            micro = select(samples, list(range(start, min(start + step, count))))
            with seeded(micro['clean'].device, *micro['key'][0].tolist(), 'dropout'):
                per_sample = loss_of(micro)
            part = differentiate(per_sample.sum() / global_batch, parameters)
            gradient = part if gradient is None else gradient.add_(part)
            losses.append(per_sample.detach())
        if gradient is None:
            gradient = losses[0].new_zeros(sum(p.numel() for p in parameters))
        return gradient, torch.cat(losses)

    def global_batch(self, batch: dict[str, Any]) -> int:
        """Samples of this update over all processes."""
        return len(batch['path']) * get_world_size()

    def draw_noise(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Gaussian noise like the clean images, and time steps (B,) uniform in 1..T.

        Both are functions of each sample's key alone, and drawn on the CPU: the same on every
        device and for any number of processes.
        """
        noises, steps = [], []
        for key, image in zip(batch['key'].tolist(), batch['clean'], strict=True):
            rng = torch.Generator().manual_seed(seed_of(*key, 'noise'))
            steps.append(torch.randint(1, self.schedule.num_steps + 1, (), generator=rng))
            noises.append(torch.randn(image.shape, generator=rng, dtype=torch.float32))
        clean = batch['clean']
        return torch.stack(noises).to(clean), torch.stack(steps).to(clean.device)

    def _means(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Means over all processes; names without any sample are left out."""
        sums = [
            torch.stack([v.double().sum(), v.new_tensor(len(v)).double()]) for v in losses.values()
        ]
        totals = sum_over_processes(torch.stack(sums))
        return {
            name: total / count
            for name, (total, count) in zip(losses, totals, strict=True)
            if count > 0
        }

    def _check_finite(
        self,
        batch: dict[str, Any],
        losses: dict[str, Tensor],
        means: dict[str, Tensor],
        gradient: Tensor,
    ) -> None:
        broken = [name for name, mean in means.items() if not torch.isfinite(mean)]
        if not broken and torch.isfinite(gradient.sum()):
            return
        what = f'losses {", ".join(broken)}' if broken else 'the gradient'
        raise FloatingPointError(
            f'{what} not finite at iteration {int(batch["key"][0, 1])}; the weights were not '
            f'updated. Files of this batch: {", ".join(dict.fromkeys(batch["path"]))}'
        )

    # --- restoring ----------------------------------------------------------------------------

    @torch.no_grad()
    def restore_images(self, degraded: Tensor, t: Tensor) -> Tensor:
        """Restored images in [0, 1], (B, 3, H, W) of any size, from degraded ones in [-1, 1].

        The time steps are (B,), one an image; an image at t = 0 is taken for clean and comes back.
        """
        if bool((t == 0).any()):
            result = to_unit_range(degraded)
            at = t > 0
            if bool(at.any()):
                result[at] = self.restore_images(degraded[at], t[at])
            return result

        def restore(image: Tensor) -> Tensor:
            return self._restore_padded(image, t)

        if self.tile is not None and max(degraded.shape[-2:]) > self.tile:
            return to_unit_range(apply_tiled(restore, degraded, self.tile, self.tile_overlap))
        return to_unit_range(restore(degraded))

    def _restore_padded(self, degraded: Tensor, t: Tensor) -> Tensor:
        """The restored image from one reflected at right and bottom to a size of the backbone's."""
        height, width = degraded.shape[-2:]
        padded_height, padded_width = self.backbone.size_rule.enclosing(height, width)
        bottom, right = padded_height - height, padded_width - width
        mode = 'reflect' if bottom < height and right < width else 'replicate'
        padded = F.pad(degraded, (0, right, 0, bottom), mode=mode) if bottom or right else degraded
        return self(padded, t)[..., :height, :width]

    def val_step(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """Restored images, for the metrics; see ``predict``."""
        return self.predict(self.data_preprocessor(data))

    def test_step(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """Restored images, for the metrics; see ``predict``."""
        return self.predict(self.data_preprocessor(data))

    def predict(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """One dict a sample: restored, degraded and clean as uint8 RGB (H, W, 3), and its names."""
        steps = self.steps_to_restore_at(batch)
        t = torch.tensor(steps, device=batch['degraded'].device)
        images = {
            'restored': self.restore_images(batch['degraded'], t),
            'degraded': to_unit_range(batch['degraded']),
            'clean': to_unit_range(batch['clean']),
        }
        arrays = {name: to_uint8(image) for name, image in images.items()}
        return [
            {
                **{name: array[i] for name, array in arrays.items()},
                **{name: batch[name][i] for name in ('task', 'domain', 'path')},
                't': steps[i],
            }
            for i in range(len(steps))
        ]

    def steps_to_restore_at(self, batch: dict[str, Any]) -> list[int]:
        """The time step of each sample: that of its task."""
        return [self.timesteps[task] for task in batch['task']]
