"""Time embedding and FiLM, in closed form."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dtir_mm.models.conditioning.time_embedding import (
    FiLM,
    GatedTimeEmbedding,
    TimeEmbedding,
    TimeMLP,
    modulate,
    sinusoid,
)


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


EITHER_TYPE = pytest.mark.parametrize(
    't', [torch.tensor([1, 7, 50]), torch.tensor([1.0, 7.0, 50.0])], ids=['integers', 'reals']
)


@EITHER_TYPE
def test_time_embedding_is_the_silu_of_an_mlp_of_the_sinusoid(t):
    embedding = TimeEmbedding(dim=10, sinusoid_dim=8).double()
    first, _, second = embedding.mlp
    hidden = F.silu(F.linear(sinusoid(t.double(), 8), first.weight, first.bias))
    expected = F.linear(hidden, second.weight, second.bias)
    torch.testing.assert_close(embedding(t), expected * expected.sigmoid())
    mlp = TimeMLP(dim=10, sinusoid_dim=8).double()
    mlp.load_state_dict(embedding.state_dict())
    torch.testing.assert_close(mlp(t), expected)
    assert embedding.dim == 10


@EITHER_TYPE
def test_the_gated_embedding_multiplies_halves_of_two_linear_layers(t):
    embedding = GatedTimeEmbedding(dim=3, sinusoid_dim=6).double()
    weights = {name: value.numpy() for name, value in embedding.state_dict().items()}
    assert {name: value.shape for name, value in weights.items()} == {
        'mlp.0.weight': (12, 6), 'mlp.0.bias': (12,), 'mlp.2.weight': (6, 6), 'mlp.2.bias': (6,),
    }  # fmt: skip
    for sample, step in enumerate(t.tolist()):
        phases = [step, step / 100, step / 10_000]  # the last frequency is 1 / 10000
        code = np.array([*map(math.sin, phases), *map(math.cos, phases)])
        hidden = weights['mlp.0.weight'] @ code + weights['mlp.0.bias']
        hidden = weights['mlp.2.weight'] @ (hidden[:6] * hidden[6:]) + weights['mlp.2.bias']
        got = embedding(t)[sample].detach()
        np.testing.assert_allclose(got, hidden[:3] * hidden[3:], rtol=1e-10)
    assert embedding.dim == 3


@pytest.mark.parametrize(
    ('embedding', 'sinusoid_dim', 'message'),
    [
        (TimeEmbedding, 7, 'sinusoid_dim=7 must be even'),
        (GatedTimeEmbedding, 7, 'sinusoid_dim=7 must be even and at least 4'),
        (GatedTimeEmbedding, 2, 'sinusoid_dim=2 must be even and at least 4'),
    ],
)
def test_invalid_sinusoid_lengths_are_rejected(embedding, sinusoid_dim, message):
    with pytest.raises(ValueError, match=message):
        embedding(sinusoid_dim=sinusoid_dim)


@pytest.mark.parametrize(
    ('shape', 'channel_dim'), [((2, 4, 4, 4), 1), ((2, 4, 4, 4), 3), ((2, 4, 4), 2)]
)
def test_scale_and_shift_of_each_sample_and_channel(shape, channel_dim):
    film = random_film(4)
    embedding = torch.randn(2, 6, dtype=torch.float64)
    output = torch.randn(shape, dtype=torch.float64)
    modulated = modulate('site', channel_dim, output, *film(embedding))
    for sample in range(2):
        values = film.linear.weight @ embedding[sample] + film.linear.bias
        for channel in range(4):
            gamma, delta = values[channel], values[4 + channel]
            expected = (1 + gamma) * output[sample].select(channel_dim - 1, channel) + delta
            got = modulated[sample].select(channel_dim - 1, channel)
            torch.testing.assert_close(got, expected)


def test_a_new_film_is_the_identity():
    film = FiLM(6, 4)
    output = torch.randn(2, 4, 3, 3)
    assert torch.equal(modulate('site', 1, output, *film(torch.randn(2, 6))), output)


def test_a_film_that_is_not_neutral_is_initialised_like_a_linear_layer():
    torch.manual_seed(5)
    film = FiLM(6, 4, neutral=False)
    torch.manual_seed(5)
    linear = nn.Linear(6, 8)
    assert torch.equal(film.linear.weight, linear.weight)
    assert torch.equal(film.linear.bias, linear.bias)


def test_outputs_with_another_batch_size_are_rejected():
    with pytest.raises(
        ValueError, match="'blocks.0': its output has batch 12, but .* 2 time steps"
    ):
        modulate('blocks.0', 2, torch.randn(12, 16, 4), *FiLM(6, 4)(torch.randn(2, 6)))
