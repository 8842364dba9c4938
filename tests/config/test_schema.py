"""The schema in docs matches the code and accepts the configs of the repository."""

import json
import sys
from pathlib import Path

import pytest

import dtir_mm.apis  # noqa: F401  registers the classes
from dtir_mm.config.page import config_page
from dtir_mm.config.schema import config_schema
from dtir_mm.config.sections import known_keys

sys.path.insert(0, str(Path(__file__).parents[1] / 'configs'))
from leaves import BY_STEM, load

DOCS = Path(__file__).parents[2] / 'docs'
SCHEMA = json.loads((DOCS / 'config.schema.json').read_text())
KINDS = {'boolean': bool, 'integer': int, 'number': (int, float), 'string': str, 'null': type(None)}
KINDS |= {'array': list, 'object': dict}


def accepts(schema: dict, value: object) -> bool:
    """Whether a value is valid, for the subset of JSON schema that ours uses."""
    if '$ref' in schema:
        return accepts(SCHEMA['$defs'][schema['$ref'].removeprefix('#/$defs/')], value)
    if 'anyOf' in schema and not any(accepts(part, value) for part in schema['anyOf']):
        return False
    kinds = schema.get('type', [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, KINDS[kind]) for kind in kinds):
        return False
    if isinstance(value, list):
        return all(accepts(schema.get('items', {}), each) for each in value)
    if not isinstance(value, dict):
        return True
    return _accepts_keys(schema, value)


def _accepts_keys(schema: dict, value: dict) -> bool:
    known, others = schema.get('properties', {}), schema.get('additionalProperties', True)
    for key, each in value.items():
        rule = known.get(key, others)
        if key not in known and 'patternProperties' in schema and key.startswith('_'):
            continue
        if 'const' in (rule if isinstance(rule, dict) else {}) and each != rule['const']:
            return False
        if isinstance(rule, dict) and each in rule.get('not', {}).get('enum', ()):
            return False
        if rule is False or isinstance(rule, dict) and not accepts(rule, each):
            return False
    return all(key in value for key in schema.get('required', ()))


def test_docs_are_up_to_date():
    """``python tools/config_schema.py`` updates them."""
    assert config_schema() == SCHEMA
    assert SCHEMA['properties'].keys() == set(known_keys())
    assert (DOCS / 'config.md').read_text() == config_page(SCHEMA)


def as_data(stem: str) -> dict:
    """A config as JSON, without variables."""
    config = json.loads(json.dumps(load(BY_STEM[stem]).to_dict()))
    return {key: value for key, value in config.items() if not key.startswith('_')}


@pytest.mark.parametrize(
    'stem',
    [
        'dtir-unet_finetune_rainy_b16-300k',
        'nafnet-w64_unified_b16-10x100k',
        'xrestormer_classify_b16-100k',
        'released_nafnet-w48_finetune_rainy_b16-500k',
        'quick_dtir-unet-w16_pretrain_b8-2000',
    ],
)
def test_configs_are_valid(stem):
    assert accepts(SCHEMA, as_data(stem))


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('load_form', 'x'),
        ('model.tlie', 32),
        ('model.tile', 'big'),
        ('model.step.objectiv', None),
        ('train_cfg.max_iter', 9),
        ('train_dataloader.dataset.degraded', 3),
        ('model.type', 3),
    ],
)
def test_unknown_keys_and_wrong_types_are_invalid(path, value):
    config = as_data('dtir-unet_finetune_rainy_b16-300k')
    *parts, last = path.split('.')
    section = config
    for part in parts:
        section = section[part]
    section[last] = value
    assert not accepts(SCHEMA, config)
