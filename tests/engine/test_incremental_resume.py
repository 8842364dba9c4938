"""Incremental runs that are stopped, and what they start from."""

import copy
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bit_equality import assert_same
from mmengine.config import Config

from dtir_mm.engine.checkpoint import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from dtir_mm.engine.weights_loading import load_weights
from dtir_mm.models.restorers.restorer import NEW_PARAMETERS
from dtir_mm.registry import MODELS, RUNNERS


@pytest.mark.parametrize(
    ('stops', 'validated'),
    [
        ([('update', 7)], [8, 12]),  # within the window of the second stage's importance
        ([('validation', 8)], [8, 12]),  # at the hand-over: what was not measured is
        ([('update', 8)], [12]),  # behind its validation
        ([('update', 5), ('validation', 12)], [12]),
    ],
)
def test_a_stopped_run_ends_as_one_that_was_not(toy_run, tmp_path, stops, validated):
    work_dir = tmp_path / 'run'
    for stop in stops:
        toy_run.train(toy_run.unify, work_dir, stop, **toy_run.start)
    _, watched = toy_run.train(toy_run.unify, work_dir, **toy_run.start)
    assert watched.validated == validated
    for iteration in (8, 12):
        whole, resumed = (
            load_checkpoint(run / f'iter_{iteration}.pth').content
            for run in (toy_run.whole, work_dir)
        )
        for part in ('state_dict', 'optimizer', 'param_schedulers', 'importance'):
            assert_same(resumed[part], whole[part], part)
    table = (work_dir / 'forgetting.json').read_text()
    assert table == (toy_run.whole / 'forgetting.json').read_text()


def test_a_run_from_an_earlier_checkpoint_measures_again_what_came_later(toy_run, tmp_path):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    content = json.loads((toy_run.whole / 'forgetting.json').read_text())
    content['rows'][1]['psnr']['noisy'] = 99.0
    (work_dir / 'forgetting.json').write_text(json.dumps(content))
    shutil.copy(toy_run.whole / 'iter_6.pth', work_dir)
    _, watched = toy_run.train(toy_run.unify, work_dir, ('update', 9))
    assert watched.validated == [8]
    rows = json.loads((toy_run.whole / 'forgetting.json').read_text())['rows']
    assert json.loads((work_dir / 'forgetting.json').read_text())['rows'] == rows[:2]


def test_a_new_run_forgets_the_table_of_a_former_one(toy_run, tmp_path):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    shutil.copy(toy_run.whole / 'forgetting.json', work_dir)
    options = {'train_cfg.max_iters': 3, 'train_cfg.val_interval': 1}
    toy_run.train(toy_run.unify, work_dir, resume=False, **options, **toy_run.start)
    content = json.loads((work_dir / 'forgetting.json').read_text())
    assert [row['iter'] for row in content['rows']] == [1, 2, 3]


# --- what a run starts from -------------------------------------------------------------------


def test_adapters_and_classifier_are_new_to_a_pretrained_checkpoint(toy_run):
    start = toy_run.watched.updates[0].weights
    pretrained = load_checkpoint(toy_run.pretrained).weights
    new = {name for name in start if name.startswith(('backbone.adapters.', 'classifier.'))}
    assert start.keys() - pretrained.keys() == new != set()
    for name, value in pretrained.items():
        assert torch.equal(start[name], value)
    for name in new - {name for name in new if name.startswith('classifier.')}:
        assert (float(start[name].abs().max()) == 0) == name.endswith(('up_ECR', 'table'))


def begin_from(
    toy_run: SimpleNamespace, checkpoint: dict, folder: Path, stop_at: tuple = ('update', 0)
) -> SimpleNamespace:
    """The beginning of a run from a checkpoint; gives what was watched."""
    save_checkpoint(checkpoint, folder / 'changed.pth')
    start = {'load_from': str(folder / 'changed.pth')}
    return toy_run.train(toy_run.unify, folder / 'run', stop_at, **start)[1]


def test_a_part_of_the_adapters_or_of_the_classifier_is_refused(toy_run, tmp_path):
    for prefix in ('backbone.adapters.', 'classifier.'):
        checkpoint = load_checkpoint(toy_run.whole / 'iter_4.pth').content
        weights = checkpoint['state_dict']
        lost = [name for name in weights if name.startswith(prefix)][::2]
        assert lost
        for name in lost:
            del weights[name]
        with pytest.raises(CheckpointError, match='another architecture') as error:
            begin_from(toy_run, checkpoint, tmp_path)
        in_file, in_network = str(error.value).splitlines()[1:]
        assert in_file.endswith('in the file: none')
        named = in_network.removeprefix('  in Restorer: ').partition(' (')[0]
        assert named == lost[0] and f'and {len(lost) - 3} more' in in_network


def test_a_classifier_can_be_added_to_a_unified_checkpoint(toy_run, tmp_path):
    checkpoint = load_checkpoint(toy_run.whole / 'iter_4.pth').content
    kept = {n: v for n, v in checkpoint['state_dict'].items() if not n.startswith('classifier.')}
    watched = begin_from(toy_run, {**checkpoint, 'state_dict': kept}, tmp_path, ('update', 1))
    start = watched.updates[0].weights
    for name, value in kept.items():
        assert torch.equal(start[name], value)
    name = 'classifier.head.3.weight'
    assert torch.equal(start[name], toy_run.watched.updates[0].weights[name])  # the same seed


def test_the_weights_of_a_bare_network_leave_all_that_is_ours_as_it_was(toy_run):
    restorer = MODELS.build(Config.fromfile(toy_run.unify).model)
    before = copy.deepcopy(restorer.state_dict())
    net = {n: torch.randn_like(v) for n, v in restorer.backbone.net.state_dict().items()}
    load_weights(restorer, {'params': net}, 'bare.pth', NEW_PARAMETERS)
    for name, value in restorer.state_dict().items():
        expected = net.get(name.removeprefix('backbone.net.'), before[name])
        assert torch.equal(value, expected), name


def test_nothing_is_new_to_a_checkpoint_that_is_resumed(toy_run, tmp_path):
    checkpoint = load_checkpoint(toy_run.whole / 'iter_4.pth').content
    kept = {n: v for n, v in checkpoint['state_dict'].items() if not n.startswith('classifier.')}
    save_checkpoint({**checkpoint, 'state_dict': kept}, tmp_path / 'changed.pth')
    with pytest.raises(CheckpointError, match=r'in Restorer: classifier\.'):
        toy_run.train(toy_run.unify, tmp_path / 'run', resume=str(tmp_path / 'changed.pth'))


@pytest.mark.parametrize('missing', ['backbone.net.', 'backbone.films.'])
def test_what_no_stage_introduces_must_be_there(toy_run, tmp_path, missing):
    checkpoint = load_checkpoint(toy_run.pretrained).content
    kept = {n: v for n, v in checkpoint['state_dict'].items() if not n.startswith(missing)}
    with pytest.raises(CheckpointError, match=f'in Restorer: {missing}'):
        begin_from(toy_run, {**checkpoint, 'state_dict': kept}, tmp_path)


def test_data_without_the_balanced_sampler_is_refused(toy_config, tmp_path):
    hook = "default_hooks.update(incremental_tasks=dict(type='IncrementalTaskSchedulerHook'))\n"
    config = Config.fromfile(toy_config('finetune', hook))
    config.work_dir, config.experiment_name = str(tmp_path / 'run'), f'{tmp_path}'
    with pytest.raises(TypeError) as error:
        RUNNERS.build(config).train()
    for named in (
        'train_dataloader.dataset',
        'TaskMixtureDataset',
        'dict(type="TaskMixtureSampler")',
    ):
        assert named in str(error.value)


def test_a_test_of_weights_without_adapters_is_refused(toy_run, tmp_path):
    config = Config.fromfile(toy_run.unify)
    config.work_dir = str(tmp_path)
    config.load_from = str(toy_run.pretrained)
    with pytest.raises(CheckpointError, match=r'in Restorer: backbone\.adapters\.'):
        RUNNERS.build(config).load_or_resume()
