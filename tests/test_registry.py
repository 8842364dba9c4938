"""Registries find our classes, mmagic's and the user's, and explain unknown names."""

import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from mmengine.registry import Registry as MMEngineRegistry
from trap import TYPES

from dtir_mm import registry
from dtir_mm.registry import HOOKS, MODELS

ROOT = Path(__file__).resolve().parents[1]
TINY_UNET = {'width': 8, 'channel_multipliers': (1, 2), 'blocks_per_level': (1,)}
TINY_NAFNET = {'mid_channels': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}


@pytest.mark.parametrize(
    ('wrong', 'closest'),
    [
        ('DtirUnet', 'DtirUNet'),
        ('mmagic.NafNet', 'mmagic.NAFNet'),
        ('CharbonnierLos', 'CharbonnierLoss'),
    ],
)
def test_unknown_names_suggest_the_closest_and_custom_imports(wrong, closest):
    with pytest.raises(KeyError) as error:
        MODELS.build({'type': wrong})
    message = str(error.value)
    assert wrong in message
    assert message.split('Closest: ')[1].startswith(closest)
    assert 'custom_imports = dict(imports=[' in message


def test_unknown_mmagic_names_are_rejected_before_importing_it():
    code = "from dtir_mm.registry import MODELS; MODELS.build(dict(type='mmagic.NafNet'))"
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert 'Closest: mmagic.NAFNet' in result.stderr.splitlines()[-1]


def test_unknown_names_without_a_close_match_suggest_none():
    with pytest.raises(KeyError, match='custom_imports') as error:
        HOOKS.build({'type': 'Zzzzzz'})
    assert 'Closest' not in str(error.value)


def test_mmagic_names_are_suggested_only_for_models():
    with pytest.raises(KeyError) as error:
        HOOKS.build({'type': 'NAFNet'})
    assert 'mmagic.NAFNet' not in str(error.value)


def test_mmagic_networks_are_found_on_first_use():
    network = MODELS.build({'type': 'mmagic.NAFNet', **TINY_NAFNET})
    assert type(network).__module__ == 'mmagic.models.editors.nafnet.nafnet_net'
    assert type(network).__name__ == 'NAFNet'


def test_classes_are_found_by_their_plain_name_and_by_class():
    unet = MODELS.get('DtirUNet')
    assert MODELS.get('dtir_mm.DtirUNet') is unet
    assert isinstance(MODELS.build({'type': unet, **TINY_UNET}), unet)


def test_child_registries_see_our_classes_and_their_own():
    mine = MMEngineRegistry('model', parent=ROOT_MODELS, scope='somebody')
    try:

        @mine.register_module()
        class TheirNet:
            pass

        unet = mine.build({'type': 'dtir_mm.DtirUNet', **TINY_UNET})
        assert type(unet).__module__ == 'dtir_mm.models.backbones.dtir_unet'
        # Independent of the scope that an earlier run set.
        with DefaultScope.overwrite_default_scope('somebody'):
            assert isinstance(mine.build({'type': 'TheirNet'}), TheirNet)
        assert MODELS.get('somebody.TheirNet') is TheirNet
    finally:
        del ROOT_MODELS.children['somebody']


def test_the_root_and_another_default_scope_build_ours():
    network = ROOT_MODELS.build({'type': 'dtir_mm.DtirUNet', **TINY_UNET})
    assert type(network).__name__ == 'DtirUNet'
    with DefaultScope.overwrite_default_scope('mmengine'):
        assert type(MODELS.build({'type': 'dtir_mm.DtirUNet', **TINY_UNET})).__name__ == 'DtirUNet'


@pytest.mark.parametrize(
    'name', [name for name, value in vars(registry).items() if isinstance(value, registry.Registry)]
)
def test_registries_are_children_of_the_roots(name):
    child = getattr(registry, name)
    assert child.scope == 'dtir_mm'
    assert child.parent is getattr(registry.mmengine_registry, name, None)  # CRITERIA has none


@pytest.mark.parametrize('name', ['subprocess.getoutput', 'os.system', 'torch.hub.load'])
def test_unregistered_names_are_neither_imported_nor_called(name):
    """mmengine resolves any dotted name, and a config may come out of a stranger's checkpoint."""
    assert MMEngineRegistry('test').get(name) is not None
    assert MODELS.get(name) is None and HOOKS.get(name) is None
    with pytest.raises(KeyError, match='is not registered in the model registry'):
        MODELS.build({'type': name})


def test_other_registries_are_found_by_scope():
    assert HOOKS.get('mmengine.EMAHook') is HOOKS.get('EMAHook') is not None
    assert MODELS.get('dtir_mm.DtirUNet') is ROOT_MODELS.get('dtir_mm.DtirUNet')
    assert MODELS.get('mmagic.NAFNet').__name__ == 'NAFNet'


@pytest.mark.parametrize('name', TYPES)
def test_no_name_is_imported(trap, name):
    assert MODELS.get(name) is None and HOOKS.get(name) is None and name not in MODELS
    for config in ({'type': name}, [{'type': name}]):
        with pytest.raises(KeyError, match='is not registered in the model registry'):
            MODELS.build(config)
    assert not trap.sprung


@pytest.mark.parametrize('wrap', [lambda config: config, lambda config: [config]])
def test_a_scope_is_looked_up_and_not_imported(trap, wrap):
    for name in ('NAFNet', 'mmagic.NAFNet'):
        network = MODELS.build(wrap({'type': name, '_scope_': 'mmagic', **TINY_NAFNET}))
        kinds = {type(module).__module__ for module in network.modules()}
        assert 'mmagic.models.editors.nafnet.nafnet_net' in kinds
    with pytest.raises(KeyError, match=r'trap_package\.DtirUNet.* is not registered'):
        MODELS.build(wrap({'type': 'DtirUNet', '_scope_': 'trap_package', **TINY_UNET}))
    unet = MODELS.get('DtirUNet')
    MODELS.build({'type': unet, '_scope_': 'trap_package', **TINY_UNET})
    default = {'type': 'DtirUNet', **TINY_UNET}
    MODELS.build({'_scope_': 'trap_package'}, default_args=default)
    assert not trap.sprung


def test_errors_stay_short():
    with pytest.raises(KeyError) as error:
        MODELS.build({'type': 'Long' * 100_000})
    assert len(str(error.value)) < 500


@pytest.mark.parametrize('name', [None, 7, b'DtirUNet', ['DtirUNet']])
def test_names_must_be_strings(name):
    with pytest.raises(TypeError, match='must be a'):
        MODELS.build({'type': name})
    with pytest.raises(TypeError, match='must be a string'):
        MODELS.get(name)


def test_scopes_are_those_of_all_registries():
    MODELS.get('DtirUNet')
    assert {'mmengine', 'dtir_mm', 'spandrel'} <= registry.scopes()
    below = MMEngineRegistry('model', parent=MODELS, scope='somebody')
    try:
        MMEngineRegistry('model', parent=below, scope='somebody_else')
        assert {'somebody', 'somebody_else'} <= registry.scopes()
    finally:
        del MODELS.children['somebody']
    assert 'somebody' not in registry.scopes()
