"""What every criterion of the matching time step does, and the values of all but the probe."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.nn import functional as F

from dtir_mm.diffusion.noise_schedule import (
    NoiseSchedule,
    VarianceExploding,
    VariancePreserving,
)
from dtir_mm.diffusion.timestep_errors import (
    linear_probe,
    score,
    sdedit,
    trajectory,
    why_no_effect,
)
from dtir_mm.diffusion.timestep_matching import match_timestep

SCHEDULE = VariancePreserving()
EXPLODING = VarianceExploding()
CRITERIA = {
    'linear_probe': linear_probe,
    'score': lambda network, y, x, seed: score(network, SCHEDULE, y, x),
    'sdedit': lambda network, y, x, seed: sdedit(network, SCHEDULE, y, x, seed),
    'trajectory': lambda network, y, x, seed: trajectory(network, SCHEDULE, y, x, seed),
}
EVERY = pytest.mark.parametrize('criterion', CRITERIA)


class Network:
    """Gives ``predict(u, t)`` as the noise, and ``read(u, t)`` as features; notes its calls."""

    def __init__(self, predict, read=lambda u, t: u) -> None:
        self.predict = predict
        self.read = read
        self.calls: list[tuple[Tensor, int]] = []

    @property
    def evaluations(self) -> int:
        return sum(len(u) for u, _ in self.calls)

    def predict_noise(self, u: Tensor, t: Tensor) -> Tensor:
        (step,) = t.unique().tolist()
        assert t.shape == (len(u),)
        self.calls.append((u, step))
        return self.predict(u, step)

    def residual_and_features(self, u: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.predict_noise(u, t), self.read(u, int(t[0]))


def levels(schedule: NoiseSchedule, t: int) -> tuple[float, float]:
    """signal_t and sigma_t."""
    return schedule.signal(torch.tensor(t)).item(), schedule.sigma(torch.tensor(t)).item()


def gaussian_network(schedule: NoiseSchedule = SCHEDULE, tau: float = 0.5) -> Network:
    """E[noise | x_t] for images of independent pixels from N(0, tau^2)."""

    def predict(u: Tensor, t: int) -> Tensor:
        signal, sigma = levels(schedule, t)
        return u * sigma / ((signal * tau) ** 2 + sigma**2)

    return Network(predict, lambda u, t: torch.cat([u, (u * t).sin()], dim=1))


def believer(image: float | Tensor, schedule: NoiseSchedule = SCHEDULE) -> Network:
    """Takes x_t for this image and noise, whatever it is."""

    def predict(u: Tensor, t: int) -> Tensor:
        signal, sigma = levels(schedule, t)
        return (u - signal * image) / sigma

    return Network(predict)


def noisy_pairs(sigma: float, count: int = 16, size: int = 16) -> tuple[Tensor, Tensor]:
    """Pixels from N(0, 0.5^2), degraded by noise of deviation ``sigma``."""
    clean, noise = torch.randn(2, count, 3, size, size, dtype=torch.float64)
    return 0.5 * clean + sigma * noise, 0.5 * clean


def constant_pairs(degraded: float, clean: float, count: int = 5) -> tuple[Tensor, Tensor]:
    pair = (torch.full((count, 3, 4, 4), v, dtype=torch.float64) for v in (degraded, clean))
    return tuple(pair)


@pytest.mark.parametrize('name', ['linear_scaled', 'cosine'])
@pytest.mark.parametrize('sigma', [25 / 127.5, 50 / 127.5, 0.8, 1.5, 4.0])
def test_score_finds_the_step_of_additive_noise(name, sigma):
    """The step where s_t / sqrt(alpha_bar_t) = sigma: as much noise beside as much signal.

    y = x + sigma n keeps x at full strength, while x_t holds sqrt(alpha_bar_t) x. Subtracting
    s_t E[noise | y] shrinks y by tau^2 / (tau^2 + s_t^2 / alpha_bar_t), and what is nearest to x
    is tau^2 / (tau^2 + sigma^2). For small sigma, s_t = sigma says the same; at 0.8 it is 5 steps
    off, and above 1 it never holds.
    """
    schedule = VariancePreserving(name)
    ratios = [s / signal for signal, s in (levels(schedule, t) for t in range(1, 51))]
    expected = 1 + int(np.abs(np.array(ratios) - sigma).argmin())
    network = gaussian_network(schedule)
    errors_at = score(network, schedule, *noisy_pairs(sigma))
    match = match_timestep(errors_at, 'noisy', 'score', 50, seed=0, stand_in='found')
    assert match.status == 'identified'
    assert abs(match.t_mat - expected) <= 2
    # The best shrinkage leaves tau^2 / (tau^2 + sigma^2) of the noise's energy.
    assert dict(match.curve)[match.t_mat] == pytest.approx(0.25 / (0.25 + sigma**2), rel=0.05)


@pytest.mark.parametrize(
    ('scale', 'errors'),
    [
        # y = 0.5, eps = 0.2, x = 0.2; betas linspace(.002, .4, 50), in decimals.
        ('sigma', {1: 0.94126041, 12: 0.31145245, 50: 0.11111283}),
        ('mu_step', {1: 0.94444397, 12: 0.9710001, 50: 1.30125177}),
    ],
)
def test_scales_of_score_by_hand(scale, errors):
    network = Network(lambda u, t: torch.full_like(u, 0.2))
    errors_at = score(network, SCHEDULE, *constant_pairs(0.5, 0.2), scale=scale)
    for t, error in errors.items():
        result = errors_at(t)
        assert result.dtype == torch.float64
        assert result.tolist() == pytest.approx([error] * 5, rel=1e-7)
    assert [t for _, t in network.calls] == list(errors)
    assert (network.calls[0][0] == 0.5).all(), 'the network sees the degraded image as it is'


@pytest.mark.parametrize('level', [3.0, 5.0, 7.0, 9.0])
def test_score_finds_the_step_of_additive_noise_in_a_variance_exploding_schedule(level):
    """y = x + sigma n is x_t itself where sigma_t = sigma. sigma is of 255."""
    network = gaussian_network(EXPLODING, tau=0.05)
    clean = 0.05 * torch.randn(32, 3, 32, 32, dtype=torch.float64)
    degraded = clean + level / 255 * torch.randn_like(clean)
    match = match_timestep(
        score(network, EXPLODING, degraded, clean), 'noisy', 'score', 50, seed=0, stand_in='found'
    )
    nearest = int((255 * EXPLODING.sigma(torch.arange(51)) - level).abs().argmin())
    assert match.status == 'identified'
    assert abs(match.t_mat - nearest) <= 1
    noise, signal = (level / 255) ** 2, 0.05**2
    left = signal / (signal + noise)  # of the noise's energy, under the best shrinkage
    assert dict(match.curve)[match.t_mat] == pytest.approx(left, rel=0.02)


@pytest.mark.parametrize('scale', ['sigma', 'mu_step'])
def test_score_of_a_network_that_predicts_the_residual(scale):
    """y = 0.5, f = 0.15, so eps = f / sigma; y - f at every step by "sigma".

    "mu_step" goes on from sigma_8 to sigma_7 alone, 5.182859 to 4.660780 of 255: by
    1 - (sigma_7 / sigma_8)^2 of f.
    """
    network = Network(lambda u, t: torch.full_like(u, 0.15 / levels(EXPLODING, t)[1]))
    errors_at = score(network, EXPLODING, *constant_pairs(0.5, 0.2), scale=scale)
    share = 1 if scale == 'sigma' else 1 - (4.660780 / 5.182859) ** 2
    expected = ((0.3 - 0.15 * share) / 0.3) ** 2
    assert errors_at(8).tolist() == pytest.approx([expected] * 5, rel=1e-5)


def test_unknown_scale_of_score_is_named():
    with pytest.raises(ValueError, match="scale='half' of score .*sigma, mu_step"):
        score(gaussian_network(), SCHEDULE, *noisy_pairs(0.1), scale='half')


@pytest.mark.parametrize(
    ('believed', 'error'), [(0.2, 0.0), (0.5, 1.0), (0.8, 4.0), (-0.1, 1.0), (1.7, 64 / 9)]
)
@pytest.mark.parametrize('schedule', [SCHEDULE, VarianceExploding(image_range=(-1, 1))])
def test_sdedit_returns_what_the_network_believes(believed, error, schedule):
    """y = 0.5 and x = 0.2; beyond 1 the restored image is clipped."""
    network = believer(believed, schedule)
    errors_at = sdedit(network, schedule, *constant_pairs(0.5, 0.2), seed=0)
    for t in (1, 7, 50):
        assert errors_at(t).tolist() == pytest.approx([error] * 5, abs=1e-9)


@pytest.mark.parametrize(
    ('t', 'visited'),
    [(1, [1]), (4, [4, 3, 2, 1]), (10, list(range(10, 0, -1))), (40, list(range(40, 0, -4)))],
)
def test_sdedit_diffuses_y_and_returns_in_ten_steps_at_most(t, visited):
    degraded, clean = noisy_pairs(0.3, count=6)
    network = believer(clean)
    starts = {}
    errors_at = sdedit(network, SCHEDULE, degraded, clean, seed=4)
    for step in (t, 23):
        network.calls.clear()
        errors_at(step)
        u, _ = network.calls[0]
        signal, sigma = levels(SCHEDULE, step)
        starts[step] = (u - signal * degraded) / sigma
        if step == t:
            assert [seen for _, seen in network.calls] == visited
            assert network.evaluations == 6 * min(t, 10)
    torch.testing.assert_close(starts[t], starts[23])
    assert starts[t].std().item() == pytest.approx(1, abs=0.05)


def test_trajectory_is_the_sampling_chain_of_diffusers():
    degraded, clean = noisy_pairs(0.3, count=5, size=4)
    network = gaussian_network()
    errors_at = trajectory(network, SCHEDULE, degraded, clean, seed=6)
    assert network.evaluations == 5 * 50
    reference = DDPMScheduler(num_train_timesteps=50, beta_start=0.002, beta_end=0.4)
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(degraded.shape, generator=generator, dtype=torch.float64)
    for t in range(50, 0, -1):
        noise = network.predict(x, t)
        before = reference.step(noise, t - 1, x, generator).prev_sample
        error = ((x - before) - (degraded - clean)).square().sum((1, 2, 3))
        expected = error / (degraded - clean).square().sum((1, 2, 3))
        torch.testing.assert_close(errors_at(t), expected, rtol=1e-4, atol=1e-5)
        x = before
    assert network.evaluations == 5 * 50


def test_trajectory_refuses_a_schedule_that_does_not_end_in_noise():
    network = gaussian_network(EXPLODING)
    message = 'trajectory starts from pure noise, but .* VarianceExploding .* VariancePreserving'
    with pytest.raises(ValueError, match=message):
        trajectory(network, EXPLODING, *noisy_pairs(0.1), seed=0)
    assert network.calls == []


@pytest.mark.parametrize(
    'degrade',
    [
        lambda x: x + 0.2 * torch.randn_like(x),
        lambda x: x + 2 * torch.randn_like(x),
        lambda x: 0.3 * x - 0.5,
        lambda x: F.avg_pool2d(x, 5, 1, 2),
    ],
    ids=['noise', 'much noise', 'haze', 'blur'],
)
def test_trajectory_gives_the_first_steps_whatever_the_degradation(degrade):
    _, clean = noisy_pairs(0.1)
    errors_at = trajectory(gaussian_network(), SCHEDULE, degrade(clean), clean, seed=0)
    match = match_timestep(errors_at, 'hazy', 'trajectory', 50, 0, 'found', grid=range(1, 51))
    assert match.t_mat <= 2


@pytest.mark.parametrize('criterion', ['linear_probe', 'score'])
@pytest.mark.parametrize('sigma', [0.05, 0.5, 1.5, 30.0])
def test_a_search_costs_at_most_20_evaluations_an_image(criterion, sigma):
    network = gaussian_network()
    degraded, clean = noisy_pairs(sigma, count=10)
    errors_at = CRITERIA[criterion](network, degraded, clean, 0)
    match = match_timestep(errors_at, 'noisy', criterion, 50, seed=0, stand_in='found')
    assert network.evaluations == 10 * len(match.curve)
    assert len(match.curve) <= 20


@EVERY
def test_pairs_that_do_not_differ_are_left_out(criterion):
    degraded, clean = noisy_pairs(0.3, count=11, size=8)
    network = gaussian_network()
    expected = CRITERIA[criterion](network, degraded, clean, 0)(5)
    assert expected.shape == (11,) and expected.isfinite().all()
    untouched = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    degraded = torch.cat([untouched[:1], degraded, untouched[1:]])
    clean = torch.cat([untouched[:1], clean, untouched[1:]])
    errors = CRITERIA[criterion](network, degraded, clean, 0)(5)
    torch.testing.assert_close(errors, expected, rtol=1e-12, atol=0)


@EVERY
def test_fewer_than_four_pairs_are_refused(criterion):
    degraded, clean = noisy_pairs(0.3, count=6, size=8)
    degraded[[0, 2, 5]] = clean[[0, 2, 5]]
    with pytest.raises(ValueError, match='at least 4 pairs .* got 3 of 6'):
        CRITERIA[criterion](gaussian_network(), degraded, clean, 0)


@EVERY
def test_errors_depend_on_nothing_but_the_seed(criterion):
    pairs = noisy_pairs(0.3, count=4, size=36)
    network = gaussian_network()
    errors = []
    for seed in (0, 0, 1):
        torch.randn(3)
        errors_at = CRITERIA[criterion](network, *pairs, seed)
        errors.append([errors_at(t) for t in (3, 30, 3)])
    assert torch.equal(torch.stack(errors[0]), torch.stack(errors[1]))
    assert torch.equal(errors[0][0], errors[0][2]), 'nor on what was asked before'
    assert torch.equal(errors[0][0], errors[2][0]) == (criterion == 'score')


@pytest.mark.parametrize(
    ('predict', 'read', 'effect'),
    [
        (lambda u, t: 0.5 * u, lambda u, t: u, False),
        (lambda u, t: u * (0.5 + 1e-9 * t), lambda u, t: u, False),  # less than float32 can tell
        (lambda u, t: u * (0.5 + 1e-4 * t), lambda u, t: u, True),
        (lambda u, t: 0.5 * u, lambda u, t: u + t, True),  # the features alone
        (lambda u, t: 0.5 * u + (t == 25), lambda u, t: u, True),  # in the middle alone
        (lambda u, t: 0 * u, lambda u, t: u, False),
    ],
)
def test_steps_that_have_no_effect_on_a_network_are_told(predict, read, effect):
    degraded, _ = noisy_pairs(0.1)
    reason = why_no_effect(Network(predict, read), degraded, 50)
    assert (reason is None) == effect
