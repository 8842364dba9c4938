"""Frozen parameters: chosen by names, without gradient or optimiser state, through all terms."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from restorer_cases import build, make_data, step_of

from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint
from dtir_mm.registry import MODELS, RUNNERS

FREEZE = ['backbone.net.stem.*', '*.norm1.weight']


def frozen_names(restorer) -> set[str]:
    return {name for name, p in restorer.named_parameters() if not p.requires_grad}


def test_patterns_match_whole_names(toy_backbone):
    restorer = build(toy_backbone, step_of('finetuning'), freeze=FREEZE)
    names = [name for name, _ in restorer.named_parameters()]
    expected = {
        name
        for name in names
        if name.startswith('backbone.net.stem.') or name.endswith('.norm1.weight')
    }
    assert frozen_names(restorer) == expected and 2 < len(expected) < len(names) / 2
    assert list(restorer.named_trained_parameters()) == [n for n in names if n not in expected]
    assert frozen_names(build(toy_backbone, step_of('finetuning'), freeze=None)) == set()


@pytest.mark.parametrize(
    ('freeze', 'message'),
    [
        (['stem.*'], r"'stem\.\*' matches none of the \d+ parameters, .* backbone\.net\.stem"),
        ([*FREEZE, 'backbone.net.Stem.weight'], "'backbone.net.Stem.weight' matches none"),
        ('backbone.net.*', r"must be a list of patterns, \['backbone\.net\.\*'\]"),
        (['*'], 'leaves no parameter to train'),
    ],
)
def test_invalid_patterns_are_rejected(toy_backbone, freeze, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(
            dict(type='Restorer', backbone=toy_backbone, step=step_of('finetuning'), freeze=freeze)
        )


def all_terms() -> dict:
    return step_of('finetuning', ratio=0.5, cap=0.5) | dict(
        regularizers=dict(
            importance=dict(type='ImportancePenalty', weight=0.2),
            orthogonality=dict(type='GradientOrthogonality', interval=1, groups=1),
            projection=dict(type='GradientProjection'),
        )
    )


def test_freezing_does_not_change_other_gradients(toy_backbone):
    """But for norms over all parameters, which frozen ones leave: so without caps."""
    step = all_terms()
    step['mixing'].pop('cap')
    del step['regularizers']['orthogonality'], step['regularizers']['projection']
    gradients = {}
    for freeze in (None, FREEZE):
        torch.manual_seed(0)
        restorer = build(toy_backbone, step, freeze=freeze)
        named = restorer.named_trained_parameters()
        ones = {name: torch.ones_like(p) for name, p in named.items()}
        anchor = {name: p.detach() + 0.1 for name, p in named.items()}
        restorer.step.regularizers['importance'].set_importance(ones, anchor, named)
        data = restorer.data_preprocessor(make_data(range(4)))
        gradient, _ = restorer.step.gradient(restorer, data)
        parts = gradient.split([p.numel() for p in named.values()])
        gradients[freeze is None] = dict(zip(named, parts, strict=True))
    assert gradients[False].keys() < gradients[True].keys()
    # S of the penalty, which multiplies its gradient, sums only over the parameters of one tensor.
    for name, gradient in gradients[False].items():
        torch.testing.assert_close(gradient, gradients[True][name])


@pytest.mark.parametrize('freeze', [FREEZE, ['backbone.net.*'], ['backbone.[!n]*', '*.stem.*']])
def test_frozen_parameters_do_not_change_and_have_no_optimiser_state(toy_backbone, freeze):
    torch.manual_seed(0)
    restorer = build(toy_backbone, all_terms(), freeze=freeze)
    named = restorer.named_trained_parameters()
    ones = {name: torch.ones_like(p) for name, p in named.items()}
    anchor = {name: p.detach() + 0.1 for name, p in named.items()}
    restorer.step.regularizers['importance'].set_importance(ones, anchor, named)
    optimizer = OptimWrapper(torch.optim.AdamW(restorer.parameters(), 1e-2, weight_decay=0.5))
    before = {name: p.detach().clone() for name, p in restorer.named_parameters()}
    restorer.train_step(make_data(range(4)), optimizer)
    frozen = frozen_names(restorer)
    for name, parameter in restorer.named_parameters():
        assert torch.equal(parameter, before[name]) == (name in frozen), name
        assert (parameter in optimizer.optimizer.state) == (name not in frozen)


ADAPTERS = dict(adapters=dict(type='MoEAdapters', num_experts=2, param_budget=5000, prompt_dim=8))
GENERATOR = ['backbone.net.*', 'backbone.films.*', 'backbone.time_embedding.*']


def test_only_the_adapters_can_be_trained(toy_backbone):
    step = step_of('finetuning', ratio=0.5)
    restorer = build({**toy_backbone, **ADAPTERS}, step, freeze=GENERATOR)
    data = restorer.data_preprocessor(make_data(range(4)))
    gradient, logged = restorer.step.gradient(restorer, data)
    assert {n.split('.')[1] for n in restorer.named_trained_parameters()} == {'adapters'}
    assert gradient.norm() > 0 and logged['noise'].mean() > 0 and logged['gradient_cosine'] == 0
    pretraining = build({**toy_backbone, **ADAPTERS}, step_of('pretraining'), freeze=GENERATOR)
    with pytest.raises(ValueError, match="model.freeze=.* nothing to train that the loss 'noise'"):
        pretraining.step.gradient(pretraining, pretraining.data_preprocessor(make_data(range(2))))


# --- in runs --------------------------------------------------------------------------------------

RUN = """
model.update(freeze={freeze})
model['step']['regularizers'].update(importance={{'type': 'ImportancePenalty', 'weight': 0.2}})
default_hooks.update(
    importance=dict(n_batches=2), layer_wise_decay=dict(type='LayerWiseDecayHook', gate='cut'),
    checkpoint=dict(interval=2),
)
custom_hooks = [dict(type='WeightEMAHook'), dict(type='GradientBalanceHook')]
load_from = '{pretrained}'
train_dataloader.update(num_workers=0)
val_dataloader = val_cfg = val_evaluator = None
train_cfg.update(max_iters={updates})
"""


def test_a_run_with_frozen_parameters_and_its_resumption(toy_backbone, toy_config, tmp_path):
    model = MODELS.build(dict(type='Restorer', backbone=toy_backbone))
    named = {name: p.detach().clone() for name, p in model.named_parameters()}
    omega = {name: torch.rand_like(p) for name, p in named.items()}
    importance = dict(omega=omega, anchor=named, statistic='abs_gradient', batches=2)
    start = {'state_dict': model.state_dict(), 'importance': importance}
    save_checkpoint(start, tmp_path / 'pretrained.pth')

    def run(freeze: list[str], updates: int, **more) -> dict:
        text = RUN.format(freeze=freeze, updates=updates, pretrained=tmp_path / 'pretrained.pth')
        config = Config.fromfile(toy_config('finetune', text))
        config.update(work_dir=str(tmp_path / 'run'), **more)
        config.experiment_name = f'{tmp_path}{freeze}{updates}'
        RUNNERS.build(config).train()
        return load_checkpoint(tmp_path / 'run').content

    first = run(FREEZE, 2)
    frozen = frozen_names(MODELS.build(dict(type='Restorer', backbone=toy_backbone, freeze=FREEZE)))
    for part in ('state_dict', 'online_state_dict'):
        for name, value in named.items():
            assert torch.equal(first[part][name], value) == (name in frozen), name
    trained = [i for i, name in enumerate(named) if name not in frozen]
    assert list(first['optimizer']['state']) == trained
    carried = first['importance']
    assert carried['stages'] == 2 and carried['omega'].keys() == named.keys()
    for name in named:
        kept = torch.equal(carried['omega'][name], omega[name])
        assert kept == (name in frozen), name
        assert torch.equal(carried['anchor'][name], first['state_dict'][name])

    with pytest.raises(ValueError, match=r"has model.freeze=\['backbone.net.stem.\*', .*has \[\]"):
        run([], 4, resume=True)
    again = run(FREEZE, 4, resume=True)
    assert again['meta']['iter'] == 4
    assert all(torch.equal(again['state_dict'][name], named[name]) for name in frozen)
