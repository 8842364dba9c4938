"""Configs are found by name, but a file of that name comes first."""

from pathlib import Path

import pytest

from dtir_mm.config import read_config
from dtir_mm.named_configs import FOLDER, config_names, config_path

NAME = 'setting_a/dtir-unet_finetune_rainy_b16-300k'


def test_every_config_has_a_name():
    names = config_names()
    assert NAME in names and not any('_base_' in name for name in names)
    tracked = Path(__file__).resolve().parents[1] / 'configs'
    assert len(names) == sum('_base_' not in path.parts for path in tracked.rglob('*.py'))
    assert all(config_path(name) == FOLDER / f'{name}.py' for name in names[::50])


@pytest.mark.parametrize('name', [NAME, f'{NAME}.py', f'configs/{NAME}.py'])
def test_names_work_in_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read_config(name)
    assert config.filename == str(FOLDER / f'{NAME}.py')
    assert config.train_dataloader.dataset.degraded == 'data/Rain100L/train/LQ'  # of this folder
    own = tmp_path / name
    own.parent.mkdir(parents=True)
    own.write_text('')
    assert config_path(name) == Path(name)  # the file here comes first
    if own.suffix:
        assert not read_config(name)


@pytest.mark.parametrize(
    ('name', 'answer'),
    [
        (NAME.replace('rainy', 'rany'), f'; nearest: {NAME}'),
        (f'configs/{NAME.replace("setting_a", "seting_a")}.py', f'; nearest: {NAME}'),
        (NAME.replace('_b16', '_8xb2'), f'; it is now {NAME}'),
        ('mine.py', '; `dtir-mm configs` lists those of dtir_mm'),
        ('x' * 5000, '; `dtir-mm configs` lists those of dtir_mm'),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(name, answer):
    with pytest.raises(FileNotFoundError) as error:
        read_config(name)
    assert str(error.value) == f'no such config: {name}{answer}'
