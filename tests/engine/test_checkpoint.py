"""Checkpoints are written completely or not at all, and read without running code."""

import json
import os
from pathlib import Path

import pytest
import torch
from toy_training import FAST, build_runner, train

from dtir_mm.apis import load_restorer
from dtir_mm.engine.checkpoint import (
    Checkpoint,
    CheckpointError,
    config_to_json,
    load_checkpoint,
    save_checkpoint,
)
from dtir_mm.registry import MODELS


class RunsCode:
    """Pickles as a call that makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.system, (f'touch {self.trace}',)


@pytest.fixture
def restorer(toy_backbone):
    return MODELS.build(dict(type='dtir_mm.Restorer', backbone=toy_backbone))


@pytest.fixture
def checkpoint(restorer, toy_backbone) -> dict:
    """A checkpoint without training state."""
    config = dict(model=dict(type='dtir_mm.Restorer', backbone=toy_backbone))
    meta = dict(
        iter=5, seed=0, precision='fp32', config_json=config_to_json(config), tasks=['rainy'],
        timesteps={'rainy': 8}, fixed_timestep=None,
    )  # fmt: skip
    return {'meta': meta, 'state_dict': restorer.state_dict()}


def test_a_checkpoint_round_trips(checkpoint, tmp_path):
    save_checkpoint(checkpoint, tmp_path / 'iter_5.pth')
    loaded = load_checkpoint(tmp_path / 'iter_5.pth').content
    assert loaded['meta'] == checkpoint['meta']
    for key, value in checkpoint['state_dict'].items():
        assert torch.equal(loaded['state_dict'][key], value)
    assert [path.name for path in tmp_path.iterdir()] == ['iter_5.pth']


def test_a_failed_write_leaves_the_old_file(checkpoint, tmp_path, monkeypatch):
    path = tmp_path / 'iter_5.pth'
    save_checkpoint(checkpoint, path)
    before = path.read_bytes()

    def disk_full(data, file):
        file.write(b'half')
        raise OSError('No space left on device')

    monkeypatch.setattr(torch, 'save', disk_full)
    with pytest.raises(OSError, match='No space left'):
        save_checkpoint({}, path)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ['iter_5.pth']


def test_a_malicious_pickle_is_rejected_without_running_it(checkpoint, tmp_path, toy_config):
    trace = tmp_path / 'trace'
    path = tmp_path / 'iter_5.pth'
    torch.save(checkpoint | {'optimizer': RunsCode(trace)}, path)
    with pytest.raises(CheckpointError, match=r'iter_5\.pth holds Python objects'):
        load_checkpoint(path)
    with pytest.raises(CheckpointError):
        load_restorer(path)
    for key in ('load_from', 'resume'):
        with pytest.raises(CheckpointError):
            build_runner(toy_config('finetune'), tmp_path / key, **{key: str(path)}).train()
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists(), 'the pickle is harmless'


def test_python_in_place_of_a_config_is_never_run(checkpoint, tmp_path, toy_config):
    trace = tmp_path / 'trace'
    hostile = f'import os\nos.system("touch {trace}")\nmodel = dict(type="x")\n'
    path = tmp_path / 'iter_5.pth'

    # Under the key of mmengine, which executes it on resume: ignored.
    checkpoint['meta'] |= {'cfg': hostile}
    save_checkpoint(checkpoint, path)
    load_restorer(path)
    config = toy_config('finetune', FAST + 'train_cfg.update(max_iters=1)\n')
    resumable = train(config, tmp_path / 'run')
    resumable['meta'] |= {'cfg': hostile}
    save_checkpoint(resumable, tmp_path / 'hostile.pth')
    longer = {'resume': str(tmp_path / 'hostile.pth'), 'train_cfg.max_iters': 2}
    meta = train(config, tmp_path / 'resumed', **longer)['meta']
    assert meta['iter'] == 2 and 'cfg' not in meta

    # In place of our JSON: rejected.
    checkpoint['meta'] |= {'config_json': hostile}
    save_checkpoint(checkpoint, path)
    with pytest.raises(CheckpointError, match='config'):
        load_restorer(path)
    assert not trace.exists()


def test_custom_imports_of_a_checkpoint_need_permission(checkpoint, tmp_path, monkeypatch):
    (tmp_path / 'their_module.py').write_text(f'open({str(tmp_path / "trace")!r}, "w")\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    config = json.loads(checkpoint['meta']['config_json'])
    config['custom_imports'] = dict(imports=['their_module'])
    checkpoint['meta']['config_json'] = json.dumps(config)
    save_checkpoint(checkpoint, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r"wants to import \['their_module'\].*--allow-imports"):
        load_restorer(tmp_path / 'a.pth')
    assert not (tmp_path / 'trace').exists()
    load_restorer(tmp_path / 'a.pth', allow_imports=True)
    assert (tmp_path / 'trace').exists()


def test_the_newest_readable_checkpoint_is_loaded(checkpoint, tmp_path):
    for iteration in (9, 80, 700):
        checkpoint['meta']['iter'] = iteration
        save_checkpoint(checkpoint, tmp_path / f'iter_{iteration}.pth')
    assert load_checkpoint(tmp_path).path.name == 'iter_700.pth'
    content = (tmp_path / 'iter_700.pth').read_bytes()
    (tmp_path / 'iter_700.pth').write_bytes(content[: len(content) // 2])
    assert load_checkpoint(tmp_path).path.name == 'iter_80.pth'
    assert load_checkpoint(tmp_path).meta.iter == 80
    for path in tmp_path.iterdir():
        path.write_bytes(b'')
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path)
    assert all(f'iter_{i}.pth' in str(error.value) for i in (9, 80, 700))


def test_missing_files_and_missing_metadata_are_reported(tmp_path):
    with pytest.raises(CheckpointError, match=r'no such checkpoint: .*nothing\.pth'):
        load_checkpoint(tmp_path / 'nothing.pth')
    foreign = Checkpoint.of({'state_dict': {}}, 'theirs.pth')
    with pytest.raises(CheckpointError, match=r'theirs\.pth carries no time steps'):
        _ = foreign.timesteps
    with pytest.raises(CheckpointError, match=r'theirs\.pth carries no config .*--config'):
        _ = foreign.config


def test_non_finite_weights_are_rejected(restorer, checkpoint, tmp_path):
    name = 'backbone.net.stem.weight'
    checkpoint['state_dict'] = dict(checkpoint['state_dict'])
    checkpoint['state_dict'][name] = checkpoint['state_dict'][name] * float('nan')
    save_checkpoint(checkpoint, tmp_path / 'a.pth')
    before = restorer.state_dict()[name].clone()
    with pytest.raises(CheckpointError, match=f'values of {name} are not finite'):
        Checkpoint.of(checkpoint, 'a.pth').load_into(restorer)
    assert torch.equal(restorer.state_dict()[name], before)
    with pytest.raises(CheckpointError, match='are not finite'):
        load_restorer(tmp_path / 'a.pth')


def test_a_network_much_larger_than_its_weights_is_rejected(checkpoint, tmp_path):
    for change in ({'backbone': {'width': 10**6}}, {'time_embedding': {'dim': 10**6}}):
        config = json.loads(checkpoint['meta']['config_json'])
        for key, value in change.items():
            config['model']['backbone'].setdefault(key, {}).update(value)
        checkpoint['meta']['config_json'] = json.dumps(config)
        save_checkpoint(checkpoint, tmp_path / 'a.pth')
        with pytest.raises(CheckpointError, match=r'a\.pth describes a network of more than 1 GiB'):
            load_restorer(tmp_path / 'a.pth')


def test_a_folder_without_checkpoints_lists_other_weights(tmp_path):
    with pytest.raises(CheckpointError, match=r'no checkpoint iter_\*\.pth in the directory') as e:
        load_checkpoint(tmp_path)
    assert str(e.value).endswith(str(tmp_path))
    (tmp_path / 'net_g.pth').touch()
    with pytest.raises(CheckpointError, match=r'it holds net_g\.pth: name the file itself'):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize('named', [True, False])
def test_a_failed_resume_does_not_start_a_new_run(named, checkpoint, tmp_path, toy_config):
    (tmp_path / 'run').mkdir()
    file = tmp_path / 'run' / 'iter_5.pth'
    torch.save({'params': checkpoint['state_dict']}, file)
    config, resume = toy_config('finetune'), str(file) if named else True
    with pytest.raises(CheckpointError, match=r'holds only weights\): .* load_from instead'):
        build_runner(config, tmp_path / 'run', resume=resume)
    file.write_bytes(file.read_bytes()[:999])
    with pytest.raises(CheckpointError, match=r'iter_5\.pth is incomplete \(999 bytes\)'):
        build_runner(config, tmp_path / 'run', resume=resume)
    assert [path.name for path in (tmp_path / 'run').glob('*.pth')] == ['iter_5.pth']


def test_non_strict_load_from_starts_from_matching_tensors(checkpoint, tmp_path, toy_config):
    weights = dict(checkpoint['state_dict'])
    del weights['backbone.net.stem.bias']
    weights['backbone.net.stem.weight'] = torch.full_like(weights['backbone.net.stem.weight'], 0.5)
    torch.save({'model': weights}, tmp_path / 'part.pth')
    config = toy_config('finetune', FAST + 'train_cfg.update(max_iters=1)\n')
    load = {'load_from': str(tmp_path / 'part.pth')}
    with pytest.raises(CheckpointError, match='in Restorer: backbone.net.stem.bias'):
        train(config, tmp_path / 'run', **load)
    trained = train(config, tmp_path / 'run', **load, load_strict=False)['state_dict']
    assert (trained['backbone.net.stem.weight'] - 0.5).abs().max() < 0.01  # one update


def test_configs_that_are_not_plain_data_are_rejected():
    with pytest.raises(TypeError, match='must be plain data'):
        config_to_json({'model': torch.nn.Linear})
