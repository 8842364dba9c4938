"""The config as a JSON schema, from the table of sections, signatures and docstrings.

Editors use it to check and complete YAML and JSON.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dtir_mm.config.arguments import arguments_of, descriptions, is_ours, plain_types
from dtir_mm.config.sections import ARGUMENTS, SECTIONS, VALUES, Built, looked_up

_NULL = {'type': 'null'}
_FOREIGN = 'Takes the arguments of the function or class of this name in mmengine or torch.'
_JSON = {
    bool: 'boolean',
    int: 'integer',
    float: 'number',
    str: 'string',
    type(None): 'null',
    Sequence: 'array',
    Mapping: 'object',
}


def config_schema() -> dict[str, Any]:
    """The schema of a config: its sections, and our classes in each."""
    definitions: dict[str, Any] = {}
    properties = {
        key: {**_type(annotation), 'description': said}
        for key, (annotation, said) in VALUES.items()
    }
    for key, (built, said) in SECTIONS.items():
        properties[key] = {**_built(built, definitions), 'description': said}
    return {
        '$schema': 'https://json-schema.org/draft/2020-12/schema',
        'title': 'A config of dtir_mm',
        'type': 'object',
        'properties': dict(sorted(properties.items())),
        'patternProperties': {'^_': {'description': 'a variable'}},
        'additionalProperties': False,
        '$defs': dict(sorted(definitions.items())),
    }


def _built(built: Built, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that something is built from."""
    one = {'$ref': f'#/$defs/{_define_any(built, definitions)}'}
    if built.named:
        return {'type': ['object', 'null'], 'additionalProperties': {'anyOf': [one, _NULL]}}
    return {'anyOf': [one, {'type': 'array', 'items': one}, {'type': ['null', 'boolean']}]}


def _define_any(built: Built, definitions: dict[str, Any]) -> str:
    """Defines everything that a value may be built into; returns the name of the definition."""
    choices = dict(_choices(built))
    names = [_define(name, function, built, definitions) for name, function in choices.items()]
    if not built.by_type:
        return names[0]
    name = f'any {getattr(built.by_type[0], "name", "schedule")}'
    if built.default is not None:
        name += f', {getattr(built.default, "__name__", built.default)} by default'
    # Besides ours, a class of another package or of the user.
    other = {
        'properties': {'type': {'type': 'string', 'not': {'enum': sorted(choices)}}},
        'required': ['type'],
    }
    refs = [{'$ref': f'#/$defs/{each}'} for each in names]
    required = [] if built.default else ['type']
    definitions[name] = {'anyOf': [*refs, other], 'required': required}
    return name


def _choices(built: Built) -> Iterator[tuple[str, Callable]]:
    """Names and classes that a value may be built into, if their arguments are known."""
    if not built.by_type:
        assert callable(built.default)
        yield built.default.__name__.strip('_'), built.default
        return
    default = built.default if isinstance(built.default, str) else None
    names = [name for place in built.by_type for name in getattr(place, 'module_dict', place)]
    for name in sorted({*names, *([default] if default else ())}):
        function = looked_up(built, name)
        if inspect.isclass(function) and (is_ours(function) or name == default):
            yield name, function
    if callable(built.default):
        yield built.default.__name__, built.default


def _define(name: str, function: Callable, built: Built, definitions: dict[str, Any]) -> str:
    """Defines a class with its arguments; returns the name of the definition."""
    if name in definitions:
        return name
    definitions[name] = {}  # it may contain itself, as data sets do
    arguments, said = arguments_of(function), descriptions(function)
    properties: dict[str, Any] = {}
    for key, parameter in arguments.known.items():
        if key in built.given or not (is_ours(function) or key in ARGUMENTS):
            continue  # arguments of other packages depend on their version
        value = _type(parameter.annotation)
        if key in ARGUMENTS:
            value = _built(ARGUMENTS[key], definitions)
        properties[key] = {**value, 'description': said.get(key, '')}
        if isinstance(parameter.default, bool | int | float | str):
            properties[key]['default'] = parameter.default
    for key in built.besides:
        nested = _built(ARGUMENTS[key], definitions) if key in ARGUMENTS else {}
        properties.setdefault(key, nested)
    required = [key for key in arguments.required if key in properties]
    if built.by_type:
        properties['type'] = {'const': name}
    about = inspect.cleandoc(function.__doc__ or '') if is_ours(function) else _FOREIGN
    definitions[name] = {
        'type': 'object',
        'description': ' '.join(about.split('\n\n')[0].split()),
        'properties': {**properties, '_delete_': {'type': 'boolean'}},
        'required': required,
        'additionalProperties': arguments.open or not is_ours(function),
    }
    return name


def _type(annotation: Any) -> dict[str, Any]:
    accepted = plain_types(annotation)
    if accepted is None:
        return {}
    names = [_JSON[kind] for kind in dict.fromkeys(accepted)]
    return {'type': names[0] if len(names) == 1 else names}
