"""Trained networks, the test images of their configs, and what their blocks compute of these."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dtir_mm import trust
from dtir_mm.apis.loading import load_restorer
from dtir_mm.engine.checkpoint import Checkpoint, load_checkpoint
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.task_timesteps import CLEAN
from dtir_mm.models.tracing.trace import is_composite
from dtir_mm.registry import DATASETS

_LARGEST = 256  # pixels; of larger images, the centre
_IMAGE_CHANNELS = 3


@dataclass(frozen=True)
class Network:
    """A restorer, its checkpoint, and the name of its work directory."""

    name: str
    restorer: Restorer
    checkpoint: Checkpoint

    @property
    def blocks(self) -> list[str]:
        """Names of the blocks whose outputs are maps of features, in order of execution.

        Maps have the shape of the image and more channels, unlike the residual. The order is that
        of layer-wise decay. Single layers, such as a stem or a last norm, count only if there are
        no two blocks of several layers.

        Raises:
            ValueError: there are fewer than two blocks.
        """
        trace = self.restorer.backbone.trace
        found = [
            block
            for block in trace.order
            if block in trace.shapes and _is_map(trace.shapes[block][-1], trace.image_shape)
        ]
        if len(found) < 2:
            raise ValueError(
                f'{self.name}: fewer than two blocks of {type(trace.net).__name__} have outputs '
                f'(B, C, H, W) of more than {_IMAGE_CHANNELS} channels'
            )
        composite = [block for block in found if is_composite(trace.net.get_submodule(block))]
        return composite if len(composite) > 1 else found

    def test_data(self, allow_imports: bool) -> Any:
        """The data set of its config's ``test_dataloader``, built as ``trust.py`` describes.

        Raises:
            ValueError: the config has none, or it may not be built.
        """
        path, key = self.checkpoint.path, 'test_dataloader.dataset'
        settings = self.checkpoint.config.get('test_dataloader')
        if not settings:
            raise ValueError(f'the config in {path} has no test_dataloader, whose images are shown')
        if not allow_imports:
            trust.refuse_foreign_data(settings['dataset'], key, path)
        with trust.building(settings['dataset'], key, path, allow_imports):
            return DATASETS.build(settings['dataset'])

    @torch.no_grad()
    def run(self, degraded: Tensor, t: int, blocks: Sequence[str]) -> tuple[Tensor, list[Tensor]]:
        """Restores an image, and watches blocks.

        Args:
            degraded: an image (3, H, W) in [0, 1].
            t: time step.
            blocks: of ``blocks``.

        Returns:
            The restored image (3, H, W) in [0, 1], and each block's output (C, h, w), without what
            padding to a valid size added.
        """
        restorer = self.restorer
        device = next(restorer.parameters()).device
        image = restorer.image_range.from_unit_range(degraded[None].to(device))
        padded = restorer.backbone.size_rule.pad(image)
        outputs: dict[str, Tensor] = {}
        with ExitStack() as hooks:
            for block in blocks:
                module = restorer.backbone.net.get_submodule(block)
                handle = module.register_forward_hook(
                    lambda *args, block=block: outputs.__setitem__(block, args[-1][0].cpu())
                )
                hooks.callback(handle.remove)
            restored = restorer(padded, torch.tensor([t], device=device))
        height, width = degraded.shape[-2:]
        features = []
        for block in blocks:
            h, w = outputs[block].shape[-2:]
            bottom, right = -(-height * h // padded.shape[-2]), -(-width * w // padded.shape[-1])
            features.append(outputs[block][:, :bottom, :right])
        return restorer.image_range.to_unit_range(restored)[0, :, :height, :width].cpu(), features


def _is_map(shape: torch.Size, of_image: torch.Size) -> bool:
    """Whether an output is (B, C, h, w) of more than three channels and the image's proportions."""
    if len(shape) != len(of_image):
        return False
    height, width = of_image[-2:]
    return shape[1] > _IMAGE_CHANNELS and shape[2] * width == shape[3] * height


def load_networks(folders: Sequence[Path], allow_imports: bool) -> list[Network]:
    """The newest checkpoint of each work directory; see ``load_restorer`` for errors."""
    networks = []
    for folder in folders:
        checkpoint = load_checkpoint(folder)
        restorer = load_restorer(checkpoint, None, allow_imports)
        networks.append(Network(folder.resolve().name, restorer, checkpoint))
    return networks


def pairs(data: Any, most: int) -> Iterator[dict[str, Any]]:
    """The first ``most`` pairs of each task and domain of a data set, without clean images.

    They are samples as ``PackSample`` gives them.
    """
    taken: Counter[tuple[str, str]] = Counter()
    for part in getattr(data, 'parts', [data]):
        groups = getattr(part, 'groups', None)
        for index in range(len(part)):
            if groups and all(task == CLEAN or taken[task, d] >= most for task, d in groups):
                break
            sample = part[index]
            group = sample['task'], sample['domain']
            if sample['task'] != CLEAN and taken[group] < most:
                taken[group] += 1
                yield sample


def as_images(sample: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The degraded and the clean image of a sample, (3, H, W) in [0, 1].

    Of images with a side of more than 256 pixels, it is the centre.
    """
    images = []
    for name in ('degraded', 'clean'):
        image = sample[name].float() / 255
        top, left = (max(side - _LARGEST, 0) // 2 for side in image.shape[-2:])
        images.append(image[:, top : top + _LARGEST, left : left + _LARGEST])
    return images[0], images[1]
