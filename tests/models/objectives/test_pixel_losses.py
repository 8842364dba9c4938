"""Pixel losses by hand and against numpy's FFT, and their gradients."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dtir_mm.models.objectives.pixel_losses import CharbonnierLoss, FFTLoss, L1Loss, build_terms

SIZES = pytest.mark.parametrize('size', [(8, 8), (8, 7), (7, 8), (5, 9), (6, 2), (4, 1), (1, 1)])


def images(*values: float) -> Tensor:
    """One constant image a value, but for a red channel that is 0."""
    batch = torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1, 1).repeat(1, 3, 4, 5)
    batch[:, 0] = 0
    return batch


def pair(height: int, width: int) -> tuple[Tensor, Tensor]:
    return tuple(torch.rand(2, 3, 3, height, width, dtype=torch.float64))


def test_l1_is_the_mean_absolute_error_of_each_image():
    losses = L1Loss()(images(0.5, -0.5, 3.0), images(0.2, 0.1, 3.0))
    torch.testing.assert_close(losses, torch.tensor([0.2, 0.4, 0.0], dtype=torch.float64))


@pytest.mark.parametrize('epsilon', [1e-3, 0.4])
def test_charbonnier_is_the_mean_of_roots_of_each_image(epsilon):
    """Two of three channels have the error, the third only epsilon."""
    losses = CharbonnierLoss(epsilon)(images(0.5, -0.5, 3.0), images(0.2, 0.1, 3.0))
    expected = [(2 * math.hypot(error, epsilon) + epsilon) / 3 for error in (0.3, 0.6, 0.0)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-12)


@SIZES
def test_fft_is_the_mean_amplitude_of_numpys_transform(size):
    restored, clean = pair(*size)
    losses = FFTLoss(weight=0.25)(restored, clean)
    for loss, image, truth in zip(losses, restored.numpy(), clean.numpy(), strict=True):
        difference = np.fft.fft2(image) - np.fft.fft2(truth)
        assert loss.item() == pytest.approx(0.25 * np.abs(difference).mean(), rel=1e-12)


@SIZES
def test_the_gradient_of_fft_is_that_of_the_whole_transform(size):
    """Also at self-conjugate frequencies; an image without error has no gradient."""
    restored, clean = pair(*size)
    restored[2] = clean[2]
    restored.requires_grad_()
    (gradient,) = torch.autograd.grad(FFTLoss(0.3)(restored, clean).sum(), restored)
    whole = torch.fft.fft2(restored - clean).abs().mean(dim=(1, 2, 3)).sum()
    (expected,) = torch.autograd.grad(0.3 * whole, restored)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-14)
    assert (gradient[2] == 0).all() and (gradient[:2].abs() > 0).any()


@pytest.mark.parametrize('loss', [L1Loss(), CharbonnierLoss(0.1), FFTLoss()], ids=repr)
def test_gradients_against_differences(loss):
    for size in ((4, 4), (3, 5)):
        restored, clean = pair(*size)
        restored.requires_grad_()
        assert torch.autograd.gradcheck(lambda r, c=clean: loss(r, c), restored)


def test_terms_are_built_from_the_config_by_name():
    terms = build_terms(
        dict(
            pixel=dict(type='CharbonnierLoss', epsilon=0.2),
            fft=dict(type='FFTLoss', weight=0.4),
            off=None,
        )
    )
    assert [(name, type(term)) for name, term in terms.items()] == [
        ('pixel', CharbonnierLoss), ('fft', FFTLoss)
    ]  # fmt: skip
    assert (terms['pixel'].epsilon, terms['fft'].weight) == (0.2, 0.4)
    (default,) = build_terms(None).values()
    assert isinstance(default, L1Loss)


@pytest.mark.parametrize('losses', [dict(), dict(pixel=None)])
def test_configs_without_a_loss_are_rejected(losses):
    with pytest.raises(ValueError, match='losses=.* must name at least one loss'):
        build_terms(losses)
