"""No file runs code by what it names: checkpoints, deployed networks, time steps, manifests."""

import copy
import json

import mmcv.cnn  # noqa: F401 - registers its layers, with which a file could do more
import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import Registry as MMEngineRegistry
from safetensors.torch import save_file
from torch import nn
from trap import TYPES, WAYS

from dtir_mm.apis import load_restorer
from dtir_mm.apis.deployment import deploy, load_deployed, save_deployed
from dtir_mm.datasets.photo_preparation import read_manifest
from dtir_mm.diffusion.timesteps_file import load_timesteps
from dtir_mm.engine.checkpoint import save_checkpoint
from dtir_mm.json_files import MAX_DEPTH
from dtir_mm.registry import MODELS

# A plain name may be a word of anybody's: it is looked up where it is built, and nowhere else.
DOTTED = [way for way in WAYS if way != 'trap_module']

UNET = dict(
    type='DtirUNet', width=8, channel_multipliers=(1, 2), blocks_per_level=(1,), middle_blocks=1,
    attention=False,
)  # fmt: skip
BACKBONE = dict(type='ConditionedBackbone', backbone=UNET, time_embedding=dict(dim=8))
CONFIG = dict(
    model=dict(
        type='dtir_mm.Restorer',
        backbone=BACKBONE,
        head=dict(type='NoiseHead'),
        step=dict(
            objective=dict(type='Reconstruction', losses=dict(pixel=dict(type='L1Loss'))),
            mixing=dict(type='SampleMixing', objective=dict(type='NoisePrediction')),
            regularizers=dict(projection=dict(type='GradientProjection')),
        ),
    ),
    train_dataloader=dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(
            type='CleanPhotosDataset', folder='photos', pipeline=[dict(type='PackSample')]
        ),
    ),
    custom_hooks=[dict(type='PlateauHook')],
    optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
)
META = dict(iter=5, seed=0, precision='fp32', tasks=['rainy'], timesteps={'rainy': 8})
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
class Owned(nn.Module):
    """A network of the user's own, with layers named as OpenMMLab's configs name them."""

    global_skip = True

    def __init__(self, norm_cfg=None, init_cfg=None, window=None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8) if norm_cfg is None else MODELS.build(norm_cfg)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, image):
        return image + self.last(self.norm(self.conv(image)))


@MODELS.register_module()
class BuildsLayers(nn.Module):
    """A network of the user's own that has mmcv look a layer up."""

    def __init__(self, padding: str) -> None:
        super().__init__()
        self.layer = mmcv.cnn.ConvModule(3, 3, 1, padding_mode=padding)


@pytest.fixture(scope='module')
def deployed():
    return deploy(MODELS.build(copy.deepcopy(CONFIG['model'])), 8)


def changed(config, place, **update):
    """A config with other keys at a place such as ``model.step``."""
    config = copy.deepcopy(config)
    part = config
    for key in place.split('.') if place else ():
        part = part[int(key)] if isinstance(part, list) else part[key]
    part.update(update)
    return config


def checkpoint_of(config, folder, weights=None):
    text = config if isinstance(config, str) else json.dumps(config)
    meta = META | {'fixed_timestep': None, 'config_json': text}
    if weights is None:
        weights = MODELS.build(copy.deepcopy(CONFIG['model'])).state_dict()
    save_checkpoint({'meta': meta, 'state_dict': weights}, folder / 'iter_5.pth')
    return folder / 'iter_5.pth'


def refused(load, file, trap):
    """The message with which a file is refused, without that anything was imported."""
    with pytest.raises((ValueError, KeyError, RuntimeError)) as error:
        load(file)
    assert not trap.sprung
    message = str(error.value.args[0])
    assert '\n' not in message and len(message) < 600
    return message


def test_the_trap_is_one(trap):
    """mmengine springs it, for each name."""
    for name in TYPES:
        MMEngineRegistry('test').get(name)
        assert trap.sprung, name
        trap.reset()
    with MMEngineRegistry('test').switch_scope_and_registry('trap_package'):
        assert trap.sprung


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


def test_what_mmcv_looks_up_in_a_network_is_not_imported_either(trap, deployed):
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
def test_names_that_are_none(trap, name):
    file = checkpoint_of(changed(CONFIG, 'model.backbone.backbone', type=name), trap.folder, {})
    refused(load_restorer, file, trap)


@pytest.mark.parametrize('key', ['a\nb', '\x1b[31m', 'key' * 100_000, '\ud800'])
def test_keys_of_a_file_do_not_spoil_the_line(trap, key):
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
def test_what_reads_other_files_is_refused_unread(trap, deployed, place, update):
    (trap.folder / 'weights.pth').mkdir()  # reading it would be another error
    config = changed(CONFIG, 'model.backbone', **{place: update})
    file = checkpoint_of(config, trap.folder, {})
    assert f'{file}: model.backbone.{place}.' in (message := refused(load_restorer, file, trap))
    assert 'may not read other files' in message
    save_deployed(deployed, trap.folder / 'a.safetensors', config['model']['backbone'])
    assert 'may not read' in refused(load_deployed, trap.folder / 'a.safetensors', trap)


def restored_by(network, folder):
    """What the restorer of a checkpoint with that network gives, from its file alone."""
    model = dict(type='Restorer', backbone=dict(BACKBONE, backbone=network))
    weights = MODELS.build(copy.deepcopy(model)).state_dict()
    restorer = load_restorer(checkpoint_of(dict(model=model), folder, weights)).cpu()
    for name, value in restorer.state_dict().items():
        assert torch.equal(value, weights[name]), name
    return type(restorer.backbone.net).__name__


@pytest.mark.parametrize(
    ('network', 'name'),
    [
        (UNET, 'DtirUNet'),
        (dict(UNET, type='dtir_mm.DtirUNet'), 'DtirUNet'),
        (dict(type='mmagic.NAFNet', mid_channels=4, enc_blk_nums=[1], dec_blk_nums=[1]), 'NAFNet'),
        (dict(type='spandrel.NAFNet', width=4, enc_blk_nums=[1], dec_blk_nums=[1]), 'NAFNet'),
        (dict(type='Owned'), 'Owned'),
        (dict(type='Owned', norm_cfg=dict(type='GN', num_groups=2, num_channels=8)), 'Owned'),
        (dict(type='Owned', init_cfg=[dict(type='Kaiming', layer='Conv2d')]), 'Owned'),
        (dict(type='Owned', window=dict(type='shifted', size=8)), 'Owned'),
    ],
)
def test_what_is_registered_is_built(network, name, tmp_path):
    assert restored_by(network, tmp_path) == name


def test_networks_of_the_users_own_registries_are_built(tmp_path):
    theirs = MMEngineRegistry('model', parent=ROOT_MODELS, scope='somebody')
    try:
        for registry, name in ((theirs, 'somebody.Theirs'), (ROOT_MODELS, 'InTheRoot')):
            registry.register_module(name=name.rpartition('.')[2], module=Owned)
            assert restored_by(dict(type=name), tmp_path) == 'Owned'
    finally:
        del ROOT_MODELS.children['somebody'], ROOT_MODELS.module_dict['InTheRoot']


def test_a_checkpoint_that_is_trusted_imports_and_reads(trap):
    (trap.folder / 'their_network.py').write_text(
        'from dtir_mm.registry import MODELS\n'
        'from test_trust import Owned\n'
        'MODELS.register_module(name="Imported", module=Owned)\n'
    )
    config = changed(CONFIG, 'model.backbone', backbone=dict(type='Imported', window='a://b'))
    weights = MODELS.build(changed(CONFIG, 'model.backbone', backbone=dict(type='Owned'))['model'])
    file = checkpoint_of(
        config | {'custom_imports': {'imports': ['their_network']}},
        trap.folder, weights.state_dict(),
    )  # fmt: skip
    assert "wants to import ['their_network']" in refused(load_restorer, file, trap)
    try:
        assert type(load_restorer(file, allow_imports=True).backbone.net) is Owned
        own = trap.folder / 'own.py'
        own.write_text('model = ' + repr(config['model']))
        assert type(load_restorer(file, config=own).backbone.net) is Owned
    finally:
        MODELS.module_dict.pop('Imported', None)


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


@pytest.mark.parametrize('model', [None, [], 'Restorer', 5])
def test_a_config_without_a_model_is_named(trap, model):
    file = checkpoint_of(dict(model=model), trap.folder, {})
    assert f'{file} must have a dict "model"' in refused(load_restorer, file, trap)


@pytest.mark.parametrize(
    ('place', 'update'),
    [
        ('model', dict(unknown=1)),
        ('model', dict(step='abc')),
        ('model', dict(backbone=7)),
        ('model.step', dict(regularizers=[1])),
        ('model.backbone.backbone', dict(width='8')),
        ('model.backbone.backbone', dict(width=-8)),
        ('model.backbone.backbone', dict(width=float('nan'))),
        ('model.backbone.backbone', dict(_delete_=True)),
        ('model.backbone.time_embedding', dict(dim=[])),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(trap, place, update):
    file = checkpoint_of(changed(CONFIG, place, **update), trap.folder, {})
    assert refused(load_restorer, file, trap).startswith(f'{file}: ')


@pytest.mark.parametrize('values', [[[1], 2], [0, 2], {}, 'x', 5])
def test_another_image_range_in_a_deployed_file_is_named(trap, deployed, values):
    file = trap.folder / 'a.safetensors'
    metadata = {'backbone': json.dumps(BACKBONE), 'image_range': json.dumps(values)}
    save_file(deployed.state_dict(), file, {'format': 'dtir_mm.deployed', **metadata})
    message = refused(load_deployed, file, trap)
    assert message.startswith(f'{file}: ') and 'image_range' in message
