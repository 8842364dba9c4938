"""Every ablation leaf changes what its row of the table allows, and nothing else."""

from pathlib import Path

import pytest
from mmengine.config import Config

from dtir_mm.analysis.ablations import ABLATIONS, SWEEPS, changed_keys

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
TASKS = ('hazy', 'rainy', 'snowy', 'low_light')
LEAVES = sorted((CONFIGS / 'ablations').glob('*.py')) + sorted(
    (CONFIGS / 'mini' / 'ablations').glob('*.py')
)


def base_of(leaf: Path) -> Path:
    """The config that a leaf ablates, by its name alone."""
    head, _, tail = leaf.stem.partition('_wo-')
    row = next(name for name in ABLATIONS if tail.startswith(f'{name}_'))
    folder = 'mini' if leaf.parent.parent.name == 'mini' else 'setting_a'
    return CONFIGS / folder / f'{head}{tail.removeprefix(row)}.py'


def row_of(leaf: Path) -> str:
    tail = leaf.stem.partition('_wo-')[2]
    return next(name for name in ABLATIONS if tail.startswith(f'{name}_'))


def load(path: Path) -> dict:
    return Config.fromfile(path).to_dict()


def test_there_is_a_leaf_for_every_row_and_task():
    names = {leaf.name for leaf in LEAVES}
    for row in ABLATIONS:
        for task in TASKS:
            assert f'dtir-unet_finetune_{task}_wo-{row}_8xb2-300k.py' in names
        assert f'pilot_dtir-unet-w32_finetune_rainy_wo-{row}_1xb16-2500.py' in names
    assert len(names) == len(ABLATIONS) * (len(TASKS) + 1)


@pytest.mark.parametrize('leaf', LEAVES, ids=lambda leaf: leaf.stem)
def test_a_leaf_changes_only_what_its_row_may(leaf):
    changed = changed_keys(load(leaf), load(base_of(leaf)))
    allowed = ABLATIONS[row_of(leaf)].keys
    assert changed
    for key in changed:
        assert any(key == a or key.startswith(f'{a}.') for a in allowed), key
    untouched = [a for a in allowed if not any(k == a or k.startswith(f'{a}.') for k in changed)]
    assert not untouched, f'{leaf.name} leaves {untouched} as they were'


def test_keys_are_found_at_any_depth():
    base = {'a': {'b': 1, 'c': {'d': 2, 'e': [1]}}, 'f': 3}
    config = {'a': {'b': 1, 'c': {'d': 5, 'e': [1, 2]}}, 'g': 3}
    assert changed_keys(config, base) == {'a.c.d', 'a.c.e', 'f', 'g'}
    assert changed_keys({'a': None}, {'a': {'b': 1}}) == {'a'}
    assert changed_keys(base, base) == set()


@pytest.mark.parametrize('sweep', SWEEPS)
def test_a_sweep_varies_a_key_that_the_full_recipe_has(sweep):
    key, values = SWEEPS[sweep]
    path = CONFIGS / 'setting_a' / 'dtir-unet_finetune_rainy_8xb2-300k.py'
    results = []
    for value in values:
        config = Config.fromfile(path)
        config.merge_from_dict({key: value})
        results.append(changed_keys(config.to_dict(), load(path)))
    assert all(changed <= {key} for changed in results)
    assert sum(not changed for changed in results) <= 1  # the recipe's own value
