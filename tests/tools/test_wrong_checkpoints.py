"""The tools with files that are not checkpoints, and with weights of other code bases."""

import pytest
import torch
from torch import nn

from dtir_mm.apis import load_restorer
from dtir_mm.engine.checkpoint import load_checkpoint

NAME = 'backbone.net.stem.weight'


def spoilt(toy, change) -> dict:
    checkpoint = load_checkpoint(toy.finetune).content
    checkpoint['state_dict'][NAME] = change(checkpoint['state_dict'][NAME])
    return checkpoint


def changed_meta(toy, **meta) -> dict:
    checkpoint = load_checkpoint(toy.finetune).content
    return {**checkpoint, 'meta': {**checkpoint['meta'], **meta}}


# The content of the file, and a part of the error.
FILES = {
    'a web page': (lambda toy: b'<!DOCTYPE html>', 'is a web page'),
    'a whole module': (lambda toy: nn.Conv2d(3, 3, 1), 'holds Python objects'),
    'a list': (lambda toy: [1, 2], 'holds data of type list'),
    'a tensor': (lambda toy: torch.ones(2), 'holds data of type Tensor'),
    'a string as meta': (lambda toy: {'meta': 'x', 'state_dict': {}}, "its meta is 'x'"),
    'a string as iter': (lambda toy: changed_meta(toy, iter='late'), "its meta.iter is 'late'"),
    'a huge iter': (lambda toy: changed_meta(toy, iter=10**12), 'its meta.iter is 1000000000000'),
    'no weights': (lambda toy: {'epoch': 3}, 'epoch'),
}
LOADED = {
    'NaN': (lambda toy: spoilt(toy, lambda w: w * float('nan')), f'{NAME} are not finite'),
    'whole numbers': (lambda toy: spoilt(toy, lambda w: w.long()), f'{NAME} is torch.int64'),
    'complex numbers': (lambda toy: spoilt(toy, lambda w: w * 1j), f'{NAME} is torch.complex64'),
}
TOOLS = {
    'restore': lambda toy, file, out: (file, toy.photos, out),
    'deploy': lambda toy, file, out: (file, out, '--t', 8),
    'test': lambda toy, file, out: (toy.config, file, '--work-dir', out),
    'match_timesteps': lambda toy, file, out: (
        file, f'{out}.json', '--tasks', 'rainy', '--photos', toy.photos,
    ),
    'accumulate_importance': lambda toy, file, out: (file, out, '--batches', 1),
    'interpolate_weights': lambda toy, file, out: (file, toy.finetune, out),
}  # fmt: skip


@pytest.mark.parametrize('tool', TOOLS)
def test_every_tool_reports_what_is_wrong_with_the_file(tool, toy, failure_of, tmp_path):
    kinds = FILES | (LOADED if tool != 'interpolate_weights' else {})
    if tool == 'accumulate_importance':  # asks for a config first, for its data
        del kinds['no weights']
    for i, (kind, (make, said)) in enumerate(kinds.items()):
        file, content = tmp_path / f'{i}.pth', make(toy)
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            torch.save(content, file)
        message = failure_of(tool, *TOOLS[tool](toy, file, tmp_path / 'out'))
        assert said in message, kind
        assert 'weights_only' not in message and 'Traceback' not in message, kind
        assert tool == 'interpolate_weights' or str(file) in message, kind


def test_a_deployed_network_is_not_a_checkpoint(toy, run_tool, failure_of, tmp_path):
    run_tool('deploy', toy.finetune, tmp_path / 'rainy', '--task', 'rainy', '--onnx')
    train = (toy.config, '--work-dir', tmp_path / 'run', '--cfg-options')
    for suffix, said in (('safetensors', 'made from (finetune/iter_2.pth)'), ('onnx', 'ONNX')):
        file = tmp_path / f'rainy.{suffix}'
        commands = {tool: TOOLS[tool](toy, file, tmp_path / 'out') for tool in TOOLS}
        del commands['restore'], commands['test']
        commands['train'] = (*train, f'load_from={file}')
        for tool, arguments in commands.items():
            message = failure_of(tool, *arguments)
            assert f'{file} is a' in message and said in message, tool
            assert 'can only restore and be tested: name the checkpoint' in message, tool


def test_pre_trained_weights_restore_and_deploy_with_a_warning(toy, run_tool, tmp_path):
    file = toy.pretrain / 'iter_2.pth'
    said = f"{file} is a pre-training checkpoint (objective 'noise'), not fine-tuned"
    photo = toy.photos / '0.png'
    assert said in run_tool('restore', toy.pretrain, photo, tmp_path / 'a.png', '--t', 8)
    assert 'a pre-training checkpoint' in run_tool('deploy', toy.pretrain, tmp_path / 'a', '--t', 8)
    for tool, arguments in (
        ('restore', (photo, tmp_path / 'b.png', '--task', 'rainy')),
        ('deploy', (tmp_path / 'b', '--t', 8)),
    ):
        assert 'pre-training' not in run_tool(tool, toy.finetune, *arguments)


def test_weights_of_other_code_bases_with_a_config(toy, run_tool, tmp_path):
    net = {
        name.removeprefix('backbone.net.'): value
        for name, value in load_checkpoint(toy.finetune).weights.items()
        if name.startswith('backbone.net.')
    }
    file = tmp_path / 'theirs.pth'
    torch.save({'params': {f'module.{name}': value for name, value in net.items()}}, file)
    config = ('--config', toy.config)
    restorer = load_restorer(file, toy.config).cpu()
    assert all(torch.equal(restorer.backbone.net.state_dict()[n], w) for n, w in net.items())

    run_tool('deploy', file, tmp_path / 'deployed', '--t', 8, *config)
    photo = toy.photos / '0.png'
    run_tool('restore', file, photo, tmp_path / 'a.png', '--task', 'rainy', *config)
    run_tool('accumulate_importance', file, tmp_path / 'with.pth', '--batches', 1, *config)
    loaded = load_checkpoint(tmp_path / 'with.pth').content
    assert loaded['importance']['omega'].keys() == dict(restorer.named_parameters()).keys()
    for name, value in net.items():
        assert torch.equal(loaded['state_dict'][f'backbone.net.{name}'], value)

    zeros = tmp_path / 'zeros.pth'
    torch.save({'net_g': {name: torch.zeros_like(value) for name, value in net.items()}}, zeros)
    other = tmp_path / 'other.pth'
    torch.save({name: value.double() for name, value in net.items()}, other)
    run_tool('interpolate_weights', zeros, other, tmp_path / 'half.pth', '--share', 0.5)
    half = load_checkpoint(tmp_path / 'half.pth').content
    assert half.keys() == {'state_dict'}
    for name, value in net.items():
        torch.testing.assert_close(half['state_dict'][name], value.double() / 2)
