"""Release files restore as their checkpoint with weights in half precision, and are read as one."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_loading import image_of
from trust_cases import BACKBONE, CONFIG, META, Owned, changed, refused

from dtir_mm.apis import load_restorer, restore_pixels
from dtir_mm.apis.release import in_half_precision, save_release
from dtir_mm.engine.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from dtir_mm.registry import MODELS
from dtir_mm.weights_file import read_metadata

STEPS = dict(rainy=8, noisy=4)
CLASSIFIER = dict(type='DegradationClassifier', tasks=list(STEPS), width=4)


def written(folder, weights=None, config=None, meta=None, license_text=None):
    """A checkpoint with random weights, and the release file of it."""
    config = config or changed(CONFIG, 'model', timesteps=STEPS, classifier=CLASSIFIER)
    restorer = MODELS.build(config['model'])
    content = {
        'meta': META | dict(
            tasks=list(STEPS), timesteps=STEPS, fixed_timestep=None, objective='content',
            config_json=json.dumps(config),
        ) | (meta or {}),
        'state_dict': random_weights(restorer) | (weights or {}),
        'optimizer': {'state': {}, 'param_groups': []},
    }  # fmt: skip
    if meta and 'ema_decay' in meta:
        content['online_state_dict'] = {n: w + 1 for n, w in content['state_dict'].items()}
    save_checkpoint(content, folder / 'iter_5.pth')
    checkpoint = load_checkpoint(folder / 'iter_5.pth')
    file = folder / 'all.safetensors'
    restorer = load_restorer(checkpoint)
    single = save_release(restorer, checkpoint, checkpoint.config, file, license_text)
    return file, checkpoint.weights, single


def random_weights(restorer):
    rng = torch.Generator().manual_seed(1)
    return {
        name: value + 0.1 * torch.randn(value.shape, generator=rng)
        for name, value in restorer.state_dict().items()
    }


def test_it_restores_with_the_weights_rounded_to_half_precision(tmp_path):
    file, weights, single = written(tmp_path)
    assert single == [] and file.stat().st_size < 0.5 * (tmp_path / 'iter_5.pth').stat().st_size
    stored = load_file(file)
    assert {value.dtype for value in stored.values()} == {torch.float16}
    rounded = {name: torch.from_numpy(w.numpy().astype(np.float16)) for name, w in weights.items()}
    reference = load_restorer(tmp_path / 'iter_5.pth')
    reference.load_state_dict({name: half.float() for name, half in rounded.items()})
    loaded = load_restorer(file)
    assert loaded.state_dict().keys() == weights.keys()
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value.cpu(), rounded[name].float()), name
    for image, t in ((image_of(37, 41), 8), (image_of(16, 16), 4)):
        assert (
            restore_pixels(loaded, image, t).tobytes()
            == restore_pixels(reference, image, t).tobytes()
        )
    loaded.set_inference('predict')
    reference.set_inference('predict')
    images = loaded.from_uint8(torch.from_numpy(image).permute(2, 0, 1)[None])
    assert torch.equal(loaded.find_steps(images), reference.find_steps(images))


def test_it_is_a_checkpoint_without_what_only_training_needs(tmp_path):
    file, _, _ = written(tmp_path, meta=dict(seed=3, iter=40), license_text='CC-BY-4.0')
    checkpoint = load_checkpoint(file)
    assert checkpoint.content.keys() == {'meta', 'state_dict'}
    meta = checkpoint.meta
    assert (meta.seed, meta.iter, meta.objective, meta.tasks) == (3, 40, 'content', list(STEPS))
    assert checkpoint.timesteps == STEPS and checkpoint.pretraining_warning is None
    kept = load_checkpoint(tmp_path / 'iter_5.pth').config['model']
    del kept['step']
    assert checkpoint.config == {'model': kept}
    about = read_metadata(file)
    assert (about['format'], about['license']) == ('dtir_mm.restorer', 'CC-BY-4.0')
    assert about['checkpoint'] == f'{tmp_path.name}/iter_5.pth'
    with pytest.raises(CheckpointError, match='cannot be resumed from .*all.safetensors'):
        checkpoint.require_resumable()


def test_the_averaged_weights_are_taken(tmp_path):
    file, averages, _ = written(tmp_path, meta=dict(ema_decay=0.9))
    checkpoint = load_checkpoint(file)
    assert checkpoint.meta.ema_decay == 0.9
    for name, value in checkpoint.weights.items():
        torch.testing.assert_close(value, averages[name], rtol=1e-3, atol=1e-6)
    with pytest.raises(CheckpointError, match=r'all\.safetensors has the average of the weights'):
        checkpoint.online()


def test_weights_that_half_precision_cannot_hold_stay_as_they_are(tmp_path):
    names = [f'backbone.net.{name}' for name in ('stem.bias', 'norm_out.bias', 'conv_out.bias')]
    values = (torch.full((8,), 7e4), torch.full((8,), 3e-7), torch.full((3,), 6e4))
    file, _, single = written(tmp_path, dict(zip(names, values, strict=True)))
    assert single == names[:2]
    stored = load_file(file)
    assert [stored[name].dtype for name in names] == [torch.float32, torch.float32, torch.float16]
    assert torch.equal(stored[names[0]], values[0])


@pytest.mark.parametrize(
    ('tensor', 'fits'),
    [
        (torch.tensor([65504.0]), True),
        (torch.tensor([65520.0]), False),
        (torch.tensor([1.0, 1e-12]), True),
        (torch.tensor([-torch.inf, 1.0]), False),
        (torch.zeros(3), True),
        (torch.zeros(0), False),
        (torch.tensor([1, 2]), False),
    ],
)
def test_what_fits_into_half_precision(tensor, fits):
    half = in_half_precision(tensor)
    assert (half.dtype == torch.float16) == fits and (fits or half is tensor)


def test_a_fixed_step_and_the_users_own_network(tmp_path):
    network = dict(type='ConditionedBackbone', backbone=dict(type=Owned.__name__))
    config = changed(CONFIG, 'model', backbone=network, timesteps='fixed:7')
    config['custom_imports'] = dict(imports=['trust_cases'])
    file = tmp_path / 'all.safetensors'
    restorer = MODELS.build(config['model'])
    meta = META | dict(timesteps={}, fixed_timestep=7, config_json=json.dumps(config))
    save_checkpoint({'meta': meta, 'state_dict': restorer.state_dict()}, tmp_path / 'iter_5.pth')
    checkpoint = load_checkpoint(tmp_path / 'iter_5.pth')
    save_release(restorer, checkpoint, checkpoint.config, file)
    with pytest.raises(ValueError, match=r"wants to import \['trust_cases'\].*--allow-imports"):
        load_restorer(file)
    loaded = load_restorer(file, allow_imports=True)
    assert loaded.timesteps.fixed == 7 and type(loaded.backbone.net) is Owned


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'meta': ''}, 'meta of .* is not JSON'),
        ({'meta': '[1]'}, 'its meta must be a dict, got list'),
        ({'meta': '{"timesteps": {}, "iter": "x"}'}, "its meta.iter is 'x'"),
        ({'meta': '{"timesteps": {}}', 'config': '{'}, 'config in .* is not JSON'),
        ({'meta': '{"timesteps": {}}', 'config': '{}'}, 'must have a dict "model"'),
    ],
)
def test_wrong_metadata_are_rejected(tmp_path, change, said):
    file, _, _ = written(tmp_path)
    save_file(load_file(file), file, read_metadata(file) | change)
    with pytest.raises((CheckpointError, ValueError), match=said) as error:
        load_restorer(file)
    assert str(file) in str(error.value) and '\n' not in str(error.value)


def test_it_imports_nothing(trap):
    file, _, _ = written(trap.folder)
    weights, about = load_file(file), read_metadata(file)
    for model in (
        {**CONFIG['model'], 'backbone': {**BACKBONE, 'type': 'trap_package.Trap'}},
        {**CONFIG['model'], '_scope_': 'trap_package'},
    ):
        save_file(weights, file, about | {'config': json.dumps({'model': model})})
        message = refused(load_restorer, file, trap)
        assert message.startswith(f'{file}: model.') and 'trap_' in message
