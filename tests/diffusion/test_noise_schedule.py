"""Schedules against diffusers, method.md 1.1 and released.md; the forward process of both."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from dtir_mm.diffusion.noise_schedule import (
    BETAS,
    VarianceExploding,
    VariancePreserving,
    build_schedule,
)

NAMES = list(BETAS)
STEPS = torch.arange(1, 51)
# 255 sigma as the authors' code computes it, in float32.
RELEASED = {1: 1.012174, 4: 2.942631, 8: 5.182859, 12: 6.975869, 15: 7.993159, 19: 8.937034}
RELEASED |= {22: 9.385556, 27: 9.787034, 38: 9.989611, 47: 9.999579, 50: 9.999875}
EVERY = pytest.mark.parametrize(
    'schedule',
    [*map(VariancePreserving, NAMES), VarianceExploding()],
    ids=[*NAMES, 'VarianceExploding'],
)


def alpha_bar_of(schedule: VariancePreserving) -> torch.Tensor:
    """alpha_bar_t at t = 1..T."""
    return schedule.signal(torch.arange(1, schedule.num_steps + 1)).square()


def betas_of(schedule: VariancePreserving) -> torch.Tensor:
    """beta_t at t = 1..T, from the ratio of neighbouring alpha_bar."""
    alpha_bar = alpha_bar_of(schedule)
    return 1 - alpha_bar / torch.cat([torch.ones(1).double(), alpha_bar[:-1]])


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('linear_scaled', {'beta_start': 0.002, 'beta_end': 0.4}),
        ('cosine', {'beta_schedule': 'squaredcos_cap_v2'}),
    ],
)
def test_linear_scaled_and_cosine_equal_diffusers(name, options):
    reference = DDPMScheduler(num_train_timesteps=50, **options)
    schedule = VariancePreserving(name)
    close = {'rtol': 2e-5, 'atol': 0, 'check_dtype': False}
    torch.testing.assert_close(betas_of(schedule), reference.betas, **close)
    torch.testing.assert_close(alpha_bar_of(schedule), reference.alphas_cumprod, **close)


@pytest.mark.parametrize('num_steps', [1, 7, 25, 50, 100, 1000])
def test_ddim_stride_is_trailing_spacing_of_diffusers(num_steps):
    reference = DDIMScheduler(beta_start=1e-4, beta_end=0.02, timestep_spacing='trailing')
    reference.set_timesteps(num_steps)
    expected = reference.alphas_cumprod[reference.timesteps].flip(0)
    schedule = VariancePreserving('ddim_stride', num_steps)
    torch.testing.assert_close(
        alpha_bar_of(schedule), expected, rtol=5e-5, atol=1e-8, check_dtype=False
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
    schedule = VariancePreserving(name)
    assert alpha_bar_of(schedule)[-1].item() == pytest.approx(last, rel=0.01)
    # Noise of these deviations, of 255, added to an image has the noise-to-signal ratio of x_t.
    t = torch.tensor([4, 8, 12])
    additive = 127.5 * schedule.sigma(t) / schedule.signal(t)
    assert additive.round().tolist() == list(levels)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('num_steps', [25, 50, 1000])
def test_signal_falls_and_noise_grows_from_none_at_0(name, num_steps):
    schedule = VariancePreserving(name, num_steps)
    t = torch.arange(num_steps + 1)
    assert schedule.signal(t[:1]).item() == 1 and schedule.sigma(t[:1]).item() == 0
    assert (schedule.signal(t).diff() < 0).all()
    assert (schedule.sigma(t).diff() > 0).all()
    assert (betas_of(schedule).diff() > 0).all()
    torch.testing.assert_close(
        schedule.signal(t) ** 2 + schedule.sigma(t) ** 2, torch.ones(t.shape).double()
    )


def test_one_jump_equals_the_chain_of_single_steps():
    """x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) n, step by step, in means and variances."""
    schedule = VariancePreserving()
    factor, variance = 1.0, 0.0
    for t in STEPS.tolist():
        beta = 0.002 + (0.4 - 0.002) * (t - 1) / 49
        factor *= math.sqrt(1 - beta)
        variance = (1 - beta) * variance + beta
        now = torch.tensor([t])
        assert schedule.signal(now).item() == pytest.approx(factor, rel=1e-9)
        assert schedule.sigma(now).item() == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_add_noise_equals_diffusers_with_one_step_per_sample():
    reference = DDPMScheduler(num_train_timesteps=50, beta_start=0.002, beta_end=0.4)
    clean, noise = torch.randn(2, 4, 3, 5, 6)
    t = torch.tensor([1, 50, 8, 27])
    noisy = VariancePreserving().add_noise(clean, noise, t)
    assert noisy.dtype == torch.float32
    torch.testing.assert_close(
        noisy, reference.add_noise(clean, noise, t - 1), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(('t', 'level'), RELEASED.items())
def test_the_levels_of_the_released_code(t, level):
    schedule = VarianceExploding()
    assert 255 * schedule.sigma(torch.tensor([t])).item() == pytest.approx(level, rel=2e-6)
    assert schedule.signal(torch.tensor([t])).item() == 1


@pytest.mark.parametrize('num_steps', [1, 25, 50, 1000])
def test_variance_exploding_follows_its_equation(num_steps):
    """The sums written out; both they and ours are in float64."""
    scale = 1000 / (num_steps + 1)
    theta = [scale * (1e-4 + (2e-2 - 1e-4) * i / num_steps) for i in range(num_steps + 1)]
    elapsed = [sum(theta[1 : t + 1]) for t in range(num_steps + 1)]
    decay = -math.log(0.005) / elapsed[-1]
    expected = [25 / 255 * math.sqrt(1 - math.exp(-2 * c * decay)) for c in elapsed]
    schedule = VarianceExploding(sigma_max=25, num_steps=num_steps)
    t = torch.arange(num_steps + 1)
    assert schedule.num_steps == num_steps
    assert schedule.sigma(t).tolist() == pytest.approx(expected, rel=1e-10)
    assert torch.equal(schedule.signal(t), torch.ones(t.shape, dtype=torch.float64))


def test_the_levels_of_variance_exploding_follow_the_image_range():
    unit, wide = VarianceExploding(), VarianceExploding(image_range=(-1.0, 1.0))
    torch.testing.assert_close(wide.sigma(STEPS), 2 * unit.sigma(STEPS), rtol=1e-15, atol=0)
    assert (unit.image_range, wide.image_range) == ((0.0, 1.0), (-1.0, 1.0))


def test_variance_exploding_does_not_scale_the_image():
    clean, noise = torch.rand(2, 3, 3, 5, 6)
    noisy = VarianceExploding().add_noise(clean, noise, torch.tensor([0, 8, 50]))
    assert noisy.dtype == torch.float32
    for i, level in enumerate((0, 5.182859, 9.999875)):  # of 255
        torch.testing.assert_close(noisy[i], clean[i] + level / 255 * noise[i], rtol=0, atol=1e-6)


@EVERY
def test_snr_is_the_ratio_of_powers(schedule):
    clean = torch.full((3, 3, 1, 1), 2.0, dtype=torch.float64)
    t = torch.tensor([1, 8, 50])
    zero = torch.zeros_like(clean)
    signal = schedule.add_noise(clean, zero, t) / clean
    noise = schedule.add_noise(zero, clean, t) / clean
    torch.testing.assert_close(schedule.snr(t), (signal / noise).square()[:, 0, 0, 0])
    assert schedule.snr(torch.tensor([0])).item() == math.inf


@EVERY
def test_predict_clean_inverts_add_noise_and_clips(schedule):
    low, high = schedule.image_range
    clean = torch.rand(50, 3, 4, 4, dtype=torch.float64) * 6 - 3
    noise = torch.randn_like(clean)
    noisy = schedule.add_noise(clean, noise, STEPS)
    clipped = schedule.predict_clean(noisy, noise, STEPS)
    torch.testing.assert_close(clipped, clean.clamp(low, high), rtol=0, atol=1e-9)
    assert (clipped.min(), clipped.max()) == (low, high)


def test_schedules_are_built_from_configs():
    default = build_schedule(None, (-1, 1))
    assert type(default) is VariancePreserving and default.name == 'linear_scaled'
    other = build_schedule({'name': 'cosine', 'num_steps': 25}, (0, 1))
    assert (other.name, other.num_steps, other.image_range) == ('cosine', 25, (0.0, 1.0))
    config = {'type': 'VarianceExploding', 'sigma_max': 25.0, 'num_steps': 30}
    exploding = build_schedule(config, (-1.0, 1.0))
    expected = VarianceExploding(25.0, 30, (-1.0, 1.0))
    assert torch.equal(exploding.sigma(STEPS[:30]), expected.sigma(STEPS[:30]))
    assert exploding.config == config, 'the config was changed, or the schedule forgot it'
    assert build_schedule(other.config, (0, 1)).config == {
        'type': 'VariancePreserving',
        'name': 'cosine',
        'num_steps': 25,
    }


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ({'type': 'Exploding'}, "type 'Exploding' .*VariancePreserving, VarianceExploding"),
        ({'steps': 50}, "unknown key 'steps' of VariancePreserving: it takes name, num_steps"),
        ({'sigma_max': 10}, "unknown key 'sigma_max' of VariancePreserving"),
        (
            {'type': 'VarianceExploding', 'name': 'cosine'},
            "unknown key 'name' of VarianceExploding: it takes sigma_max, num_steps",
        ),
        ({'image_range': (0, 1)}, "unknown key 'image_range'"),
    ],
)
def test_unknown_types_and_keys_are_rejected(config, message):
    with pytest.raises(ValueError, match=message):
        build_schedule(config, (-1, 1))


def test_invalid_arguments_are_rejected():
    with pytest.raises(ValueError, match="'linear'.*linear_scaled, ddim_stride, cosine"):
        VariancePreserving('linear')
    for bad in (0, -3, 1001):
        for build in (
            lambda n: VariancePreserving('cosine', n),
            lambda n: VarianceExploding(10, n),
        ):
            with pytest.raises(ValueError, match=rf'num_steps={bad} .*1\.\.1000'):
                build(bad)
    for bad in (0, -1.5, math.nan):
        with pytest.raises(ValueError, match=f'sigma_max={bad} must be above 0'):
            VarianceExploding(bad)
    with pytest.raises(ValueError, match=r'image_range=\(1, 0\) must be .*low < high'):
        VarianceExploding(image_range=(1, 0))


def test_too_few_steps_for_the_linear_schedule_are_rejected():
    # beta_T = 20 / T.
    with pytest.raises(ValueError, match='num_steps=20 is too few for linear_scaled'):
        VariancePreserving('linear_scaled', 20)
    assert betas_of(VariancePreserving('linear_scaled', 21))[-1].item() == pytest.approx(20 / 21)
