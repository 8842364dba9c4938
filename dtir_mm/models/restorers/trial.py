"""Trial passes before training, to detect faults that would otherwise appear after hours."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dtir_mm.models.conditioning.folding import fold_time_and_scale
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.tracing.sizes import cause, check_output, left_as_it_was, undisturbed

_SMALL, _LARGE = (32, 32), (128, 192)
_PROBE_SIZE = 64
_TOLERANCE = 1e-3


def try_training(restorer: Restorer) -> None:
    """Runs the network forward and backward as in training, without changing it.

    Raises:
        ValueError: in training mode it does not return images, or has no gradients.
    """
    backbone = restorer.backbone
    name = type(backbone.net).__name__
    image = _random_images(restorer, 2, *_SMALL)
    t = torch.ones(len(image), dtype=torch.long, device=image.device)
    trained = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    with left_as_it_was(restorer), backbone.twice_differentiable(), torch.enable_grad():
        restorer.train()
        try:
            output = backbone(image, t)
            check_output(backbone.net, image, output)
            torch.autograd.grad(output.square().mean(), trained, allow_unused=True)
        except Exception as error:  # a network of the user's own may raise anything
            raise ValueError(f'{name} cannot be trained: {_advice(cause(error))}') from error


def try_large(restorer: Restorer) -> None:
    """Restores an image larger than the usual patch.

    Raises:
        ValueError: the network fails on it.
    """
    net, image = restorer.backbone.net, _random_images(restorer, 1, *_LARGE)
    t = torch.ones(1, dtype=torch.long, device=image.device)
    try:
        with undisturbed(restorer):
            check_output(net, image, restorer.backbone(image, t))
    except Exception as error:
        raise ValueError(
            f'{type(net).__name__} takes only small images: on {tuple(image.shape)} it fails: '
            f'{cause(error)}. A backbone must take images of any size that its size_multiple, '
            f'size_minimum and square_only allow (dtir_mm/models/tracing/trace.py)'
        ) from error


@torch.no_grad()
def deployment_obstacle(restorer: Restorer) -> str | None:
    """Why the network cannot be deployed, by folding a copy with random weights; else None."""
    backbone = copy.deepcopy(restorer.backbone).float().eval()
    rng = torch.Generator().manual_seed(0)
    for parameter in backbone.parameters():  # zeros would hide all layers before them
        parameter.add_(0.02 * torch.randn(parameter.shape, generator=rng).to(parameter))
    image = _random_images(restorer, 1, _PROBE_SIZE, _PROBE_SIZE).float()
    t = torch.ones(1, dtype=torch.long, device=image.device)
    scale = restorer.head.scale(restorer.schedule, t).item()
    try:
        with left_as_it_was(backbone):
            expected: Tensor = image - scale * backbone.predict_residual(image, t)
            net = fold_time_and_scale(backbone, 1, scale)
            restored = net(image) if backbone.global_skip else image + net(image)
    except Exception as error:  # a network of the user's own may raise anything
        return cause(error)
    if (restored - expected).abs().max() <= _TOLERANCE * expected.abs().max().clamp(min=1):
        return None
    return (
        'its last layer must be a convolution whose output is used as it is, and what time '
        'conditions must end with a scale and shift of each channel'
    )


def idle_batch_norms(net: nn.Module) -> list[str]:
    """The batch norms that still have their initial statistics, and so have no effect."""
    return [
        name
        for name, module in net.named_modules()
        if isinstance(module, _BatchNorm)
        and module.running_mean is not None
        and module.running_var is not None
        and not module.running_mean.any()
        and torch.equal(module.running_var, torch.ones_like(module.running_var))
    ]


def _random_images(restorer: Restorer, batch: int, height: int, width: int) -> Tensor:
    """Random images of the network's range and type, at least of that size."""
    height, width = restorer.backbone.size_rule.enclosing(height, width)
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, height, width, generator=rng)
    weight = next(restorer.backbone.parameters())
    return restorer.image_range.from_unit_range(images).to(weight)


def _advice(message: str) -> str:
    """An error with its remedy, if one is known."""
    if 'checkpoint' in message or 'does not require grad' in message:
        return (
            'torch.autograd.grad cannot differentiate it, as happens if it checkpoints its '
            'activations itself (use_checkpoint=True). Switch that off, and set '
            'model.backbone.checkpoint_activations=True to save the same memory'
        )
    if 'must map' in message:
        return f'in training mode, {message}. It must give the same in training as in evaluation'
    return message
