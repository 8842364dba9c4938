"""Restorers of both recipes, batches, and their losses and gradients written out by sample.

``build`` makes a restorer of the preprint's parts (noise head, variance preserved, [-1, 1]);
``**RELEASED`` makes it one of the released code's (residual head, variance exploding, [0, 1]).
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dtir_mm.models.restorers.tiling import tiled_rows
from dtir_mm.randomness import seed_of
from dtir_mm.registry import MODELS

ALPHA_BAR = np.cumprod(1 - np.linspace(0.002, 0.4, 50))
STEPS = {'rainy': 8, 'hazy': 47}
SEED = 11
RELEASED = dict(
    schedule=dict(type='VarianceExploding'), head=dict(type='ResidualHead'), image_range=(0, 1)
)
L1_AND_FFT = dict(pixel=dict(type='L1Loss'), fft=dict(type='FFTLoss', weight=0.1))
BOTH = pytest.mark.parametrize('stage', ['pretraining', 'finetuning'])


def exploding_sigma() -> np.ndarray:
    """Noise levels of the released code at t = 0..50, written out (docs/method.md)."""
    theta = [(1e-4 + (2e-2 - 1e-4) * k / 50) * 1000 / 51 for k in range(51)]
    elapsed = np.cumsum(theta) - theta[0]
    rate = -math.log(0.005) / elapsed[-1]
    return 10 / 255 * np.sqrt(1 - np.exp(-2 * elapsed * rate))


SIGMA = exploding_sigma()


def step_of(stage: str, **more) -> dict:
    """Config of a training step of the preprint without regularizers; ``more`` goes to mixing."""
    generative = dict(type='NoisePrediction')
    if stage == 'pretraining':
        return dict(objective=generative)
    mixing = dict(type='SampleMixing', objective=generative, **more)
    return dict(objective=dict(type='Reconstruction'), mixing=mixing)


def build(backbone: dict, step: dict | None, precision: str = 'fp64', **arguments) -> nn.Module:
    """A restorer whose weights are all random, those of FiLM too."""
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, step=step, **arguments))
    restorer.set_precision(precision)
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.2)
    return restorer


def make_data(slots, iteration: int = 3, side: int = 8) -> dict:
    """A collated batch; a sample's content depends only on its slot."""
    slots = list(slots)
    pixels = [np.random.default_rng(slot).integers(0, 256, (2, 3, side, side)) for slot in slots]
    clean, degraded = torch.from_numpy(np.stack(pixels, axis=1).astype(np.uint8))
    return {
        'clean': clean,
        'degraded': degraded,
        'task': [('rainy', 'hazy')[slot % 2] for slot in slots],
        'domain': ['source'] * len(slots),
        'path': [f'photo_{slot}.png' for slot in slots],
        'key': torch.tensor([[SEED, iteration, slot] for slot in slots]),
    }


def draw(key: list[int], shape: tuple) -> tuple[int, Tensor]:
    """The time step and noise of a key; other draws would change the course of every run."""
    rng = torch.Generator().manual_seed(seed_of(*key, 'noise'))
    return int(torch.randint(1, 51, (), generator=rng)), torch.randn(shape, generator=rng)


# --- losses of the preprint, of sample i of a batch -----------------------------------------------


def noise_loss(restorer: nn.Module, data: dict, i: int) -> Tensor:
    clean = data['clean'][i].double() / 127.5 - 1
    t, noise = draw(data['key'][i].tolist(), clean.shape)
    a = ALPHA_BAR[t - 1]
    noisy = math.sqrt(a) * clean + math.sqrt(1 - a) * noise.double()
    return (noise - restorer.backbone(noisy[None], torch.tensor([t]))[0]).square().mean()


def content_loss(restorer: nn.Module, data: dict, i: int) -> Tensor:
    clean, degraded = (data[name][i].double() / 127.5 - 1 for name in ('clean', 'degraded'))
    t = STEPS[data['task'][i]]
    c = max(math.sqrt(1 - ALPHA_BAR[t - 1]), 0.25)
    residual = restorer.backbone(degraded[None], torch.tensor([t]))[0]
    return (degraded - c * residual - clean).abs().mean()


# --- and of the released code ---------------------------------------------------------------------


def denoising_loss(restorer: nn.Module, data: dict, i: int) -> Tensor:
    clean = data['clean'][i].double() / 255
    t, noise = draw(data['key'][i].tolist(), clean.shape)
    noisy = clean + SIGMA[t] * noise.double()
    return (noisy - restorer.backbone(noisy[None], torch.tensor([t]))[0] - clean).abs().mean()


def l1_and_fft_loss(restorer: nn.Module, data: dict, i: int) -> Tensor:
    clean, degraded = (data[name][i].double() / 255 for name in ('clean', 'degraded'))
    t = torch.tensor([STEPS[data['task'][i]]])
    error = degraded - restorer.backbone(degraded[None], t)[0] - clean
    return error.abs().mean() + 0.1 * torch.fft.fft2(error).abs().mean()


def gradient_of(loss: Tensor, restorer: nn.Module) -> Tensor:
    restorer.zero_grad()
    loss.backward()
    gradient = torch.cat([parameter.grad.flatten() for parameter in restorer.parameters()])
    restorer.zero_grad()
    return gradient


def compute(restorer: nn.Module, data: dict) -> tuple[Tensor, dict[str, Tensor]]:
    return restorer.step.gradient(restorer, restorer.data_preprocessor(data))


def apply_tiled(function, image: Tensor, tile: int, overlap: int, multiple: int = 1) -> Tensor:
    """A function of images (B, 3, H, W), tile by tile."""

    def part(top: int, bottom: int, left: int, right: int) -> Tensor:
        return function(image[..., top:bottom, left:right])

    rows = tiled_rows(part, tuple(image.shape[-2:]), tile, overlap, multiple)
    return torch.cat(list(rows), dim=-2)
