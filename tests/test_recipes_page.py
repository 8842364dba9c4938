"""docs/recipes.md matches the configs: every value in a column "ours" is compared."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from dtir_mm import registry
from dtir_mm.diffusion.noise_schedule import SCHEDULES
from dtir_mm.models.conditioning.moe_adapters import MoEAdapters
from dtir_mm.models.conditioning.time_embedding import TimeEmbedding

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs' / 'recipes.md').read_text()
MARKS = {'stated', 'silent: we chose', 'open: we chose'}
# Arguments without a type, and the classes that take them.
UNTYPED = {'model.backbone.adapters': MoEAdapters, 'model.backbone.time_embedding': TimeEmbedding}
REGISTRIES = [r for r in vars(registry).values() if isinstance(r, registry.Registry)]


def rows() -> list[tuple[str, str, str, str]]:
    """(config, key, ours, mark) of every row of the page."""
    found = []
    for section in PAGE.split('\n## ')[1:]:
        config = re.search(r'`([^`]+)`', section.splitlines()[0])[1]
        lines = [line for line in section.splitlines() if line.startswith('| ')][1:]
        for line in lines:
            _, _, _, ours, key, mark = (cell.strip() for cell in line.strip('|').split('|'))
            found.append((config, key.strip('`'), ours.strip('`'), mark))
    return found


@cache
def load(config: str) -> dict:
    return Config.fromfile(ROOT / 'configs' / f'{config}.py').to_dict()


def resolved(config: dict, key: str) -> Any:
    """What a key of a config holds, or is by the default of the class that takes it."""
    node: Any = config
    parts = key.split('.')
    for i, part in enumerate(parts):
        if isinstance(node, list):
            node = node[int(part)]
        elif part in (node or {}):
            node = node[part]
        else:
            node = default('.'.join(parts[:i]), node, part)
    return node


def default(path: str, node: dict | None, name: str) -> Any:
    """The default of an argument ``name`` of the class that ``node`` configures."""
    if path == 'default_hooks':
        return None  # there is no such hook
    name_of_type = (node or {}).get('type')
    kind = SCHEDULES.get(name_of_type) or next(
        (found for r in REGISTRIES if name_of_type and (found := r.get(name_of_type))), None
    )
    kind = kind or UNTYPED[path]
    for parent in kind.__mro__:  # arguments may be handed on to a parent
        parameters = inspect.signature(parent).parameters
        if name in parameters:
            return parameters[name].default
    raise KeyError(f'{path} and {kind.__name__} have no {name!r}')


@pytest.mark.parametrize(('config', 'key', 'ours', 'mark'), rows(), ids=lambda value: str(value))
def test_rows_match_the_configs(config, key, ours, mark):
    held = resolved(load(config), key)
    stated = ast.literal_eval(ours)
    assert (held, type(held)) == (stated, type(stated))
    assert mark in MARKS


def test_every_stage_and_term_has_its_rows():
    found = rows()
    assert len(found) > 80 and len({config for config, *_ in found}) == 9
    marks = [mark for *_, mark in found]
    assert all(marks.count(mark) > 8 for mark in MARKS)
