"""The network that a file describes may not be much larger than its weights."""

import resource

import pytest
import torch
from torch import nn

from dtir_mm.memory_limit import in_proportion_to
from dtir_mm.weights_file import CheckpointError

SIDE = 10**6


@pytest.fixture
def file(tmp_path):
    (tmp_path / 'a.pth').write_bytes(bytes(1000))
    return tmp_path / 'a.pth'


@pytest.mark.parametrize(
    'build',
    [
        lambda: nn.Linear(SIDE, SIDE),
        lambda: torch.arange(10**12),
        lambda: torch.ones(1).new_zeros(10**12),
    ],
    ids=['a layer', 'a table', 'as another'],
)
def test_huge_allocations_are_rejected_in_advance(build, file):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def wrapped() -> None:  # as a registry wraps what is raised
        try:
            build()
        except Exception as error:
            raise type(error)(f'class Network: {error}') from error

    with pytest.raises(CheckpointError, match=r'a\.pth describes .* more than 1 GiB') as raised:
        with in_proportion_to(file):
            wrapped()
    assert '\n' not in str(raised.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 2**10  # KiB


@pytest.mark.parametrize('width', [1, 1000])
def test_endless_layers_are_rejected_soon(width, file, monkeypatch):
    monkeypatch.setattr('dtir_mm.memory_limit._ANYWAY', 2**25)
    made = []

    def layer() -> nn.Module:
        made.append(nn.Linear(width, width))
        return made[-1]

    with pytest.raises(CheckpointError, match=r'a\.pth describes'), in_proportion_to(file):
        nn.ModuleList(layer() for _ in range(10**9))
    assert len(made) == {1: 512, 1000: 8}[width]


def test_proportionate_allocations_and_other_errors_pass(file):
    with in_proportion_to(file):
        torch.manual_seed(0)
        limited = nn.Linear(300, 300)
        noise = torch.randn(3, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    assert torch.equal(limited.weight, nn.Linear(300, 300).weight)
    assert torch.equal(noise, torch.randn(3, generator=torch.Generator().manual_seed(1)))
    with pytest.raises(ValueError, match='mine'), in_proportion_to(file):
        raise ValueError('mine')
    with open(file, 'wb') as large:
        large.truncate(2**28)  # explains 3 GiB
    with in_proportion_to(file):
        torch.empty(2**29)
