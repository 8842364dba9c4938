"""The factors that the hook sets, against exp(-a t) by hand for the toy network's eight blocks.

The blocks have depths 0, 1/7 = .14, .29, .43, .57, .71, .86 and 1.
"""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from toy_training import FAST, block_of, build_runner

from dtir_mm.engine import LayerWiseDecayHook
from dtir_mm.models.restorers.update import Update
from dtir_mm.registry import MODELS

RECORDED: list[tuple[dict[str, float], int]] = []


def soft(t: int, rate: float = 0.05) -> list[float]:
    return [math.exp(-rate * t * rank / 7) for rank in range(8)]


def first(count: int) -> list[float]:
    return [1.0] * count + [0.0] * (8 - count)


def build(backbone: dict, **more) -> nn.Module:
    step = dict(objective=dict(type='Reconstruction'))
    return MODELS.build(dict(type='Restorer', backbone=backbone, step=step, **more))


@pytest.fixture
def restorer(toy_backbone) -> nn.Module:
    return build(toy_backbone, timesteps=dict(rainy=30, noisy=4))


def begin(restorer: nn.Module, tasks: list[str], **settings) -> None:
    """Calls the hook at the start of training on some tasks."""
    logger = logging.getLogger('test_layer_wise_decay')
    logger.setLevel('INFO')
    loop = SimpleNamespace(schedule=SimpleNamespace(tasks_at={7: tasks}.get))
    visualizer = SimpleNamespace(add_scalars=lambda *scalars: RECORDED.append(scalars))
    runner = SimpleNamespace(
        restorer=restorer, train_loop=loop, logger=logger, visualizer=visualizer, iter=7
    )
    LayerWiseDecayHook(**settings).before_train(runner)


def assert_factors(restorer: nn.Module, gate: list[float], penalty: list[float]) -> None:
    """Asserts the factors of every trained parameter, given one per block."""
    ranks = [block_of(name) for name, p in restorer.named_parameters() if p.requires_grad]
    assert set(ranks) == set(range(8))
    batch = dict(key=torch.zeros(1, 3), path=['a.png'])
    decay = Update(restorer, batch, None, restorer.step.layer_decay, None).layer_decay
    for own, of_blocks in ((decay.gate, gate), (decay.penalty, penalty)):
        torch.testing.assert_close(own.float(), torch.tensor([of_blocks[rank] for rank in ranks]))


@pytest.mark.parametrize(
    ('settings', 'gate', 'penalty'),
    [
        (dict(), first(5), soft(8)),  # w(8) = exp(-.4) = .67
        (dict(rate=0.1), first(4), soft(8, 0.1)),  # exp(-.8) = .45
        (dict(rate=0.0), first(8), first(8)),
        (dict(gate='soft', penalty='cut'), soft(8), first(5)),
        (dict(gate='scalar', penalty='none'), [0.67032] * 8, first(8)),
        (dict(gate='none', penalty='scalar'), first(8), [0.67032] * 8),
        (dict(fraction=0.3), first(3), soft(8)),
        (dict(fraction=0.0), first(1), soft(8)),
        (dict(fraction=1.0, rate=1.0), first(8), soft(8, 1.0)),
    ],
)
def test_factors_at_t_8(toy_backbone, settings, gate, penalty):
    restorer = build(toy_backbone, timesteps='fixed:8')
    begin(restorer, ['hazy'], **settings)
    assert_factors(restorer, gate, penalty)


def test_factors_of_several_tasks_are_averaged(restorer):
    begin(restorer, ['rainy', 'noisy'])
    # w(30) = .22 reaches two blocks, w(4) = .82 six
    gate = [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0]
    assert_factors(restorer, gate, [(a + b) / 2 for a, b in zip(soft(30), soft(4), strict=True)])
    begin(restorer, ['rainy'])
    assert_factors(restorer, first(2), soft(30))


def test_frozen_parameters_have_no_factor(restorer):
    restorer.backbone.net.encoders[0][0].norm1.requires_grad_(False)
    count = len(restorer.trained_parameters())
    begin(restorer, ['noisy'])
    assert len(restorer.step.layer_decay.gate) == count == len(list(restorer.parameters())) - 2
    assert_factors(restorer, first(6), soft(4))


def test_the_log_lists_the_blocks_reached(restorer, caplog):
    begin(restorer, ['rainy'])
    begin(restorer, ['rainy', 'noisy'])
    assert caplog.messages == [
        'layer-wise decay for rainy (t=30): the generative gradient reaches 2 of 8 blocks: '
        'stem, encoders.0.0; lambda falls to 0.22 of its value',
        'layer-wise decay for rainy (t=30), noisy (t=4): the generative gradient reaches 6 of 8 '
        'blocks: stem, encoders.0.0, downs.0 x 0.50, middle.0 x 0.50, ups.0 x 0.50, '
        'decoders.0.0 x 0.50; lambda falls to 0.52 of its value',
    ]
    assert RECORDED[-2:] == [
        ({'gate/reach': 2 / 8, 'gate/mean': 2 / 8}, 7),
        ({'gate/reach': 6 / 8, 'gate/mean': 4 / 8}, 7),
    ]


def test_an_unknown_task_is_rejected(restorer):
    with pytest.raises(KeyError, match="unknown task 'hazy'"):
        begin(restorer, ['noisy', 'hazy'])


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(gate='hard'), "mode='hard' .* must be one of"),
        (dict(fraction=1.5), 'fraction=1.5 .* needs'),
    ],
)
def test_invalid_settings_are_rejected(settings, message):
    with pytest.raises(ValueError, match=message):
        LayerWiseDecayHook(**settings)


@pytest.mark.parametrize(
    ('hook', 'gate', 'penalty'),
    [
        (dict(type='LayerWiseDecayHook', gate='cut', fraction=0.5), first(4), soft(8)),
        (dict(type='LayerWiseDecayHook'), [0.67032] * 8, soft(8)),  # the recipe's gate, Eq. 10
        (None, first(8), first(8)),  # "w/o w_decay"
    ],
)
def test_a_run_sets_the_factors_of_its_tasks(toy_config, tmp_path, hook, gate, penalty):
    more = f'train_cfg.update(max_iters=1)\ndefault_hooks.update(layer_wise_decay={hook})\n'
    runner = build_runner(toy_config('finetune', FAST + more), tmp_path / 'run')
    runner.train()
    assert_factors(runner.restorer, gate, penalty)
