"""No tool imports what a file names; each rejects it with one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trap import WAYS

from dtir_mm.engine.checkpoint import load_checkpoint, save_checkpoint
from dtir_mm.image_io import save_image

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = {
    'type': ('model.backbone.backbone', {'type': 'trap_module.function'}),
    '_scope_': ('model.step.objective', WAYS['_scope_']),
    '_base_': ('model.backbone', WAYS['_base_']),
    'custom_imports': ('', WAYS['custom_imports']),
}


def hostile_checkpoint(source: Path, way: str, folder: Path) -> Path:
    """A trained checkpoint whose config names code."""
    checkpoint = load_checkpoint(source).content
    config = json.loads(checkpoint['meta']['config_json'])
    place, update = HOSTILE[way]
    part = config
    for key in filter(None, place.split('.')):
        part = part[key]
    part.update(update)
    checkpoint['meta']['config_json'] = json.dumps(config)
    save_checkpoint(checkpoint, folder / 'hostile.pth')
    return folder / 'hostile.pth'


@pytest.mark.parametrize('way', HOSTILE)
@pytest.mark.parametrize(
    ('tool', 'arguments'),
    [
        ('restore', ('{file}', '{photos}', '{out}')),
        ('deploy', ('{file}', '{out}', '--task', 'rainy')),
        ('accumulate_importance', ('{file}', '{out}')),
        ('match_timesteps', ('{file}', '{out}', '--tasks', 'rainy', '--photos', '{photos}')),
    ],
)
def test_tools_reject_configs_that_import(toy, failure_of, trap, tool, arguments, way):
    file = hostile_checkpoint(toy.finetune, way, trap.folder)
    out = trap.folder / 'out.json'
    message = failure_of(
        tool, *(a.format(file=file, photos=toy.photos, out=out) for a in arguments)
    )
    assert not trap.sprung and not out.exists()
    (line,) = (line for line in message.splitlines() if line.startswith(f'{tool}: '))
    assert str(file) in line and 'trap_' in line
    assert '--allow-imports' in line and 'Traceback' not in message


@pytest.mark.parametrize('way', HOSTILE)
def test_tools_that_only_load_weights_ignore_the_config(toy, run_tool, trap, way):
    file = hostile_checkpoint(toy.finetune, way, trap.folder)
    run_tool('interpolate_weights', toy.pretrain, file, trap.folder / 'between.pth')
    if way == 'type':  # each trains or tests
        run = trap.folder / 'run'
        options = ('--cfg-options', f'load_from={file}', 'train_cfg.max_iters=1')
        run_tool('train', toy.config, '--work-dir', run, *options)
        more = ('--cfg-options', 'train_cfg.max_iters=3')
        run_tool('train', toy.config, '--work-dir', run, '--resume', file, *more)
        run_tool('test', toy.config, file, '--work-dir', trap.folder / 'test', '--images', 0)
    assert not trap.sprung


BACKEND = dict(backend='memcached', server_list_cfg='a', client_cfg='b')


@pytest.mark.parametrize(
    ('update', 'named'),
    [
        ({'folder': 'http://127.0.0.1:9/'}, 'dataset.folder='),
        ({'folder': 'cluster:petrel://a'}, 'dataset.folder='),
        ({'pipeline': [{'type': 'trap_module'}]}, 'trap_module'),
        ({'type': 'mmagic.BasicImageDataset', 'data_root': '/tmp'}, "dataset.type='mmagic.Basic"),
        ({'type': 'BaseDataset', 'ann_file': 'a.pkl'}, "type='BaseDataset' is not registered"),
        ({'pipeline': [{'type': 'mmagic.LoadImageFromFile'}]}, 'dataset.pipeline.0.type='),
        ({'backend_args': BACKEND}, 'dataset.backend_args='),
        ({'pipeline': [{'type': 'PackSample', 'backend_args': BACKEND}]}, '.0.backend_args='),
    ],
    ids=str,
)
def test_data_sets_of_a_checkpoint_import_nothing(toy, failure_of, trap, update, named):
    """mmengine's file backends import their clients, one from a folder that the config names."""
    (trap.folder / 'mc.py').write_text((trap.folder / 'trap_module.py').read_text())
    if 'backend_args' in update:
        update['backend_args'] |= {'sys_path': str(trap.folder)}
    checkpoint = load_checkpoint(toy.finetune).content
    config = json.loads(checkpoint['meta']['config_json'])
    config['train_dataloader']['dataset'].update(update)
    checkpoint['meta']['config_json'] = json.dumps(config)
    save_checkpoint(checkpoint, trap.folder / 'hostile.pth')
    message = failure_of(
        'accumulate_importance', trap.folder / 'hostile.pth', trap.folder / 'out.pth'
    )
    assert 'hostile.pth' in message and named in message
    assert not trap.sprung and not (trap.folder / 'out.pth').exists()


def test_deeply_nested_json_is_a_one_line_error(toy, failure_of, tmp_path):
    deep = '{"rows": ' + '[' * 1000 + ']' * 1000 + '}'
    (tmp_path / 'test').mkdir()
    for name in ('test/summary.json', 'steps.json', 'manifest.json'):
        (tmp_path / name).write_text(deep)
    for tool, file, arguments in (
        ('summarize', 'summary.json', (tmp_path / 'out.json', tmp_path / 'test')),
        ('match_timesteps', 'steps.json', (
            toy.finetune, tmp_path / 'steps.json', '--tasks', 'rainy', '--method', 'paper',
            '--photos', toy.photos,
        )),
        ('prepare_photos', 'manifest.json', (tmp_path, '--photos', toy.photos)),
    ):  # fmt: skip
        lines = failure_of(tool, *arguments).strip().splitlines()
        message = next(line for line in lines if line.startswith(f'{tool}: '))
        assert file in message and 'deeper than' in message and len(lines) <= 2


@pytest.mark.parametrize('way', ['type', '_scope_'])
def test_a_new_process_in_the_folder_of_the_code_does_not_run_it(toy, trap, way):
    """Like ``python tools/restore.py`` in a downloads folder."""
    file = hostile_checkpoint(toy.finetune, way, trap.folder)
    save_image(trap.folder / 'photos' / 'a.png', np.zeros((16, 16, 3), np.uint8))
    command = [sys.executable, ROOT / 'tools' / 'restore.py', file.name, 'photos', 'out']
    path = f'{trap.folder}{os.pathsep}{ROOT}'
    result = subprocess.run(
        command, cwd=trap.folder, env=os.environ | {'PYTHONPATH': path},
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 1 and not trap.sprung
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('restore: ') and 'Traceback' not in result.stderr
