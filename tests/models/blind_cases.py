"""Restorers of three tasks, with adapters and a classifier, and images for them."""

import torch
from finetune_cases import CONDITIONED
from torch import Tensor, nn

from dtir_mm.registry import MODELS

TASKS = ['hazy', 'noisy', 'rainy']
STEPS = dict(hazy=47, noisy=4, rainy=8)
CLASSIFIER = dict(type='DegradationClassifier', tasks=TASKS, width=4)
ADAPTERS = dict(num_experts=3, param_budget=3000, prompt_dim=8)


def build(**arguments) -> nn.Module:
    """A restorer in float64 whose weights are all random."""
    backbone = CONDITIONED | dict(adapters=ADAPTERS)
    settings = {'classifier': CLASSIFIER, 'timesteps': STEPS, **arguments}
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, **settings))
    restorer.set_precision('fp64')
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.2)
    return restorer.eval()


def images(batch: int, height: int = 8, width: int = 8) -> Tensor:
    return torch.rand(batch, 3, height, width, dtype=torch.float64) * 2 - 1
