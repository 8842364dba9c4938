"""Reverse steps against diffusers, against conditioned joint Gaussians, and with known noise."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from dtir_mm.diffusion.noise_schedule import (
    BETAS,
    NoiseSchedule,
    VarianceExploding,
    VariancePreserving,
)
from dtir_mm.diffusion.sampling import ddim_denoise, ddim_step, ddpm_step, posterior_mean

NAMES = list(BETAS)
EVERY = pytest.mark.parametrize(
    'schedule',
    [*map(VariancePreserving, NAMES), VarianceExploding()],
    ids=[*NAMES, 'VarianceExploding'],
)
CLOSE = {'rtol': 1e-5, 'atol': 1e-5, 'check_dtype': False}


def reference_scheduler(kind, name, num_inference_steps=50, **options):
    """A scheduler of diffusers in float64, and how many of its steps make one of ours."""
    betas, stride = {
        'linear_scaled': ({'beta_start': 0.002, 'beta_end': 0.4}, 1),
        'cosine': ({'beta_schedule': 'squaredcos_cap_v2'}, 1),
        'ddim_stride': ({'beta_start': 1e-4, 'beta_end': 0.02}, 20),
    }[name]
    scheduler = kind(
        num_train_timesteps=50 * stride, timestep_spacing='trailing', **betas, **options
    )
    scheduler.alphas_cumprod = (1 - scheduler.betas.double()).cumprod(0)
    scheduler.set_timesteps(num_inference_steps)
    return scheduler, stride


def full(t: int) -> Tensor:
    return torch.full((1,), t)


def seeded_generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize('name', NAMES)
def test_ddpm_step_equals_diffusers(name):
    reference, stride = reference_scheduler(DDPMScheduler, name)
    noisy, noise = torch.randn(2, 1, 3, 8, 8, dtype=torch.float64)
    # In diffusers only step 0 is the last one, where no noise is added.
    first = 1 if stride == 1 else 2
    for t in range(first, 51):
        expected = reference.step(noise, t * stride - 1, noisy, seeded_generator()).prev_sample
        actual = ddpm_step(VariancePreserving(name), noisy, noise, full(t), seeded_generator())
        torch.testing.assert_close(actual, expected, msg=lambda m, t=t: f't={t}: {m}', **CLOSE)


@pytest.mark.parametrize('jump', [1, 5, 25])
@pytest.mark.parametrize('name', NAMES)
def test_ddim_step_equals_diffusers(name, jump):
    """There, use_clipped_model_output recomputes the noise from the clipped x_0."""
    reference, stride = reference_scheduler(DDIMScheduler, name, 50 // jump)
    noisy, noise = torch.randn(2, 1, 3, 8, 8, dtype=torch.float64)
    for t in sorted({jump, jump + 1, 26, 37, 49, 50}):
        if t < jump:
            continue
        expected = reference.step(
            noise, t * stride - 1, noisy, use_clipped_model_output=True
        ).prev_sample
        actual = ddim_step(VariancePreserving(name), noisy, noise, full(t), full(t - jump))
        torch.testing.assert_close(actual, expected, msg=lambda m, t=t: f't={t}: {m}', **CLOSE)


def chain_covariance(factors: np.ndarray, variances: np.ndarray, prior: float) -> np.ndarray:
    """Covariance of (x_0, ... x_T) with ``x_t = factor_t x_{t-1} + sqrt(variance_t) noise``.

    x_0 has the variance ``prior``.
    """
    mixing = np.zeros((len(factors) + 1, len(factors) + 1))
    mixing[0, 0] = np.sqrt(prior)
    for t, (factor, variance) in enumerate(zip(factors, variances, strict=True), start=1):
        mixing[t] = factor * mixing[t - 1]
        mixing[t, t] = np.sqrt(variance)
    return mixing @ mixing.T


def preserving_chain() -> tuple[np.ndarray, np.ndarray]:
    betas = np.linspace(0.002, 0.4, 50)
    return np.sqrt(1 - betas), betas


def exploding_chain() -> tuple[np.ndarray, np.ndarray]:
    """Each step adds what sigma^2 grows by, from its formula (sigma_max = 127.5 of 255)."""
    theta = np.linspace(1e-4, 2e-2, 51)
    decay = np.log(0.005) * (np.cumsum(theta) - theta[0]) / theta[1:].sum()
    return np.ones(50), 0.25 * np.diff(1 - np.exp(2 * decay))


@pytest.mark.parametrize(
    ('schedule', 'chain'),
    [
        (VariancePreserving(), preserving_chain()),
        (VarianceExploding(127.5, image_range=(0, 1)), exploding_chain()),
    ],
    ids=['VariancePreserving', 'VarianceExploding'],
)
def test_posterior_is_that_of_the_joint_gaussian(schedule, chain):
    """Mean and variance of x_{t-1} given x_0 and x_t, by conditioning the whole chain on both."""
    covariance = chain_covariance(*chain, prior=0.6)
    clean, noisy = 0.45, -0.8
    images = [torch.full((1, 3, 2, 2), value, dtype=torch.float64) for value in (clean, noisy)]
    for t in range(2, 51):
        given = [0, t]
        gain = np.linalg.solve(covariance[np.ix_(given, given)], covariance[given, t - 1])
        mean = gain @ [clean, noisy]
        variance = covariance[t - 1, t - 1] - gain @ covariance[given, t - 1]
        actual = posterior_mean(schedule, *images, full(t))
        torch.testing.assert_close(actual, torch.full_like(actual, mean), rtol=1e-7, atol=1e-7)

        # The noise that leads from `clean` to `noisy`, so that the step predicts `clean`.
        noise = (images[1] - schedule.signal(full(t)) * clean) / schedule.sigma(full(t))
        fresh = torch.randn(noise.shape, generator=seeded_generator(), dtype=noise.dtype)
        stepped = ddpm_step(schedule, images[1], noise, full(t), seeded_generator())
        torch.testing.assert_close(stepped, mean + np.sqrt(variance) * fresh, rtol=1e-6, atol=1e-6)
    last = posterior_mean(schedule, *images, full(1))
    torch.testing.assert_close(last, images[0], rtol=0, atol=1e-12)


def oracle(schedule: NoiseSchedule, clean: Tensor):
    """Predicts the noise in x_t, given the clean images."""

    def predict_noise(noisy: Tensor, t: Tensor) -> Tensor:
        signal, sigma = (v[:, None, None, None] for v in (schedule.signal(t), schedule.sigma(t)))
        return (noisy - signal * clean) / sigma

    return predict_noise


@EVERY
@pytest.mark.parametrize(
    ('t_start', 'num_steps', 'visited'),
    [
        (50, 5, [50, 40, 30, 20, 10]),
        (50, 50, list(range(50, 0, -1))),
        (7, 10, [7, 6, 5, 4, 3, 2, 1]),
        (23, 4, [23, 17, 12, 6]),
        (1, 10, [1]),
        (31, 1, [31]),
    ],
)
def test_ddim_with_known_noise_follows_its_path_to_the_clean_image(
    schedule, t_start, num_steps, visited
):
    low, high = schedule.image_range
    clean = torch.rand(2, 3, 4, 4, dtype=torch.float64) * (high - low) + low
    noise = torch.randn_like(clean)
    predict, seen = oracle(schedule, clean), []

    def predict_noise(noisy: Tensor, t: Tensor) -> Tensor:
        torch.testing.assert_close(noisy, schedule.add_noise(clean, noise, t))
        seen.append(t.tolist())
        return predict(noisy, t)

    noisy = schedule.add_noise(clean, noise, torch.tensor([t_start] * 2))
    restored = ddim_denoise(schedule, predict_noise, noisy, t_start, num_steps)
    torch.testing.assert_close(restored, clean, rtol=0, atol=1e-9)
    assert seen == [[t, t] for t in visited]


def test_ddim_takes_the_noise_of_the_clipped_image():
    """With an impossible prediction the next x is a mix of 1 and the noise that explains x_t."""
    schedule = VariancePreserving()
    noisy = torch.full((1, 3, 2, 2), 3.0, dtype=torch.float64)
    stepped = ddim_step(schedule, noisy, -noisy, full(20), full(0))
    torch.testing.assert_close(stepped, torch.ones_like(noisy))
    stepped = ddim_step(schedule, noisy, -noisy, full(20), full(19))
    explains = (3 - schedule.signal(full(20))) / schedule.sigma(full(20))
    expected = schedule.add_noise(torch.ones_like(noisy), explains.reshape(1, 1, 1, 1), full(19))
    torch.testing.assert_close(stepped, expected)


def test_ddim_clips_to_the_image_range():
    """An impossible prediction is clipped to 0, and the noise is the rest of x_t."""
    schedule = VarianceExploding()
    noisy = torch.full((1, 3, 2, 2), -0.01, dtype=torch.float64)
    stepped = ddim_step(schedule, noisy, torch.ones_like(noisy), full(8), full(4))
    expected = torch.full_like(noisy, -0.01 * 2.942631 / 5.182859)  # in proportion to sigma
    torch.testing.assert_close(stepped, expected, rtol=1e-6, atol=0)


@EVERY
def test_a_ddpm_chain_with_known_noise_keeps_the_forward_distribution(schedule):
    """x_t stays N(signal_t x_0, sigma_t^2) all the way, and ends in x_0."""
    generator = seeded_generator()
    clean = torch.linspace(*schedule.image_range, 12288, dtype=torch.float64).reshape(1, 3, 64, 64)
    x = schedule.add_noise(clean, torch.randn_like(clean), full(50))
    for t in range(50, 0, -1):
        x = ddpm_step(schedule, x, oracle(schedule, clean)(x, full(t)), full(t), generator)
        if t > 1:
            noise = oracle(schedule, clean)(x, full(t - 1))
            assert noise.mean().item() == pytest.approx(0, abs=0.04)
            assert noise.std().item() == pytest.approx(1, abs=0.03)
    torch.testing.assert_close(x, clean, rtol=0, atol=1e-9)


@EVERY
def test_noise_is_added_except_at_t_1(schedule):
    noisy, noise = torch.randn(2, 3, 3, 16, 16, dtype=torch.float64)
    t = torch.tensor([1, 2, 50])
    steps = [ddpm_step(schedule, noisy, noise, t, seeded_generator(seed)) for seed in (1, 1, 2)]
    assert torch.equal(steps[0], steps[1])
    assert torch.equal(steps[0][0], steps[2][0])
    assert (steps[0][1:] != steps[2][1:]).all()


@EVERY
def test_batched_steps_equal_single_ones(schedule):
    noisy, noise = torch.randn(2, 3, 3, 4, 4)
    t, t_next = torch.tensor([50, 9, 2]), torch.tensor([40, 8, 0])
    batch = ddim_step(schedule, noisy, noise, t, t_next)
    for i in range(3):
        one = slice(i, i + 1)
        single = ddim_step(schedule, noisy[one], noise[one], t[one], t_next[one])
        torch.testing.assert_close(batch[one], single)
