"""Time embedding and FiLM, in closed form."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dtir_mm.models.conditioning.film import FiLM
from dtir_mm.models.conditioning.time_embedding import TimeEmbedding, sinusoid


def random_film(channels: int) -> FiLM:
    film = FiLM(6, channels).double()
    for parameter in film.parameters():
        nn.init.normal_(parameter)
    return film


def test_sinusoid():
    t = [0.0, 1.0, 17.5, 50.0]
    frequencies = [10_000 ** (-i / 4) for i in range(4)]
    expected = [
        [math.sin(step * f) for f in frequencies] + [math.cos(step * f) for f in frequencies]
        for step in t
    ]
    np.testing.assert_allclose(sinusoid(torch.tensor(t, dtype=torch.float64), 8), expected)


@pytest.mark.parametrize('t', [torch.tensor([1, 7, 50]), torch.tensor([1.0, 7.0, 50.0])])
def test_time_embedding_is_an_mlp_of_the_sinusoid(t):
    embedding = TimeEmbedding(dim=10, sinusoid_dim=8).double()
    first, _, second = embedding.mlp
    hidden = F.silu(F.linear(sinusoid(t.double(), 8), first.weight, first.bias))
    expected = F.linear(hidden, second.weight, second.bias)
    torch.testing.assert_close(embedding(t), expected)


def test_an_odd_sinusoid_is_refused():
    with pytest.raises(ValueError, match='sinusoid_dim=7 must be even'):
        TimeEmbedding(sinusoid_dim=7)


@pytest.mark.parametrize(
    ('module', 'shape', 'channel_dim'),
    [
        (nn.GroupNorm(1, 4), (2, 4, 4, 4), 1),
        (nn.LayerNorm(4), (2, 4, 4, 4), 3),
        (nn.LayerNorm(4), (2, 4, 4), 2),
        (nn.Identity(), (2, 4, 4), 2),  # tokens of a norm that is not torch's own
    ],
)
def test_scale_and_shift_of_each_sample_and_channel(module, shape, channel_dim):
    film = random_film(4)
    embedding = torch.randn(2, 6, dtype=torch.float64)
    output = torch.randn(shape, dtype=torch.float64)
    film.set_time(embedding)
    modulated = film.modulate('site', channel_dim, module, (), output)
    for sample in range(2):
        activated = embedding[sample] * embedding[sample].sigmoid()
        values = film.linear.weight @ activated + film.linear.bias
        for channel in range(4):
            gamma, delta = values[channel], values[4 + channel]
            expected = (1 + gamma) * output[sample].select(channel_dim - 1, channel) + delta
            got = modulated[sample].select(channel_dim - 1, channel)
            torch.testing.assert_close(got, expected)


def test_a_new_film_changes_nothing():
    film = FiLM(6, 4)
    film.set_time(torch.randn(2, 6))
    output = torch.randn(2, 4, 3, 3)
    assert torch.equal(film.modulate('site', 1, nn.GroupNorm(1, 4), (), output), output)


def test_a_film_without_time_refuses_to_run():
    film = FiLM(6, 4)
    film.set_time(torch.randn(2, 6))
    film.set_time(None)
    with pytest.raises(RuntimeError, match='middle.0.norm2 ran without a time step'):
        film.modulate('middle.0.norm2', 1, nn.GroupNorm(1, 4), (), torch.randn(2, 4, 3, 3))


def test_a_film_names_the_module_whose_output_lost_the_batch():
    film = FiLM(6, 4)
    film.set_time(torch.randn(2, 6))
    with pytest.raises(
        ValueError, match="'blocks.0': its output has batch 12, but .* 2 time steps"
    ):
        film.modulate('blocks.0', 2, nn.LayerNorm(4), (), torch.randn(12, 16, 4))
