"""Resuming and starting incremental runs."""

import copy
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from recorded_runs import RecordingHook, train
from toy_training import assert_same, build_runner

from dtir_mm.engine.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from dtir_mm.engine.weights_loading import load_weights
from dtir_mm.models.restorers.restorer import NEW_PARAMETERS
from dtir_mm.registry import MODELS


@pytest.mark.parametrize(
    ('stops', 'validated'),
    [
        ([7], [8, 12]),  # within the window of the second stage's importance
        (['validation 8'], [8, 12]),  # at the end of a stage
        ([8], [12]),  # after that validation
        ([5, 'validation 12'], [12]),
    ],
)
def test_resuming_is_bit_exact(toy_run, tmp_path, stops, validated):
    work_dir = tmp_path / 'run'
    for stop in stops:
        train(toy_run.unify, work_dir, stop, **toy_run.start)
    train(toy_run.unify, work_dir, **toy_run.start)
    assert RecordingHook.validated == validated
    for iteration in (8, 12):
        whole, resumed = (
            load_checkpoint(run / f'iter_{iteration}.pth').content
            for run in (toy_run.whole, work_dir)
        )
        for part in ('state_dict', 'optimizer', 'param_schedulers', 'importance'):
            assert_same(resumed[part], whole[part], part)
    table = (work_dir / 'forgetting.json').read_text()
    assert table == (toy_run.whole / 'forgetting.json').read_text()


def test_resuming_from_an_earlier_checkpoint_validates_again(toy_run, tmp_path):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    content = json.loads((toy_run.whole / 'forgetting.json').read_text())
    content['rows'][1]['psnr']['noisy'] = 99.0
    (work_dir / 'forgetting.json').write_text(json.dumps(content))
    shutil.copy(toy_run.whole / 'iter_6.pth', work_dir)
    train(toy_run.unify, work_dir, 9)
    assert RecordingHook.validated == [8]
    rows = json.loads((toy_run.whole / 'forgetting.json').read_text())['rows']
    assert json.loads((work_dir / 'forgetting.json').read_text())['rows'] == rows[:2]


def test_a_new_run_starts_a_new_table(toy_run, tmp_path):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    shutil.copy(toy_run.whole / 'forgetting.json', work_dir)
    options = {'train_cfg.max_iters': 3, 'train_cfg.val_interval': 1}
    train(toy_run.unify, work_dir, resume=False, **options, **toy_run.start)
    content = json.loads((work_dir / 'forgetting.json').read_text())
    assert [row['iter'] for row in content['rows']] == [1, 2, 3]


# --- starting from other weights --------------------------------------------------------------


def test_a_pretrained_checkpoint_may_lack_adapters_and_classifier(toy_run):
    start = toy_run.updates[0].weights
    pretrained = load_checkpoint(toy_run.pretrained).weights
    new = {name for name in start if name.startswith(('backbone.adapters.', 'classifier.'))}
    assert start.keys() - pretrained.keys() == new != set()
    for name, value in pretrained.items():
        assert torch.equal(start[name], value)
    for name in new - {name for name in new if name.startswith('classifier.')}:
        assert (float(start[name].abs().max()) == 0) == name.endswith(('up_ECR', 'table'))


def start_from(toy_run: SimpleNamespace, checkpoint: dict, folder: Path, stop_at: int = 0) -> None:
    """Starts a run from a changed checkpoint."""
    save_checkpoint(checkpoint, folder / 'changed.pth')
    train(toy_run.unify, folder / 'run', stop_at, load_from=str(folder / 'changed.pth'))


def without(checkpoint: dict, prefix: str) -> dict:
    """A checkpoint without the weights under a prefix."""
    weights = checkpoint['state_dict'].items()
    kept = {name: value for name, value in weights if not name.startswith(prefix)}
    return {**checkpoint, 'state_dict': kept}


def test_incomplete_adapters_or_classifiers_are_rejected(toy_run, tmp_path):
    for prefix in ('backbone.adapters.', 'classifier.'):
        checkpoint = load_checkpoint(toy_run.whole / 'iter_4.pth').content
        weights = checkpoint['state_dict']
        lost = [name for name in weights if name.startswith(prefix)][::2]
        assert lost
        for name in lost:
            del weights[name]
        with pytest.raises(CheckpointError, match='another architecture') as error:
            start_from(toy_run, checkpoint, tmp_path)
        in_file, in_network = str(error.value).splitlines()[1:]
        assert in_file.endswith('in the file: none')
        named = in_network.removeprefix('  in Restorer: ').partition(' (')[0]
        assert named == lost[0] and f'and {len(lost) - 3} more' in in_network


def test_a_classifier_can_be_added_to_a_unified_checkpoint(toy_run, tmp_path):
    changed = without(load_checkpoint(toy_run.whole / 'iter_4.pth').content, 'classifier.')
    start_from(toy_run, changed, tmp_path, 1)
    start = RecordingHook.updates[0].weights
    for name, value in changed['state_dict'].items():
        assert torch.equal(start[name], value)
    name = 'classifier.head.3.weight'
    assert torch.equal(start[name], toy_run.updates[0].weights[name])  # the same seed


def test_loading_an_unconditioned_network_keeps_our_other_parameters(toy_run):
    restorer = MODELS.build(Config.fromfile(toy_run.unify).model)
    before = copy.deepcopy(restorer.state_dict())
    net = {n: torch.randn_like(v) for n, v in restorer.backbone.net.state_dict().items()}
    load_weights(restorer, {'params': net}, 'bare.pth', NEW_PARAMETERS)
    for name, value in restorer.state_dict().items():
        expected = net.get(name.removeprefix('backbone.net.'), before[name])
        assert torch.equal(value, expected), name


def test_a_resumed_checkpoint_must_be_complete(toy_run, tmp_path):
    changed = without(load_checkpoint(toy_run.whole / 'iter_4.pth').content, 'classifier.')
    save_checkpoint(changed, tmp_path / 'changed.pth')
    with pytest.raises(CheckpointError, match=r'in Restorer: classifier\.'):
        train(toy_run.unify, tmp_path / 'run', resume=str(tmp_path / 'changed.pth'))


@pytest.mark.parametrize('missing', ['backbone.net.', 'backbone.films.'])
def test_other_parameters_must_be_in_the_checkpoint(toy_run, tmp_path, missing):
    changed = without(load_checkpoint(toy_run.pretrained).content, missing)
    with pytest.raises(CheckpointError, match=f'in Restorer: {missing}'):
        start_from(toy_run, changed, tmp_path)


def test_data_without_the_task_mixture_sampler_is_rejected(toy_config, tmp_path):
    hook = "default_hooks.update(incremental_tasks=dict(type='IncrementalTaskSchedulerHook'))\n"
    with pytest.raises(TypeError) as error:
        train(toy_config('finetune', hook), tmp_path / 'run')
    for part in ('train_dataloader.dataset', 'TaskMixtureDataset', 'type="TaskMixtureSampler"'):
        assert part in str(error.value)


def test_testing_weights_without_adapters_is_rejected(toy_run, tmp_path):
    runner = build_runner(toy_run.unify, tmp_path, load_from=str(toy_run.pretrained))
    with pytest.raises(CheckpointError, match=r'in Restorer: backbone\.adapters\.'):
        runner.load_or_resume()
