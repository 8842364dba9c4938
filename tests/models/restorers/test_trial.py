"""Checks before training: training mode, large images and deployment."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dtir_mm.apis.deployment import deploy
from dtir_mm.models.restorers.trial import (
    deployment_obstacle,
    idle_batch_norms,
    try_large,
    try_training,
)
from dtir_mm.registry import MODELS


class Plain(nn.Module):
    """Two convolutions around a norm."""

    global_skip, size_multiple = True, 1

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return u + self.body(u)

    def body(self, u: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(u))))


class Supervised(Plain):
    def forward(self, u: Tensor) -> Tensor | list[Tensor]:
        return [super().forward(u)] * 2 if self.training else super().forward(u)


class Reentrant(Plain):
    def forward(self, u: Tensor) -> Tensor:
        return u + self.last(checkpoint(self.norm, self.first(u), use_reentrant=True))


class WholeReentrant(Plain):
    def forward(self, u: Tensor) -> Tensor:
        return u + checkpoint(self.body, u, use_reentrant=True)


class NotReentrant(Plain):
    """FiLM after the inner norm would be recomputed without a time step."""

    def forward(self, u: Tensor) -> Tensor:
        return u + checkpoint(self.body, u, use_reentrant=False)


class Fails(Plain):
    def forward(self, u: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError('no training here')
        return super().forward(u)


class Squashed(Plain):
    def forward(self, u: Tensor) -> Tensor:
        return u + torch.tanh(5 * self.body(u))


class Averaged(Plain):
    """The mean of two outputs, of which the last layer makes one."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Conv2d(4, 3, 1)

    def forward(self, u: Tensor) -> Tensor:
        return u + (self.early(self.first(u)) + self.body(u)) / 2


class Fixed(Plain):
    """Knows positions of as many pixels as a patch has."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(3, 128, 128))

    def forward(self, u: Tensor) -> Tensor:
        return super().forward(u + self.position[:, : u.shape[2], : u.shape[3]])


class Liar(Plain):
    size_multiple = 8

    def forward(self, u: Tensor) -> Tensor:
        assert u.shape[2] % 16 == 0, 'multiples of 16'
        return super().forward(u)


def build(network: type[nn.Module], scale: str = 'sigma_floor', **more) -> nn.Module:
    backbone = dict(type='ConditionedBackbone', backbone=dict(type=network), **more)
    head = dict(type='NoiseHead', residual_scale=scale)
    return MODELS.build(dict(type='Restorer', backbone=backbone, head=head)).eval()


@pytest.mark.parametrize(
    ('network', 'message'),
    [
        (Supervised, r'Supervised cannot be trained: in training mode, Supervised must map .*list'),
        (Reentrant, r'cannot be trained: .* activations itself \(use_checkpoint=True\)'),
        (WholeReentrant, r'cannot be trained: .* activations itself \(use_checkpoint=True\)'),
        (NotReentrant, r'cannot be trained: .* activations itself \(use_checkpoint=True\)'),
        (Fails, r'Fails cannot be trained: no training here'),
    ],
)
@pytest.mark.filterwarnings('ignore')  # of torch.utils.checkpoint
def test_failures_in_training_mode_are_reported_in_one_line(network, message):
    restorer = build(network)
    with pytest.raises(ValueError, match=message) as error:
        try_training(restorer)
    assert '\n' not in str(error.value)
    assert not restorer.training and not restorer.backbone.net.training


@pytest.mark.parametrize('more', [{}, dict(checkpoint_activations=True, restoration_head=True)])
def test_the_checks_leave_the_network_unchanged(toy_backbone, more):
    restorer = MODELS.build(dict(type='Restorer', backbone={**toy_backbone, **more})).eval()
    before = copy.deepcopy(restorer.state_dict())
    random_numbers = torch.get_rng_state()
    try_training(restorer)
    try_large(restorer)
    assert deployment_obstacle(restorer) is None
    torch.testing.assert_close(dict(restorer.state_dict()), dict(before), rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random_numbers)
    assert all(parameter.grad is None for parameter in restorer.parameters())
    assert not restorer.training


def test_networks_for_one_size_are_rejected():
    try_large(build(Plain))
    with pytest.raises(ValueError, match=r'Fixed takes only small images: on \(1, 3, 128, 192\)'):
        try_large(build(Fixed))
    with pytest.raises(ValueError, match=r'Liar cannot be run on \(2, 3, 72, 104\): .* 16\. Are'):
        build(Liar)


@pytest.mark.parametrize(
    ('network', 'scale', 'deploys'),
    [
        (Plain, 'sigma_floor', True),
        (Plain, 'one', True),
        (Squashed, 'sigma_floor', False),
        (Squashed, 'one', True),  # then nothing is scaled
        (Averaged, 'sigma_floor', False),
        (Averaged, 'one', True),
    ],
)
def test_the_check_predicts_whether_deployment_works(network, scale, deploys):
    restorer = build(network, scale)
    obstacle = deployment_obstacle(restorer)
    assert (obstacle is None) == deploys
    with torch.no_grad():
        for parameter in restorer.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    if deploys:
        deploy(restorer, 1)
    else:
        assert 'its last layer must be a convolution whose output is used as it is' in obstacle
        with pytest.raises(ValueError, match='cannot be deployed'):
            deploy(restorer, 1)


def test_batch_norms_without_statistics_are_found():
    net = build(Plain).backbone.net
    assert idle_batch_norms(net) == ['norm']
    net.norm.running_var[1] = 2
    assert idle_batch_norms(net) == []
    assert idle_batch_norms(nn.Sequential(nn.GroupNorm(1, 4))) == []
