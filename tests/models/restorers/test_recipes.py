"""Which losses change the weights in both recipes, as configured."""

import itertools

import pytest
import torch
from mmengine.config import Config
from recipe_cases import STAGES, build_recipe, train
from restorer_cases import make_data

from dtir_mm.models.preprocessor import select
from dtir_mm.models.restorers import update

# Of these updates the released code mixes the last three; the preprint's L_orthog comes at 32.
ITERATIONS = range(32, 37)
RECIPES = pytest.mark.parametrize('recipe', ['paper', 'released'])


def parts_of(recipe: str) -> dict:
    """The training step of the recipe's fine-tuning, as plain data."""
    return Config.fromfile(STAGES / recipe / 'finetune.py').model.step.to_dict()


def without(recipe: str, name: str) -> dict:
    return {'regularizers': {**parts_of(recipe)['regularizers'], name: None}}


def test_generative_losses_do_not_change_weights_in_the_released_recipe():
    """Without the watched loss, with another, or in every update: the same to the last bit."""
    expected, logs = train(build_recipe('released/finetune'), ITERATIONS)
    assert ['denoising' in log for log in logs] == [False, False, True, True, True]
    assert ['importance' in log for log in logs] == [False, False, True, True, True]
    mixing = parts_of('released')['mixing']
    for other in (
        None,
        mixing | dict(probability=0.0),
        mixing | dict(probability=1.0),
        mixing | dict(objective=dict(type='NoisePrediction')),
    ):
        weights, _ = train(build_recipe('released/finetune', mixing=other), ITERATIONS)
        assert torch.equal(weights, expected)
    added, _ = train(
        build_recipe('released/finetune', mixing=mixing | dict(added=True)), ITERATIONS
    )
    assert (added - expected).abs().max() > 1e-5


def test_lambda_changes_the_weights_in_the_released_recipe():
    """From the first update on in which it acts, and not before."""
    penalty = parts_of('released')['regularizers']['importance']

    def run(iterations: range, **changes) -> torch.Tensor:
        return train(build_recipe('released/finetune', **changes), iterations)[0]

    def weighted(weight: float) -> dict:
        return dict(regularizers=dict(importance=penalty | dict(weight=weight)))

    none = dict(regularizers=dict(importance=None))
    assert torch.equal(run(ITERATIONS, **weighted(0.0)), run(ITERATIONS, **none))
    ends = [run(ITERATIONS, **weighted(weight)) for weight in (0.0, 0.2, 0.4)]
    for a, b in itertools.combinations(ends, 2):
        assert (a - b).abs().max() > 1e-5
    before = range(32, 34)
    assert torch.equal(run(before, **weighted(0.2)), run(before, **none))


def test_every_term_changes_the_weights_in_the_preprints_recipe():
    """L_orthog at one update in eight, L_reg and the mixed samples at each."""
    expected, logs = train(build_recipe('paper/finetune'), ITERATIONS)
    assert ['orthogonality' in log for log in logs] == [True, False, False, False, False]
    assert all('noise' in log and 'importance' in log for log in logs)
    ends = [expected]
    for changes in (
        without('paper', 'orthogonality'),
        without('paper', 'importance'),
        dict(mixing=None),
        dict(mixing=parts_of('paper')['mixing'] | dict(ratio=0.0)),
    ):
        weights, _ = train(build_recipe('paper/finetune', **changes), ITERATIONS)
        ends.append(weights)
    *different, no_mixing, mixing_of_none = ends
    assert torch.equal(no_mixing, mixing_of_none)
    for a, b in itertools.combinations([*different, no_mixing], 2):
        assert (a - b).abs().max() > 1e-6


def test_baselines_from_scratch_have_only_the_content_loss():
    """The same objective, updates and draws as fine-tuning with all else switched off."""
    for recipe in ('paper', 'released'):
        off = dict(mixing=None, regularizers=None)
        expected, _ = train(build_recipe(f'{recipe}/finetune', **off), ITERATIONS)
        weights, logs = train(build_recipe(f'{recipe}/scratch'), ITERATIONS)
        assert torch.equal(weights, expected)
        assert not any('importance' in log or 'gradient_cosine' in log for log in logs)


@RECIPES
@pytest.mark.parametrize('stage', ['pretrain', 'finetune'])
@pytest.mark.parametrize('micro', [1, 3])
def test_micro_batches_do_not_change_the_update(recipe, stage, micro):
    """Every term on, as far as the recipe has it; up to the order of sums in float64."""
    for iteration in (32, 34):
        restorer = build_recipe(f'{recipe}/{stage}')
        batch = restorer.data_preprocessor(make_data(range(8), iteration))
        gradient, logged = restorer.step.gradient(restorer, batch)
        sizes = []
        restorer.backbone.register_forward_hook(lambda _, args, __, s=sizes: s.append(len(args[0])))
        restorer.step.micro_batch_size = micro
        again, logged_again = restorer.step.gradient(restorer, batch)
        assert max(sizes) == micro
        assert (again - gradient).norm() <= 1e-12 * gradient.norm()
        torch.testing.assert_close(logged_again, logged, rtol=1e-9, atol=1e-12)


@RECIPES
def test_every_process_logs_the_same_names(recipe, monkeypatch):
    """Also one that has no sample of a kind: means are sums over processes, name by name."""
    monkeypatch.setattr(update, 'get_world_size', lambda: 4)
    restorer = build_recipe(f'{recipe}/finetune')
    for iteration in ITERATIONS:
        batch = restorer.data_preprocessor(make_data(range(8), iteration))
        of_processes = [
            restorer.step.gradient(restorer, select(batch, [i, i + 1]))[1] for i in range(0, 8, 2)
        ]
        assert {tuple(logged) for logged in of_processes} == {tuple(of_processes[-1])}
        if recipe == 'paper':  # one of eight samples is generative, that of the first process
            assert [len(logged['noise']) for logged in of_processes] == [1, 0, 0, 0]
            assert [len(logged['content']) for logged in of_processes] == [1, 2, 2, 2]
            assert all(len(logged['importance_ratio']) == 1 for logged in of_processes)
