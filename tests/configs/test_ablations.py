"""Every ablation config changes exactly the keys of its row in the table."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from paper_ablations import (
    ABLATIONS,
    SWEEPS,
    UNIFIED_ABLATIONS,
    UNIFIED_SWEEPS,
    changed_keys,
)

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
TASKS = ('hazy', 'rainy', 'snowy', 'low_light')
LEAVES = sorted((CONFIGS / 'ablations').glob('*.py')) + sorted(
    (CONFIGS / 'mini' / 'ablations').glob('*.py')
)
UNIFIED = CONFIGS / 'setting_b' / 'dtir-unet_unified_b16-10x100k.py'
# Leaves of sweeps over several tasks: (part of the name, sweep, value).
VARIED = [(f'order-{order}', 'order of the tasks', order) for order in ('desc', 'random')]
VARIED += [(f'experts-{number}', 'Figure 8: N_E', number) for number in (1, 5, 20)]


def base_of(leaf: Path) -> Path:
    """The config that a leaf ablates, from its name."""
    row = re.search(r'_(wo-\w+?|order-\w+?|experts-\d+)_(?=b\d)', leaf.name)[0]
    name = leaf.name.replace(row, '_')
    if leaf.parent.parent.name == 'mini':
        return CONFIGS / 'mini' / name
    return CONFIGS / ('setting_b' if 'unified' in name else 'setting_a') / name


def row_of(leaf: Path) -> str:
    return re.search(r'_wo-(\w+?)_(?=b\d)', leaf.name)[1]


def load(path: Path) -> dict:
    return Config.fromfile(path).to_dict()


def is_below(key: str, allowed: str) -> bool:
    return key == allowed or key.startswith(f'{allowed}.')


def test_there_is_a_leaf_for_every_row_and_task():
    expected = {
        f'dtir-unet_finetune_{task}_wo-{row}_b16-300k.py' for row in ABLATIONS for task in TASKS
    }
    for part in [f'wo-{row}' for row in UNIFIED_ABLATIONS] + [part for part, _, _ in VARIED]:
        expected.add(f'dtir-unet_unified_{part}_b16-10x100k.py')
        expected.add(f'unified_dtir-unet-w16_{part}_b8-10x300.py')
    assert sorted(leaf.name for leaf in LEAVES) == sorted(expected)


@pytest.mark.parametrize(
    'leaf', [leaf for leaf in LEAVES if '_wo-' in leaf.name], ids=lambda leaf: leaf.stem
)
def test_a_leaf_changes_only_what_its_row_may(leaf):
    changed = changed_keys(load(leaf), load(base_of(leaf)))
    table = UNIFIED_ABLATIONS if 'unified' in leaf.name else ABLATIONS
    allowed = table[row_of(leaf)].keys
    assert changed
    for key in changed:
        assert any(is_below(key, a) for a in allowed), key
    untouched = [a for a in allowed if not any(is_below(k, a) for k in changed)]
    assert not untouched, f'{leaf.name} leaves {untouched} as they were'


@pytest.mark.parametrize(('part', 'sweep', 'value'), VARIED)
def test_a_leaf_of_a_sweep_changes_only_its_key(part, sweep, value):
    key, values = UNIFIED_SWEEPS[sweep]
    leaves = [leaf for leaf in LEAVES if part in leaf.name]
    assert len(leaves) == 2 and value in values
    for leaf in leaves:
        config = Config.fromfile(leaf)
        assert changed_keys(config.to_dict(), load(base_of(leaf))) == {key}
        assert config.get(key.split('.')[0]) and _get(config, key) == value


def _get(config: Config, key: str) -> object:
    for part in key.split('.'):
        config = config[part]
    return config


def test_keys_are_found_at_any_depth():
    base = {'a': {'b': 1, 'c': {'d': 2, 'e': [1]}}, 'f': 3}
    config = {'a': {'b': 1, 'c': {'d': 5, 'e': [1, 2]}}, 'g': 3}
    assert changed_keys(config, base) == {'a.c.d', 'a.c.e', 'f', 'g'}
    assert changed_keys({'a': None}, {'a': {'b': 1}}) == {'a'}
    assert changed_keys(base, base) == set()


@pytest.mark.parametrize('sweep', [*SWEEPS, *UNIFIED_SWEEPS])
def test_a_sweep_varies_a_key_that_the_full_recipe_has(sweep):
    key, values = {**SWEEPS, **UNIFIED_SWEEPS}[sweep]
    path = CONFIGS / 'setting_a' / 'dtir-unet_finetune_rainy_b16-300k.py'
    path = UNIFIED if sweep in UNIFIED_SWEEPS else path
    results = []
    for value in values:
        config = Config.fromfile(path)
        config.merge_from_dict({key: value})
        results.append(changed_keys(config.to_dict(), load(path)))
    assert all(is_below(found, key) for changed in results for found in changed)
    assert sum(not changed for changed in results) <= 1  # the recipe's own value
