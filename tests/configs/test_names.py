"""A leaf's name states backbone, stage, task, batch and updates, and its content agrees."""

from copy import deepcopy
from pathlib import Path

import pytest
from leaves import (
    BY_STEM,
    CONFIGS,
    EXAMPLES,
    LEAVES,
    WORK_DIRS,
    chain,
    disagreements,
    load,
    parts_of,
)
from mmengine.config import Config

from dtir_mm.analysis import recipe
from dtir_mm.config import read_config
from dtir_mm.config.sections import known_keys

NAMED = [path for path in LEAVES if EXAMPLES not in path.parents]
BACKBONES = ('dtir-unet', 'nafnet-w64', 'xrestormer')
TASKS = ('hazy', 'rainy', 'snowy', 'low_light')
FINETUNE = BY_STEM['dtir-unet_finetune_rainy_b16-300k']


def test_there_is_a_leaf_for_every_run_of_the_paper():
    expected = set()
    for backbone in BACKBONES:
        for task in TASKS:
            expected |= {
                f'{backbone}_pretrain_{task}_b16-500k',
                f'{backbone}_finetune_{task}_b16-300k',
                f'{backbone}_scratch_{task}_b16-300k',
            }
        expected |= {
            f'{backbone}_pretrain_b16-500k',
            f'{backbone}_unified_b16-10x100k',
            f'{backbone}_joint_b16-1m',
            f'{backbone}_scratch_b16-1m',
            f'{backbone}_classify_b16-100k',
        }
    found = {p.stem for p in LEAVES if p.parent in (CONFIGS / 'setting_a', CONFIGS / 'setting_b')}
    assert found == expected


def test_there_is_a_leaf_for_every_run_of_the_released_code():
    expected = set()
    for backbone in ('nafnet-w48', 'nafnet-w64', 'dtir-unet'):
        for task in TASKS:
            expected |= {
                f'released_{backbone}_pretrain_{task}_b16-100k',
                f'released_{backbone}_finetune_{task}_b16-500k',
                f'released_{backbone}_scratch_{task}_b16-500k',
            }
        expected |= {
            f'released_{backbone}_pretrain_b16-100k',
            f'released_{backbone}_unified_b16-10x100k',
            f'released_{backbone}_scratch_b16-1m',
        }
    assert {path.stem for path in (CONFIGS / 'released').glob('*.py')} == expected


def test_every_leaf_has_a_summary(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # away from runs that were made here
    monkeypatch.setattr(recipe, 'count_parameters', lambda model: {'network': 1})
    for path in LEAVES:
        config = load(path)
        lines = dict(recipe.summarize_recipe(config.to_dict(), path.stem))
        assert lines['starts from'] == (config.get('load_from') or 'random weights')
        assert Path(lines['writes to']).name == path.stem
        assert lines['trains on'] and lines['global batch'] and lines['updates']


def test_inheritance_is_at_most_three_files_deep():
    deep = {path.stem: chain(path) for path in LEAVES if len(chain(path)) > 3}
    assert deep == {}
    assert max(len(chain(path)) for path in LEAVES) == 3


def test_what_is_read_has_no_variables():
    """Whatever variables a leaf and its bases use: all keys that remain are read."""
    known = set(known_keys())
    variables = 0
    for path in NAMED:
        variables += bool(set(load(path)) - known)
        assert set(read_config(path)) <= known, path.stem
    assert variables > 50


def test_no_two_runs_share_a_work_directory():
    assert len(BY_STEM) == len(LEAVES)


def test_every_run_starts_from_the_work_directory_of_another():
    starts = {load(path).get('load_from') for path in LEAVES} - {None}
    assert len(starts) > 20 and starts <= WORK_DIRS.keys()


def test_names_and_contents_agree():
    wrong = {path.stem: disagreements(path, load(path)) for path in NAMED}
    assert {stem: found for stem, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ('change', 'disagreement'),
    [
        ({'model.backbone.backbone.width': 48}, 'backbone'),
        ({'model.step.objective.type': 'NoisePrediction'}, 'stage'),
        ({'train_cfg.max_iters': 30_000}, 'updates'),
        ({'global_batch_size': 4}, 'batch'),
        ({'train_dataloader.dataset.task': 'hazy'}, 'task'),
        ({'model.step.micro_batch_size': 1}, 'micro-batches'),
        ({'load_from': None}, 'start'),
        ({'load_from': 'work_dirs/dtir-unet_pretrain_hazy_b16-500k'}, 'start'),
        ({'load_from': 'work_dirs/dtir-unet_pretrain_rainy_b16-300k'}, 'start'),
        ({'load_from': 'work_dirs/nafnet-w64_pretrain_rainy_b16-500k'}, 'start'),
    ],
)
def test_each_disagreement_is_found(change, disagreement):
    config = deepcopy(load(FINETUNE))
    config.merge_from_dict(change)
    assert disagreements(FINETUNE, config) == [disagreement]


FINETUNED = [p for p in NAMED if '_finetune_' in p.stem and {'setting_a', 'released'} & {*p.parts}]


@pytest.mark.parametrize('path', FINETUNED, ids=lambda path: path.stem)
def test_pretraining_uses_only_the_clean_images_of_its_own_source(path):
    pairs = parts_of(load(path).train_dataloader.dataset)
    source = load(BY_STEM[load(path).load_from.removeprefix('work_dirs/')])
    seen = parts_of(source.train_dataloader.dataset)
    assert [part['folder'] for part in seen] == [part['clean'] for part in pairs]


def test_pretraining_for_ten_tasks_uses_the_clean_images_of_all():
    pairs = parts_of(load(BY_STEM['dtir-unet_unified_b16-10x100k']).train_dataloader.dataset)
    seen = parts_of(load(BY_STEM['dtir-unet_pretrain_b16-500k']).train_dataloader.dataset)
    assert len(seen) == 10
    assert {part['folder'] for part in seen} == {part['clean'] for part in pairs}


def test_the_config_of_ones_own_pairs_in_the_readme():
    readme = (CONFIGS.parent / 'README.md').read_text()
    code = readme.split('### Your own pairs')[1].split('```python')[1].split('```')[0]
    code = code.replace("'configs/", f"'{CONFIGS}/")
    config = Config.fromstring(code, '.py')
    assert config.model.timesteps == {'foggy': 40}
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert loader.dataset.task == 'foggy' and 'folder' not in loader.dataset
    assert config.global_batch_size == 8
