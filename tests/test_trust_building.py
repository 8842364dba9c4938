"""Registered classes are built from files; invalid arguments raise one-line errors."""

import copy
import json

import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import Registry as MMEngineRegistry
from safetensors.torch import save_file
from trust_cases import BACKBONE, CONFIG, UNET, Owned, changed, checkpoint_of, refused

from dtir_mm.apis import load_restorer
from dtir_mm.apis.deployment import load_deployed
from dtir_mm.registry import MODELS


def restored_by(network, folder):
    """The class of the network that is restored from a checkpoint file."""
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
def test_registered_networks_are_built(network, name, tmp_path):
    assert restored_by(network, tmp_path) == name


def test_networks_of_other_registries_are_built(tmp_path):
    theirs = MMEngineRegistry('model', parent=ROOT_MODELS, scope='somebody')
    try:
        for registry, name in ((theirs, 'somebody.Theirs'), (ROOT_MODELS, 'InTheRoot')):
            registry.register_module(name=name.rpartition('.')[2], module=Owned)
            assert restored_by(dict(type=name), tmp_path) == 'Owned'
    finally:
        del ROOT_MODELS.children['somebody'], ROOT_MODELS.module_dict['InTheRoot']


def test_trusted_checkpoints_may_import_and_read(trap):
    (trap.folder / 'their_network.py').write_text(
        'from dtir_mm.registry import MODELS\n'
        'from trust_cases import Owned\n'
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


@pytest.mark.parametrize('model', [None, [], 'Restorer', 5])
def test_configs_without_a_model_are_rejected(trap, model):
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
def test_invalid_arguments_are_reported_in_one_line(trap, place, update):
    file = checkpoint_of(changed(CONFIG, place, **update), trap.folder, {})
    assert refused(load_restorer, file, trap).startswith(f'{file}: ')


@pytest.mark.parametrize('values', [[[1], 2], [0, 2], {}, 'x', 5])
def test_invalid_image_ranges_in_deployed_files_are_rejected(trap, values):
    file = trap.folder / 'a.safetensors'
    metadata = {'backbone': json.dumps(BACKBONE), 'image_range': json.dumps(values)}
    save_file({}, file, {'format': 'dtir_mm.deployed', **metadata})
    message = refused(load_deployed, file, trap)
    assert message.startswith(f'{file}: ') and 'image_range' in message
