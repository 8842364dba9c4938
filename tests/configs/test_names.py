"""Names of leaf configs state backbone, stage, task, batch and updates, and match the content."""

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
TASKS = ('hazy', 'rainy', 'snowy', 'low_light')


def runs(prefix: str, backbones: tuple, single: dict, unified: dict) -> set[str]:
    """Names of runs for every backbone, given the stages with their schedules."""
    return {f'{prefix}{backbone}_{stage}_{task}_b16-{updates}' for backbone in backbones
            for stage, updates in single.items() for task in TASKS} | {
            f'{prefix}{backbone}_{stage}_b16-{updates}' for backbone in backbones
            for stage, updates in unified.items()}  # fmt: skip


def test_there_is_a_leaf_for_every_run_of_the_paper():
    single = dict(pretrain='500k', finetune='300k', scratch='300k')
    unified = dict(pretrain='500k', unified='10x100k', joint='1m', scratch='1m', classify='100k')
    found = {p.stem for p in LEAVES if p.parent in (CONFIGS / 'setting_a', CONFIGS / 'setting_b')}
    assert found == runs('', ('dtir-unet', 'nafnet-w64', 'xrestormer'), single, unified)


def test_there_is_a_leaf_for_every_run_of_the_released_code():
    single = dict(pretrain='100k', finetune='500k', scratch='500k')
    unified = dict(pretrain='100k', unified='10x100k', scratch='1m')
    found = {path.stem for path in (CONFIGS / 'released').glob('*.py')}
    assert found == runs('released_', ('nafnet-w48', 'nafnet-w64', 'dtir-unet'), single, unified)


def test_every_leaf_has_a_summary(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # without work_dirs
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


@pytest.mark.parametrize('recipe', ['paper', 'paper_practical'])
def test_stage_3_repeats_stage_2(recipe):
    """Its ablations are three files deep already, so it cannot build on stage 2's file."""
    stages = CONFIGS / '_base_' / 'stages' / recipe
    second, third = (Config.fromfile(stages / f'{name}.py') for name in ('finetune', 'unify'))
    assert list(third.model.pop('backbone')) == ['adapters']
    assert third.model.pop('timesteps') == 'paper'
    third.default_hooks.pop('incremental_tasks')
    assert third.default_hooks.importance.pop('n_batches') == 200
    assert second.default_hooks.importance.pop('n_batches') == 0
    assert third.to_dict() == second.to_dict()


def test_resolved_configs_have_no_variables():
    known = set(known_keys())
    variables = 0
    for path in NAMED:
        variables += bool(set(load(path)) - known)
        assert set(read_config(path)) <= known, path.stem
    assert variables > 50


def test_every_load_from_is_the_work_directory_of_a_leaf():
    assert len(BY_STEM) == len(LEAVES)
    starts = {load(path).get('load_from') for path in LEAVES} - {None}
    assert len(starts) > 20 and starts <= WORK_DIRS.keys()


def test_names_match_the_content():
    wrong = {path.stem: disagreements(path, load(path)) for path in NAMED}
    assert {stem: found for stem, found in wrong.items() if found} == {}


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


def test_the_readme_config_for_your_own_pairs():
    readme = (CONFIGS.parent / 'README.md').read_text()
    code = readme.split('### Your own pairs')[1].split('```python')[1].split('```')[0]
    code = code.replace("'configs/", f"'{CONFIGS}/")
    config = Config.fromstring(code, '.py')
    assert config.model.timesteps == {'foggy': 40}
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert loader.dataset.task == 'foggy' and 'folder' not in loader.dataset
    assert config.global_batch_size == 8
