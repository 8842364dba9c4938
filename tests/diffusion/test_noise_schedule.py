"""The schedules against diffusers and the figures of method.md 1.1; the forward process."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from dtir_mm.diffusion.noise_schedule import SCHEDULES, NoiseSchedule

NAMES = list(SCHEDULES)
STEPS = torch.arange(1, 51)


def test_the_three_schedules_and_the_default():
    assert NAMES == ['linear_scaled', 'ddim_stride', 'cosine']
    default = NoiseSchedule()
    assert (default.name, default.num_steps) == ('linear_scaled', 50)
    assert torch.equal(default.betas, NoiseSchedule('linear_scaled', 50).betas)


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('linear_scaled', {'beta_start': 0.002, 'beta_end': 0.4}),
        ('cosine', {'beta_schedule': 'squaredcos_cap_v2'}),
    ],
)
def test_linear_scaled_and_cosine_equal_diffusers(name, options):
    reference = DDPMScheduler(num_train_timesteps=50, **options)
    schedule = NoiseSchedule(name)
    close = {'rtol': 2e-5, 'atol': 0, 'check_dtype': False}
    torch.testing.assert_close(schedule.beta(STEPS), reference.betas, **close)
    torch.testing.assert_close(schedule.alpha_bar(STEPS), reference.alphas_cumprod, **close)


@pytest.mark.parametrize('num_steps', [1, 7, 25, 50, 100, 1000])
def test_ddim_stride_is_trailing_spacing_of_diffusers(num_steps):
    reference = DDIMScheduler(beta_start=1e-4, beta_end=0.02, timestep_spacing='trailing')
    reference.set_timesteps(num_steps)
    expected = reference.alphas_cumprod[reference.timesteps].flip(0)
    schedule = NoiseSchedule('ddim_stride', num_steps)
    torch.testing.assert_close(
        schedule.alphas_cumprod, expected, rtol=5e-5, atol=1e-8, check_dtype=False
    )


@pytest.mark.parametrize(
    ('name', 'last', 'levels'),
    [
        ('linear_scaled', 7.7e-6, (31, 68, 113)),
        ('ddim_stride', 4.0e-5, (35, 71, 115)),
        ('cosine', 9.7e-7, (18, 34, 52)),
    ],
)
def test_published_values(name, last, levels):
    schedule = NoiseSchedule(name)
    assert schedule.alpha_bar(STEPS[-1:]).item() == pytest.approx(last, rel=0.01)
    # Noise of these deviations, of 255, added to an image has the noise-to-signal ratio of x_t.
    t = torch.tensor([4, 8, 12])
    additive = 127.5 * schedule.sigma(t) / schedule.signal(t)
    assert additive.round().tolist() == list(levels)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('num_steps', [25, 50, 1000])
def test_signal_falls_and_noise_grows_from_none_at_0(name, num_steps):
    schedule = NoiseSchedule(name, num_steps)
    t = torch.arange(num_steps + 1)
    assert schedule.alpha_bar(t[:1]).item() == 1 and schedule.sigma(t[:1]).item() == 0
    assert (schedule.alpha_bar(t).diff() < 0).all()
    assert (schedule.sigma(t).diff() > 0).all()
    assert (schedule.beta(t[1:]).diff() > 0).all()
    torch.testing.assert_close(
        schedule.signal(t) ** 2 + schedule.sigma(t) ** 2, torch.ones(t.shape).double()
    )


@pytest.mark.parametrize('name', NAMES)
def test_one_jump_equals_the_chain_of_single_steps(name):
    """x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) n, step by step, in means and variances."""
    schedule = NoiseSchedule(name)
    factor, variance = 1.0, 0.0
    for t in STEPS.tolist():
        beta = schedule.beta(torch.tensor([t])).item()
        factor *= math.sqrt(1 - beta)
        variance = (1 - beta) * variance + beta
        now = torch.tensor([t])
        assert schedule.signal(now).item() == pytest.approx(factor, rel=1e-9)
        assert schedule.sigma(now).item() == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_add_noise_equals_diffusers_with_a_step_a_sample():
    reference = DDPMScheduler(num_train_timesteps=50, beta_start=0.002, beta_end=0.4)
    clean, noise = torch.randn(2, 4, 3, 5, 6)
    t = torch.tensor([1, 50, 8, 27])
    noisy = NoiseSchedule().add_noise(clean, noise, t)
    assert noisy.dtype == torch.float32
    torch.testing.assert_close(
        noisy, reference.add_noise(clean, noise, t - 1), rtol=1e-5, atol=1e-5
    )


def test_add_noise_has_the_mean_and_the_deviation_of_its_step():
    schedule = NoiseSchedule()
    clean = torch.full((3, 3, 128, 128), 0.7)
    noisy = schedule.add_noise(clean, torch.randn(clean.shape), torch.tensor([1, 12, 50]))
    # sqrt(alpha_bar_t) and s_t of betas linspace(.002, .4, 50), in decimals.
    mean = 0.7 * torch.tensor([0.998999, 0.748725, 0.002783])
    deviation = torch.tensor([0.044721, 0.662881, 0.999996])
    torch.testing.assert_close(noisy.mean((1, 2, 3)), mean, atol=0.015, rtol=0)
    torch.testing.assert_close(noisy.std((1, 2, 3)), deviation, atol=0, rtol=0.015)


@pytest.mark.parametrize('name', NAMES)
def test_predict_clean_inverts_add_noise_and_clips(name):
    schedule = NoiseSchedule(name)
    clean = torch.rand(50, 3, 4, 4, dtype=torch.float64) * 6 - 3
    noise = torch.randn_like(clean)
    noisy = schedule.add_noise(clean, noise, STEPS)
    recovered = schedule.predict_clean(noisy, noise, STEPS, clip=False)
    torch.testing.assert_close(recovered, clean, rtol=0, atol=1e-9)
    clipped = schedule.predict_clean(noisy, noise, STEPS)
    torch.testing.assert_close(clipped, clean.clamp(-1, 1), rtol=0, atol=1e-9)
    assert clipped.abs().max() <= 1


def test_unknown_names_and_numbers_of_steps_are_refused_by_name():
    with pytest.raises(ValueError, match="'linear'.*linear_scaled, ddim_stride, cosine"):
        NoiseSchedule('linear')
    for bad in (0, -3, 1001):
        with pytest.raises(ValueError, match=rf'num_steps={bad} .*1\.\.1000'):
            NoiseSchedule('cosine', bad)


def test_too_few_steps_for_the_linear_schedule_are_refused():
    # beta_T = 20 / T.
    with pytest.raises(ValueError, match='num_steps=20 is too few for linear_scaled'):
        NoiseSchedule('linear_scaled', 20)
    assert NoiseSchedule('linear_scaled', 21).betas[-1].item() == pytest.approx(20 / 21)
