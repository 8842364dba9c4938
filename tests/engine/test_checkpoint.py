"""Checkpoints are data: written whole or not at all, and read without running what they hold."""

import json
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from dtir_mm.apis import load_restorer
from dtir_mm.engine.checkpoint import (
    CheckpointError,
    config_of,
    config_to_json,
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    timesteps_of,
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
    loaded = load_checkpoint(tmp_path / 'iter_5.pth')
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

    with pytest.raises(CheckpointError, match=r'iter_5\.pth is not a readable checkpoint'):
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
    resumable = load_checkpoint(tmp_path / 'run')
    resumable['meta'] |= {'cfg': hostile}
    save_checkpoint(resumable, tmp_path / 'hostile.pth')
    config = Config.fromfile(toy_config('finetune', 'train_cfg.update(max_iters=6)\n'))
    config.update(work_dir=str(tmp_path / 'again'), resume=str(tmp_path / 'hostile.pth'))
    RUNNERS.build(config).train()
    assert load_checkpoint(tmp_path / 'again')['meta']['iter'] == 6
    assert 'cfg' not in load_checkpoint(tmp_path / 'again')['meta']

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
    assert latest_checkpoint(tmp_path).name == 'iter_700.pth'
    content = (tmp_path / 'iter_700.pth').read_bytes()
    (tmp_path / 'iter_700.pth').write_bytes(content[: len(content) // 2])
    assert latest_checkpoint(tmp_path).name == 'iter_80.pth'
    assert load_checkpoint(tmp_path)['meta']['iter'] == 80
    for path in tmp_path.iterdir():
        path.write_bytes(b'')
    with pytest.raises(CheckpointError) as error:
        latest_checkpoint(tmp_path)
    assert all(f'iter_{i}.pth' in str(error.value) for i in (9, 80, 700))


def test_missing_checkpoints_and_foreign_ones_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r'no such checkpoint: .*nothing\.pth'):
        load_checkpoint(tmp_path / 'nothing.pth')
    with pytest.raises(CheckpointError, match='carries no time steps'):
        timesteps_of({'state_dict': {}})
    with pytest.raises(CheckpointError, match='--config'):
        config_of({'state_dict': {}})


def test_another_architecture_is_refused_with_its_keys(restorer, checkpoint, toy_backbone):
    wider = {**toy_backbone, 'backbone': {**toy_backbone['backbone'], 'width': 16}}
    other = MODELS.build(dict(type='dtir_mm.Restorer', backbone=wider))
    weights = dict(checkpoint['state_dict'])
    weights['backbone.net.foreign'] = weights.pop('backbone.net.stem.bias')
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        load_weights(other, {'state_dict': weights}, 'theirs.pth')
    message = str(error.value)
    assert message.startswith('theirs.pth holds weights of another architecture')
    assert 'missing: backbone.net.stem.bias' in message
    assert 'not in this network: backbone.net.foreign' in message
    assert 'backbone.net.stem.weight: (8, 3, 3, 3) in the file, (16, 3, 3, 3)' in message
    assert 'more' in message
    for key, value in other.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize('wrap', [lambda weights: weights, lambda weights: {'params': weights}])
def test_a_bare_networks_weights_go_into_the_wrapped_network(restorer, toy_backbone, wrap):
    torch.manual_seed(9)
    bare = MODELS.build(toy_backbone['backbone'])
    load_weights(restorer, wrap(bare.state_dict()), 'bare.pth')
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(restorer.backbone(image, torch.tensor([30])), bare(image))


def test_configs_that_are_not_data_are_refused():
    with pytest.raises(TypeError, match='must be plain data'):
        config_to_json({'model': torch.nn.Linear})
