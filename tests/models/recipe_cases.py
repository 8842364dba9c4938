"""Toy restorers of the recipes as the configs state them, and short trainings of them."""

import copy
from pathlib import Path

import torch
from finetune_cases import CONDITIONED, TINY
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from restorer_cases import make_data
from torch import Tensor, nn

from dtir_mm.registry import MODELS

STAGES = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'stages'


def build_recipe(name: str, **changes) -> nn.Module:
    """The restorer of ``configs/_base_/stages/<name>.py`` around a tiny network, in float64.

    ``changes`` replace entries of its training step; the weights are the same every time.
    """
    model = copy.deepcopy(Config.fromfile(STAGES / f'{name}.py').model.to_dict())
    model['step'] |= changes
    backbone = dict(model.get('backbone', {}), **CONDITIONED)
    restorer = MODELS.build(model | dict(backbone=backbone | dict(backbone=TINY)))
    restorer.set_precision('fp64')
    torch.manual_seed(5)
    for _, parameter in sorted(restorer.named_parameters()):
        nn.init.normal_(parameter, std=0.2)
    penalty = restorer.step.regularizers.get('importance')
    if penalty is not None:
        named = restorer.named_trained_parameters()
        omega = {name: torch.rand_like(parameter) for name, parameter in named.items()}
        anchor = {name: 0.9 * parameter.detach() for name, parameter in named.items()}
        penalty.set_importance(omega, anchor, named)
    return restorer


def train(restorer: nn.Module, iterations: range, batch: int = 8) -> tuple[Tensor, list[dict]]:
    """Some updates by Adam: the weights (P,) after them, and the logs of each."""
    wrapper = OptimWrapper(torch.optim.Adam(restorer.trained_parameters(), lr=1e-3))
    logs = [restorer.train_step(make_data(range(batch), it), wrapper) for it in iterations]
    return nn.utils.parameters_to_vector(restorer.parameters()).detach(), logs
