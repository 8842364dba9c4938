"""Whether a network adds its input to its output is detected unless it states it."""

import pytest
import torch
from network_cases import NAFNET
from torch import Tensor, nn

from dtir_mm.models.backbones.dtir_unet import DtirUNet
from dtir_mm.models.tracing.trace import trace
from dtir_mm.registry import MODELS


class Plain(nn.Module):
    """Two convolutions; the one that runs last was made first. Subclasses add to their output."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(4, 3, 3, padding=1)
        self.first = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(u)))


class Skipping(Plain):
    def forward(self, u: Tensor) -> Tensor:
        return u + super().forward(u)


class HalfSkipping(Plain):
    def forward(self, u: Tensor) -> Tensor:
        return 0.5 * u + super().forward(u)


class InBlocks(Skipping):
    """Accepts only sides that are multiples of 48."""

    size_multiple = 48

    def forward(self, u: Tensor) -> Tensor:
        assert u.shape[-2] % 48 == 0 and u.shape[-1] % 48 == 0
        return super().forward(u)


@pytest.mark.parametrize(('network', 'skips'), [(Plain, False), (Skipping, True), (InBlocks, True)])
def test_a_global_skip_is_detected(network, skips):
    assert trace(network()).global_skip is skips


def test_global_skips_of_real_networks_are_detected(monkeypatch):
    assert trace(MODELS.build(NAFNET)).global_skip is True
    monkeypatch.delattr(DtirUNet, 'global_skip')
    network = DtirUNet(width=8, channel_multipliers=(1, 2), blocks_per_level=(1,))
    assert trace(network).global_skip is False


@pytest.mark.parametrize('stated', [True, False])
def test_a_declared_global_skip_is_kept(stated):
    network = HalfSkipping()
    network.global_skip = stated
    assert trace(network).global_skip is stated


@pytest.mark.parametrize('network', [HalfSkipping(), nn.AvgPool2d(3, 1, padding=1)])
def test_ambiguous_networks_must_declare_global_skip(network):
    with pytest.raises(ValueError, match='Set global_skip = True or False') as error:
        trace(network)
    assert type(network).__name__ in str(error.value)
