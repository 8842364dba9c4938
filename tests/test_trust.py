"""No file can import code: checkpoints, deployed networks, time steps, manifests."""

import copy
import json

import mmcv.cnn  # noqa: F401 - registers its layers, with which a file could do more
import pytest
from mmengine.registry import DefaultScope
from photos.preparation import read_manifest
from safetensors.torch import save_file
from torch import nn
from trap import WAYS
from trust_cases import BACKBONE, CONFIG, UNET, changed, checkpoint_of, refused

from dtir_mm.apis import load_restorer
from dtir_mm.apis.deployment import deploy, load_deployed, save_deployed
from dtir_mm.json_files import MAX_DEPTH
from dtir_mm.matching.timesteps_file import load_timesteps
from dtir_mm.registry import MODELS

# Plain names may be any words: they are looked up only when something is built.
DOTTED = [way for way in WAYS if way != 'trap_module']

BUILT = (
    'model',
    'model.backbone',
    'model.backbone.backbone',
    'model.backbone.time_embedding',
    'model.head',
    'model.step.objective',
    'model.step.objective.losses.pixel',
    'model.step.mixing',
    'model.step.mixing.objective',
    'model.step.regularizers.projection',
)
NOT_BUILT = (
    'train_dataloader.dataset',
    'train_dataloader.dataset.pipeline.0',
    'custom_hooks.0',
    'optim_wrapper.optimizer',
)


@MODELS.register_module()
class BuildsLayers(nn.Module):
    """A custom network that has mmcv look up a layer."""

    def __init__(self, padding: str) -> None:
        super().__init__()
        self.layer = mmcv.cnn.ConvModule(3, 3, 1, padding_mode=padding)


@pytest.fixture(scope='module')
def deployed():
    return deploy(MODELS.build(copy.deepcopy(CONFIG['model'])), 8)


@pytest.mark.parametrize('place', BUILT + NOT_BUILT)
@pytest.mark.parametrize('way', DOTTED)
def test_a_checkpoint_imports_nothing(trap, way, place):
    file = checkpoint_of(changed(CONFIG, place, **WAYS[way]), trap.folder, weights={})
    message = refused(load_restorer, file, trap)
    assert message.startswith(f'{file}: {place}.{next(iter(WAYS[way]))}=')
    assert 'trap_' in message and '--allow-imports' in message


@pytest.mark.parametrize('place', BUILT)
def test_a_plain_name_in_a_checkpoint_imports_nothing(trap, place):
    file = checkpoint_of(changed(CONFIG, place, type='trap_module'), trap.folder, weights={})
    message = refused(load_restorer, file, trap)
    assert message.startswith(f"{file}: type='trap_module' is not registered")


@pytest.mark.parametrize('way', DOTTED)
def test_a_checkpoint_imports_nothing_at_its_top(trap, way):
    file = checkpoint_of(CONFIG | WAYS[way], trap.folder, weights={})
    message = refused(load_restorer, file, trap)
    assert str(file) in message and 'trap_' in message and '--allow-imports' in message


@pytest.mark.parametrize('place', ['backbone', 'backbone.backbone', 'backbone.time_embedding'])
@pytest.mark.parametrize('way', WAYS)
def test_a_deployed_network_imports_nothing(trap, deployed, way, place):
    file = trap.folder / 'rainy.safetensors'
    config = changed({'backbone': BACKBONE}, place, **WAYS[way])
    save_deployed(deployed, file, config['backbone'])
    message = refused(load_deployed, file, trap)
    assert str(file) in message and 'trap_' in message


@pytest.mark.parametrize('place', ['', 'source', 'source.schedule', 'tasks.rainy'])
@pytest.mark.parametrize('way', DOTTED)
def test_time_steps_import_nothing(trap, way, place):
    schedule = {'type': 'VariancePreserving', 'num_steps': 50}
    document = {'tasks': {'rainy': {'t_mat': 8}}, 'source': {'schedule': schedule}}
    file = trap.folder / 'steps.json'
    file.write_text(json.dumps(document))
    assert load_timesteps(file) == {'rainy': 8}
    file.write_text(json.dumps(changed(document, place, **WAYS[way])))
    message = refused(load_timesteps, file, trap)
    assert str(file) in message and f'{place}.{next(iter(WAYS[way]))}='.lstrip('.') in message


@pytest.mark.parametrize('place', ['', 'arguments', 'photos.0'])
@pytest.mark.parametrize('way', DOTTED)
def test_manifests_import_nothing(trap, way, place):
    record = {'name': 'a', 'split': 'train', 'sha256': '0'}
    document = changed({'arguments': {}, 'photos': [record]}, place, **WAYS[way])
    (trap.folder / 'manifest.json').write_text(json.dumps(document))
    assert 'manifest.json' in refused(read_manifest, trap.folder, trap)


def test_a_list_of_networks_is_looked_up_part_by_part(trap):
    for part in ({**UNET, '_scope_': 'trap_package'}, {'type': 'trap_module'}):
        file = checkpoint_of(changed(CONFIG, 'model.backbone', backbone=[part]), trap.folder, {})
        assert 'trap_' in refused(load_restorer, file, trap)


def test_lookups_by_mmcv_import_nothing(trap, deployed, monkeypatch):
    # A runner that was built here before would have mmcv look it up in our own registry.
    monkeypatch.setattr(DefaultScope, 'get_current_instance', lambda: None)
    for padding in ('trap_module', 'trap_module.function', 'trap_package.Padding'):
        network = dict(type='BuildsLayers', padding=padding)
        layer = dict(type='ConvModule', in_channels=3, out_channels=3, kernel_size=1)
        for hostile in (network, dict(layer, padding_mode=padding)):
            config = changed(CONFIG, 'model.backbone', backbone=hostile)
            file = checkpoint_of(config, trap.folder, {})
            assert str(file) in refused(load_restorer, file, trap)
            save_deployed(deployed, trap.folder / 'a.safetensors', config['model']['backbone'])
            refused(load_deployed, trap.folder / 'a.safetensors', trap)
    with pytest.raises(Exception):  # noqa: B017, PT011 - it is the trap that counts
        MODELS.build(dict(type='BuildsLayers', padding='trap_module'))
    assert trap.sprung, 'outside of a file mmcv imports it: the cases above test nothing'


@pytest.mark.parametrize(
    'name',
    [
        'dtir_mm.models.backbones.dtir_unet.DtirUNet',
        'mmagic.models.editors.nafnet.nafnet_net.NAFNet',
        'mmagic.trap_module',
        'mmagic.DiffusersWrapper',
        'mmpretrain.TIMMBackbone',
        'torch.nn.Conv2d',
        'os.system',
        '.DtirUNet',
        'dtir_mm.models',
        'dtir_mm..DtirUNet',
        '{{ fileDirname }}.DtirUNet',
        'ＤtirUNet',
        'spandrel.ModelLoader',
        'spandrel.trap_module',
        'Identity' * 100_000,
        '',
        None,
        7,
        ['DtirUNet'],
        {'type': 'DtirUNet'},
        True,
    ],
)
def test_invalid_names_are_rejected(trap, name):
    file = checkpoint_of(changed(CONFIG, 'model.backbone.backbone', type=name), trap.folder, {})
    refused(load_restorer, file, trap)


@pytest.mark.parametrize('key', ['a\nb', '\x1b[31m', 'key' * 100_000, '\ud800'])
def test_messages_are_printable_for_any_key(trap, key):
    for update in ({key: WAYS['_scope_']}, {'window': 'x' * 10**6 + '://', key: WAYS['_base_']}):
        config = changed(CONFIG, 'model.backbone.backbone', **update)
        message = refused(load_restorer, checkpoint_of(config, trap.folder, {}), trap)
        assert message.isprintable() and 'trap_' in message


@pytest.mark.parametrize(
    ('place', 'update'),
    [
        ('backbone', dict(type='PublicNetwork', file='weights.pth')),
        ('backbone', dict(type='dtir_mm.PublicNetwork', file='weights.pth')),
        ('backbone', dict(type='Owned', init_cfg=dict(type='Pretrained', checkpoint='a.pth'))),
        ('backbone', dict(type='Owned', init_cfg=[dict(type='mmengine.Pretrained')])),
        ('backbone', dict(type='Owned', window='https://example.org/weights.pth')),
        ('adapters', dict(type='MoEAdapters', sites=['torchvision://resnet18'])),
        ('backbone', dict(type='Restorer', backbone=BACKBONE, timesteps='weights.json')),
    ],
)
def test_files_that_refer_to_other_files_are_rejected(trap, deployed, place, update):
    (trap.folder / 'weights.pth').mkdir()  # reading it would be another error
    config = changed(CONFIG, 'model.backbone', **{place: update})
    file = checkpoint_of(config, trap.folder, {})
    assert f'{file}: model.backbone.{place}.' in (message := refused(load_restorer, file, trap))
    assert 'may not read other files' in message
    save_deployed(deployed, trap.folder / 'a.safetensors', config['model']['backbone'])
    assert 'may not read' in refused(load_deployed, trap.folder / 'a.safetensors', trap)


@pytest.mark.parametrize('levels', [MAX_DEPTH + 1, 1000, 100_000])
@pytest.mark.parametrize('pair', ['[]', '{}'])
def test_deeply_nested_json_is_one_line_in_every_file(trap, deployed, levels, pair):
    opening = '[' if pair == '[]' else '{"a":'
    deep = opening * levels + ('' if pair == '[]' else '1') + pair[1] * levels
    for text in (deep, f'{{"model": {deep}}}'):
        file = checkpoint_of(text, trap.folder, {})
        message = refused(load_restorer, file, trap)
        assert str(file) in message and f'deeper than {MAX_DEPTH} levels' in message
    for key in ('backbone', 'image_range'):
        metadata = {'format': 'dtir_mm.deployed', 'backbone': json.dumps(BACKBONE), key: deep}
        save_file(deployed.state_dict(), trap.folder / 'a.safetensors', metadata)
        assert 'deeper than' in refused(load_deployed, trap.folder / 'a.safetensors', trap)
    (trap.folder / 'steps.json').write_text(f'{{"tasks": {deep}}}')
    assert 'steps.json' in refused(load_timesteps, trap.folder / 'steps.json', trap)
    (trap.folder / 'manifest.json').write_text(f'{{"photos": {deep}}}')
    assert 'manifest.json' in refused(read_manifest, trap.folder, trap)
