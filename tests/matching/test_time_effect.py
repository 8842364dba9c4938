"""Networks that do, and do not, depend on the time step."""

import pytest
from toy_networks import Network, noisy_pairs

from dtir_mm.matching.time_effect import why_no_effect


@pytest.mark.parametrize(
    ('predict', 'read', 'effect'),
    [
        (lambda u, t: 0.5 * u, lambda u, t: u, False),
        (lambda u, t: u * (0.5 + 1e-9 * t), lambda u, t: u, False),  # below float32's resolution
        (lambda u, t: u * (0.5 + 1e-4 * t), lambda u, t: u, True),
        (lambda u, t: 0.5 * u, lambda u, t: u + t, True),  # only the features
        (lambda u, t: 0.5 * u + (t == 25), lambda u, t: u, True),  # only in the middle
        (lambda u, t: 0 * u, lambda u, t: u, False),
    ],
)
def test_no_effect_is_detected(predict, read, effect):
    degraded, _ = noisy_pairs(0.1)
    reason = why_no_effect(Network(predict, read), degraded)
    assert (reason is None) == effect
