"""Errors in a config file name the file and line."""

import sys
from pathlib import Path

import pytest

from dtir_mm.config import override_config, read_config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.mark.parametrize(
    ('text', 'parts'),
    [
        ('a = 1\nb = = 2\n', ['own.py, line 2', 'SyntaxError']),
        ('a = 1\nmodel = dict(tile=tlie)\n', ['own.py, line 2', "name 'tlie' is not defined"]),
        ("_base_ = 'nowhere.py'\n", ['own.py', 'nowhere.py']),
        (
            "_base_ = 'base.py'\nmodel = 3\nmodel = dict(x=1)\n_base_.nothing\n",
            ['own.py', 'nothing'],
        ),
        ("_base_ = ['base.py', 'base.py']\n", ['own.py', 'Duplicate']),
        ("custom_imports = dict(imports=['no.such.module'])\n", ['own.py', 'no.such.module']),
        ("_base_ = 'broken.py'\n", ['broken.py, line 1', 'SyntaxError']),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, parts):
    (tmp_path / 'base.py').write_text("model = dict(type='Restorer', backbone=dict(type='X'))\n")
    (tmp_path / 'broken.py').write_text('x = (\n')
    (tmp_path / 'own.py').write_text(text)
    with pytest.raises(ValueError) as error:
        read_config(tmp_path / 'own.py')
    for part in parts:
        assert part in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_other_files_are_rejected(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such config: .*nowhere.py'):
        read_config(tmp_path / 'nowhere.py')
    (tmp_path / 'x.txt').write_text('a = 1')
    (tmp_path / 'bytes.py').write_bytes(b'\xff\xfe\x00')
    for name in ('x.txt', 'bytes.py'):
        with pytest.raises(ValueError, match=name):
            read_config(tmp_path / name)
    (tmp_path / 'iter_2.pth').write_bytes(b'PK')
    with pytest.raises(ValueError, match=r'iter_2\.pth is not a config.*checkpoint swapped'):
        read_config(tmp_path / 'iter_2.pth')
    (tmp_path / 'deep.json').write_text('{"a": ' + '[' * 100_000 + ']' * 100_000 + '}')
    with pytest.raises(ValueError, match=r'deep\.json: lists or dicts .* too deeply'):
        read_config(tmp_path / 'deep.json')


@pytest.mark.parametrize(
    ('old', 'new', 'options'),
    [
        (
            'setting_a/dtir-unet_scratch_hazy_8xb2-300k',
            'setting_a/dtir-unet_scratch_hazy_b16-300k',
            '',
        ),
        ('setting_b/one_gpu/dtir-unet_joint_1xb16-1m', 'setting_b/dtir-unet_joint_b16-1m', ''),
        (
            'mini/quick_dtir-unet-w16_scratch_low_light_1xb8-3000',
            'mini/quick_dtir-unet-w16_scratch_noisy_b8-1000',
            ' with --cfg-options {train,val,test}_dataloader.dataset.task=low_light '
            'train_cfg.max_iters=3000',
        ),
    ],
)
def test_former_names_of_configs_are_answered_with_new_ones(old, new, options):
    with pytest.raises(FileNotFoundError) as error:
        read_config(CONFIGS / f'{old}.py')
    assert str(error.value).endswith(f'{old}.py; it is now {CONFIGS / new}.py{options}')


@pytest.mark.parametrize(
    ('base', 'answer'),
    [
        (
            'mini/quick_dtir-unet-w16_finetune_noisy_1xb8-1000.py',
            '; it is now {configs}/mini/quick_dtir-unet-w16_finetune_noisy_b8-1000.py',
        ),
        ('_base_/backbones/dtir_unet.py', '; _base_/backbones/ is gone: name the network in model'),
        ('_base_/recipes/setting_b_joint.py', '; _base_/recipes/ is gone: list the bases of stage'),
        ('mini/never.py', 'mini/never.py, which does not exist'),
    ],
)
def test_former_bases_are_answered_with_what_replaces_them(tmp_path, base, answer):
    (tmp_path / 'own.py').write_text(f'_base_ = {str(CONFIGS / base)!r}')
    with pytest.raises(ValueError) as error:
        read_config(tmp_path / 'own.py')
    assert str(error.value).startswith(f'{tmp_path / "own.py"} builds on {CONFIGS / base}')
    assert answer.format(configs=CONFIGS) in str(error.value)


def test_custom_imports_in_options_are_imported(tmp_path, monkeypatch):
    (tmp_path / 'module_of_options.py').write_text('')
    (tmp_path / 'own.py').write_text('')
    monkeypatch.syspath_prepend(tmp_path)
    config = read_config(tmp_path / 'own.py')
    override_config(config, ['custom_imports.imports=[module_of_options]'])
    assert sys.modules.pop('module_of_options')
    with pytest.raises(ValueError, match=r"custom_imports=.*'imports': .*no_such_module") as error:
        override_config(config, ['custom_imports.imports=[no_such_module]'])
    assert len(str(error.value).splitlines()) == 1
