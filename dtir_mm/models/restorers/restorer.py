"""The model: a time-conditioned network, a noise schedule and a head, to generate and restore."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import build_schedule, like
from dtir_mm.models.conditioning.conditioned_backbone import ConditionedBackbone
from dtir_mm.models.finite import naming, require_finite_output
from dtir_mm.models.preprocessor import RestorationPreprocessor, checked_range, to_uint8
from dtir_mm.models.restorers.blind_inference import Prediction, find_predictions, require_inference
from dtir_mm.models.restorers.degradation_classifier import DegradationClassifier
from dtir_mm.models.restorers.flips import average_over_flips
from dtir_mm.models.restorers.freezing import freeze_parameters
from dtir_mm.models.restorers.head import NoiseHead, ResidualHead
from dtir_mm.models.restorers.sdedit import sdedit
from dtir_mm.models.restorers.task_timesteps import TaskTimesteps
from dtir_mm.models.restorers.tiling import Part, tiled_rows
from dtir_mm.models.restorers.training_step import TrainingStep
from dtir_mm.registry import MODELS

PASSES = ('one', 'sdedit')
# Prefixes of parameters that checkpoints of earlier stages lack.
NEW_PARAMETERS = ('backbone.adapters.', 'backbone.restoration_head.', 'classifier.')


@MODELS.register_module()
class Restorer(BaseModel):
    """Restores images with a time-conditioned network, and trains it (``step``).

    Args:
        backbone: config of a ``ConditionedBackbone``.
        schedule: config of a noise schedule (``diffusion/noise_schedule.py``); None for the
            preprint's.
        head: config of a head (``head.py``); None for the preprint's.
        image_range: values of black and white: (-1, 1), or (0, 1) as in the released code.
        timesteps: the matched time step of each task; see ``TaskTimesteps``.
        inference: where t comes from at test time: "task", the sample's task, as in the paper;
            "predict", the classifier, and clean images are returned unchanged; "try_all", the
            restoration that is most consistent with the generator, of those at each task's step
            (``generative_consistency.py``); or a time step.
        classifier: config of the degradation classifier, which "predict" needs; None for none.
        passes: "one" forward pass; or "sdedit", for a network that was only pre-trained ("w/o GEF",
            Tables 6 to 9): the image is diffused to t and back by DDIM in at most ten passes.
        step: arguments of ``TrainingStep``; None for a restorer that is not trained.
        tile: largest side in pixels of the tiles that images are split into; None for no tiles.
        tile_overlap: overlap of neighbouring tiles in pixels.
        ensemble: average over an image and its three flips, at four times the cost.
        freeze: patterns for names of parameters not to train; see ``freezing.py``.

    Raises:
        ValueError: an unknown inference, range or kind of passes; "predict" without a classifier;
            tiles of one pixel or without overlap; or nothing to freeze or to train.
    """

    backbone: ConditionedBackbone
    head: NoiseHead | ResidualHead
    classifier: DegradationClassifier | None
    data_preprocessor: RestorationPreprocessor
    trained_tasks: Sequence[str] = ()  # that the weights were trained on; set by the loader

    def __init__(
        self,
        backbone: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        head: Mapping[str, Any] | None = None,
        image_range: Sequence[float] = (-1.0, 1.0),
        timesteps: str | Mapping[str, int] = 'paper',
        inference: str | int = 'task',
        classifier: Mapping[str, Any] | None = None,
        passes: str = 'one',
        step: Mapping[str, Any] | None = None,
        tile: int | None = None,
        tile_overlap: int = 64,
        ensemble: bool = False,
        freeze: Sequence[str] | None = None,
    ) -> None:
        self._check(passes, tile, tile_overlap)
        scaled = checked_range(image_range)
        super().__init__({'type': 'dtir_mm.RestorationPreprocessor', 'image_range': scaled})
        self.image_range = scaled
        self.backbone = MODELS.build(dict(backbone))
        self.schedule = build_schedule(schedule, self.image_range)
        self.head = MODELS.build(dict(head or {'type': 'NoiseHead'}))
        self.timesteps = TaskTimesteps(timesteps, self.schedule.num_steps)
        self.classifier = MODELS.build(dict(classifier)) if classifier else None
        self.set_inference(inference)
        self.passes = passes
        self.tile = tile
        self.tile_overlap = tile_overlap
        self.ensemble = ensemble
        self.precision = 'fp32'
        self.step = TrainingStep(**step) if step else None
        if self.step is not None:
            self.step.objective.prepare(self)
        self.freeze = freeze or []
        freeze_parameters(self, self.freeze)

    @staticmethod
    def _check(passes: str, tile: int | None, tile_overlap: int) -> None:
        if passes not in PASSES:
            raise ValueError(f'passes={passes!r} of Restorer must be one of {PASSES}')
        if tile is not None and tile < 2:
            raise ValueError(f'tile={tile} must be at least 2 pixels, or None for no tiles')
        if tile is not None and not 0 < tile_overlap < tile:
            raise ValueError(
                f'tile_overlap={tile_overlap} must lie in 1..{tile - 1}, below {tile=}'
            )

    def set_inference(self, inference: str | int) -> None:
        """Changes where t comes from; raises ValueError as the class does."""
        require_inference(inference, self.schedule.num_steps, self.classifier is not None)
        self.inference = inference

    def set_precision(self, precision: str) -> None:
        """Sets "fp32"; "bf16", training under autocast; or "fp64" throughout, for verification."""
        self.precision = precision
        if precision == 'fp64':
            self.double()
            self.data_preprocessor.dtype = torch.float64

    @contextlib.contextmanager
    def without_autocast(self) -> Iterator[None]:
        """Inside, "bf16" is "fp32"."""
        precision = self.precision
        if precision == 'bf16':
            self.precision = 'fp32'
        try:
            yield
        finally:
            self.precision = precision

    def trained_parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that receive gradients, in the order of flat gradients."""
        return list(self.named_trained_parameters().values())

    def named_trained_parameters(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that receive gradients, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def train_step(self, data: dict[str, Any], optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One update on the global batch; see ``TrainingStep.run``."""
        assert self.step is not None, 'a config without model.step is not trained'
        batch = self.data_preprocessor(data, training=True)
        return self.step.run(self, batch, optim_wrapper)

    def predict_residual(self, u: Tensor, t: Tensor, restoring: bool = True) -> Tensor:
        """f(u, t): the noise or degradation in images ``u`` (B, 3, H, W) at steps ``t`` (B,).

        Adapters and restoration head are active only while ``restoring``.

        Raises:
            NotFiniteError: it is not finite; during training the losses are checked instead.
        """
        bf16 = self.precision == 'bf16' and self.training
        context = (
            torch.autocast(u.device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()
        )
        with context:
            residual = self.backbone.predict_residual(u, t, restoring).to(u.dtype)
        if not self.training:
            require_finite_output(
                self, residual, lambda: self.backbone.predict_residual(u, t, restoring)
            )
        return residual

    def forward(self, degraded: Tensor, t: Tensor) -> Tensor:
        """``x_hat = y - c(t) f(y, t)``, unclamped: (B, 3, H, W) at steps (B,)."""
        if self.passes == 'sdedit':
            return sdedit(self, degraded, t)
        scale = like(self.head.scale(self.schedule, t), degraded)
        return degraded - scale * self.predict_residual(degraded, t)

    def predict_noise(self, noisy: Tensor, t: Tensor) -> Tensor:
        """The noise of variance one in x_t (B, 3, H, W), at steps (B,)."""
        return self.head.noise(self.schedule, self.predict_residual(noisy, t, restoring=False), t)

    def noise_in(self, noisy: Tensor, t: Tensor) -> Tensor:
        """The noise in x_t (B, 3, H, W) at its own strength, at steps (B,)."""
        residual = self.predict_residual(noisy, t, restoring=False)
        return self.head.noise_in(self.schedule, residual, t)

    def residual_and_features(self, u: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """f(u, t) of the generator, and the features (B, C, H, W) that its last layer reads."""
        residual, features = self.backbone.residual_and_features(u, t)
        require_finite_output(self, residual, lambda: self.backbone.residual_and_features(u, t))
        return residual, features

    def from_uint8(self, images: Tensor) -> Tensor:
        """Images in 0..255, as floating point numbers, in the model's range."""
        return self.image_range.from_uint8(images)

    @torch.no_grad()
    def restore_images(self, degraded: Tensor, t: Tensor) -> Tensor:
        """Restored images in [0, 1] from images (B, 3, H, W) of any size in the model's range.

        ``t`` (B,) holds one step per image; at t = 0 an image counts as clean and is returned.
        """
        if bool((t == 0).any()):
            result = self.image_range.to_unit_range(degraded)
            at = t > 0
            if bool(at.any()):
                result[at] = self.restore_images(degraded[at], t[at])
            return result
        height, width = degraded.shape[-2:]
        rows = self.restored_rows(lambda a, b, c, d: degraded[..., a:b, c:d], (height, width), t)
        return torch.cat(list(rows), dim=-2)

    @torch.no_grad()
    def restored_rows(self, part: Part, size: tuple[int, int], t: Tensor) -> Iterator[Tensor]:
        """``restore_images`` in bands of rows, for images that are read part by part.

        All time steps must be above 0.
        """

        def restore(*box: int) -> Tensor:
            image = part(*box)
            if self.ensemble:
                return average_over_flips(lambda flipped: self._restore_padded(flipped, t), image)
            return self._restore_padded(image, t)

        multiple = self.backbone.size_rule.multiple
        for rows in tiled_rows(restore, size, self.tile, self.tile_overlap, multiple):
            yield self.image_range.to_unit_range(rows)

    def _restore_padded(self, degraded: Tensor, t: Tensor) -> Tensor:
        height, width = degraded.shape[-2:]
        return self(self.backbone.size_rule.pad(degraded), t)[..., :height, :width]

    def crop_to_valid_size(self, images: Tensor) -> Tensor:
        """Crops (B, 3, H, W) to the largest size that the backbone accepts and a tile holds."""
        rule = self.backbone.size_rule
        limit = max(images.shape[-2:])
        if self.tile is not None:
            limit = max(self.tile, *rule.enclosing(1, 1))  # tiles are padded, this is not
        height, width = rule.inside(*(min(side, limit) for side in images.shape[-2:]))
        return images[..., :height, :width]

    def val_step(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """Restored images, if there are degraded ones, and the objectives' validation losses."""
        batch = self.data_preprocessor(data)
        paths = [{'path': path} for path in batch['path']]
        samples = self.predict(batch) if 'degraded' in batch else paths
        with naming(batch['path']):
            measured = self.step.val_losses(self, batch) if self.step else {}
        for name, values in measured.items():
            for sample, value in zip(samples, values, strict=True):
                sample[name] = value
        return samples

    def test_step(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """Restored images, for the metrics; see ``predict``."""
        return self.predict(self.data_preprocessor(data))

    def predict(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """One dict per sample: its names, and the images as uint8 RGB arrays (H, W, 3)."""
        with naming(batch['path']):
            non_blind = self.inference == 'task'
            t = self.timesteps_of(batch) if non_blind else self.find_steps(batch['degraded'])
            images = {
                'restored': self.restore_images(batch['degraded'], t),
                'degraded': self.image_range.to_unit_range(batch['degraded']),
                'clean': self.image_range.to_unit_range(batch['clean']),
            }
        arrays = {name: to_uint8(image) for name, image in images.items()}
        return [
            {
                **{name: array[i] for name, array in arrays.items()},
                **{name: batch[name][i] for name in ('task', 'domain', 'path')},
                't': step,
            }
            for i, step in enumerate(t.tolist())
        ]

    def timesteps_of(self, samples: dict[str, Any]) -> Tensor:
        """The matched time steps (B,) of the samples' tasks."""
        steps = [self.timesteps[task] for task in samples['task']]
        return torch.tensor(steps, device=samples['degraded'].device)

    def find_steps(self, degraded: Tensor) -> Tensor:
        """The time steps (B,) of images (B, 3, H, W) of unknown degradation."""
        size = (degraded.shape[-2], degraded.shape[-1])
        found = self.find_predictions(lambda a, b, c, d: degraded[..., a:b, c:d], size)
        return torch.tensor([prediction.t for prediction in found], device=degraded.device)

    def find_predictions(self, part: Part, size: tuple[int, int]) -> list[Prediction]:
        """See ``blind_inference.py``; ``part`` is as in ``restored_rows``."""
        return find_predictions(self, part, size)
