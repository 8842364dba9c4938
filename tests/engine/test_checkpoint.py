"""Checkpoints are data: written completely or not at all, and read without running code."""

import json
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from dtir_mm.apis import load_restorer
from dtir_mm.engine.checkpoint import (
    Checkpoint,
    CheckpointError,
    config_to_json,
    load_checkpoint,
    save_checkpoint,
)
from dtir_mm.registry import MODELS, RUNNERS


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
    """What a run of ours saves, as far as the weights' users need it."""
    config = dict(model=dict(type='dtir_mm.Restorer', backbone=toy_backbone))
    meta = dict(
        iter=5, seed=0, precision='fp32', config_json=config_to_json(config), tasks=['rainy'],
        timesteps={'rainy': 8}, fixed_timestep=None,
    )  # fmt: skip
    return {'meta': meta, 'state_dict': restorer.state_dict()}


def test_what_is_saved_is_what_is_read(checkpoint, tmp_path):
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


def test_a_malicious_pickle_is_refused_without_running_it(checkpoint, tmp_path, toy_config):
    trace = tmp_path / 'trace'
    path = tmp_path / 'iter_5.pth'
    torch.save(checkpoint | {'optimizer': RunsCode(trace)}, path)
    os.system(f'touch {trace}')  # what it would do
    assert trace.exists()
    trace.unlink()

    with pytest.raises(CheckpointError, match=r'iter_5\.pth holds Python objects'):
        load_checkpoint(path)
    with pytest.raises(CheckpointError):
        load_restorer(path)
    for key in ('load_from', 'resume'):
        config = Config.fromfile(toy_config('finetune'))
        config.update({key: str(path), 'work_dir': str(tmp_path / key)})
        with pytest.raises(CheckpointError):
            RUNNERS.build(config).train()
    assert not trace.exists()


def test_hostile_python_in_place_of_a_config_is_never_run(checkpoint, tmp_path, toy_config):
    trace = tmp_path / 'trace'
    hostile = f'import os\nos.system("touch {trace}")\nmodel = dict(type="x")\n'
    path = tmp_path / 'iter_5.pth'

    # Where mmengine keeps Python that it parses on resume: ignored.
    checkpoint['meta'] |= {'cfg': hostile}
    save_checkpoint(checkpoint, path)
    load_restorer(path)
    config = Config.fromfile(toy_config('finetune', 'train_cfg.update(max_iters=5)\n'))
    config.update(work_dir=str(tmp_path / 'run'))
    trained = RUNNERS.build(config)
    trained.train()
    resumable = load_checkpoint(tmp_path / 'run').content
    resumable['meta'] |= {'cfg': hostile}
    save_checkpoint(resumable, tmp_path / 'hostile.pth')
    config = Config.fromfile(toy_config('finetune', 'train_cfg.update(max_iters=6)\n'))
    config.update(work_dir=str(tmp_path / 'again'), resume=str(tmp_path / 'hostile.pth'))
    RUNNERS.build(config).train()
    assert load_checkpoint(tmp_path / 'again').content['meta']['iter'] == 6
    assert 'cfg' not in load_checkpoint(tmp_path / 'again').content['meta']

    # In the place of our JSON: refused.
    checkpoint['meta'] |= {'config_json': hostile}
    save_checkpoint(checkpoint, path)
    with pytest.raises(CheckpointError, match='config'):
        load_restorer(path)
    assert not trace.exists()


def test_imports_that_a_checkpoint_asks_for_need_permission(checkpoint, tmp_path, monkeypatch):
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


def test_the_newest_readable_checkpoint_is_taken(checkpoint, tmp_path):
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


def test_missing_checkpoints_and_foreign_ones_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r'no such checkpoint: .*nothing\.pth'):
        load_checkpoint(tmp_path / 'nothing.pth')
    foreign = Checkpoint.of({'state_dict': {}}, 'theirs.pth')
    with pytest.raises(CheckpointError, match=r'theirs\.pth carries no time steps'):
        _ = foreign.timesteps
    with pytest.raises(CheckpointError, match=r'theirs\.pth carries no config .*--config'):
        _ = foreign.config


def test_weights_that_are_not_finite_are_refused_by_every_way_to_load(
    restorer, checkpoint, tmp_path, toy_config
):
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


def test_a_network_of_a_terabyte_in_a_config_is_refused(checkpoint, tmp_path):
    for change in ({'backbone': {'width': 10**6}}, {'time_embedding': {'dim': 10**6}}):
        config = json.loads(checkpoint['meta']['config_json'])
        for key, value in change.items():
            config['model']['backbone'].setdefault(key, {}).update(value)
        checkpoint['meta']['config_json'] = json.dumps(config)
        save_checkpoint(checkpoint, tmp_path / 'a.pth')
        with pytest.raises(CheckpointError, match=r'a\.pth describes a network of more than 1 GiB'):
            load_restorer(tmp_path / 'a.pth')


def test_a_directory_without_checkpoints_names_what_it_has(tmp_path):
    with pytest.raises(CheckpointError, match=r'no checkpoint iter_\*\.pth in the directory') as e:
        load_checkpoint(tmp_path)
    assert str(e.value).endswith(str(tmp_path))
    (tmp_path / 'net_g.pth').touch()
    with pytest.raises(CheckpointError, match=r'it holds net_g\.pth: name the file itself'):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize('named', [True, False])
def test_what_cannot_be_resumed_is_never_begun_anew(named, checkpoint, tmp_path, toy_config):
    """Weights alone, and damaged checkpoints; the files stay."""
    (tmp_path / 'run').mkdir()
    file = tmp_path / 'run' / 'iter_5.pth'
    torch.save({'params': checkpoint['state_dict']}, file)
    config = Config.fromfile(toy_config('finetune'))
    config.update(work_dir=str(tmp_path / 'run'), resume=str(file) if named else True)
    config.experiment_name = f'{tmp_path}{named}'
    with pytest.raises(CheckpointError, match=r'holds only weights\): .* load_from instead'):
        RUNNERS.build(config)
    file.write_bytes(file.read_bytes()[:999])
    with pytest.raises(CheckpointError, match=r'iter_5\.pth is incomplete \(999 bytes\)'):
        RUNNERS.build(config)
    assert [path.name for path in (tmp_path / 'run').glob('*.pth')] == ['iter_5.pth']


LOAD = """
load_from = '{file}'
load_strict = {strict}
train_cfg.update(max_iters=1)
val_dataloader = val_cfg = val_evaluator = None
"""


def test_load_strict_of_a_config_starts_training_from_what_fits(checkpoint, tmp_path, toy_config):
    weights = dict(checkpoint['state_dict'])
    del weights['backbone.net.stem.bias']
    weights['backbone.net.stem.weight'] = torch.full_like(weights['backbone.net.stem.weight'], 0.5)
    torch.save({'model': weights}, tmp_path / 'part.pth')
    for strict in (True, False):
        more = LOAD.format(file=tmp_path / 'part.pth', strict=strict)
        config = Config.fromfile(toy_config('finetune', more))
        config.work_dir, config.experiment_name = str(tmp_path / 'run'), f'{tmp_path}{strict}'
        runner = RUNNERS.build(config)
        if strict:
            with pytest.raises(CheckpointError, match='in Restorer: backbone.net.stem.bias'):
                runner.train()
        else:
            runner.train()
    weight = load_checkpoint(tmp_path / 'run').weights['backbone.net.stem.weight']
    assert (weight - 0.5).abs().max() < 0.01  # of one step


def test_configs_that_are_not_data_are_refused():
    with pytest.raises(TypeError, match='must be plain data'):
        config_to_json({'model': torch.nn.Linear})
