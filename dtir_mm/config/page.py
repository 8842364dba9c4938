"""The config schema as a page: the keys of each section and class."""

from collections.abc import Iterator, Mapping
from typing import Any

_HEAD = """# Config reference

Generated from docstrings by `python tools/config_schema.py`: do not edit this page. For editors
there is [config.schema.json](config.schema.json): in VS Code, map it to your `.yaml` or `.json`
configs with `yaml.schemas` or `json.schemas`.

An unknown key is an error before anything is built, and the message names the nearest known one.
Classes of mmengine, torch, mmagic, spandrel or your own take the arguments of their signatures.
A config may define variables that its files use, or whose names begin with an underscore. They are
dropped once the config is read, so `--cfg-options` cannot set them.

## Top level

"""


def config_page(schema: Mapping[str, Any]) -> str:
    """The page, in Markdown."""
    lines = [*_table(schema['properties'], set())]
    for name, definition in schema['$defs'].items():
        if 'anyOf' in definition:
            known = [part['$ref'].rpartition('/')[-1] for part in definition['anyOf'][:-1]]
            lines += [
                '',
                f'## {name}',
                '',
                f'`type` is one of: {", ".join(known)}; or a class of another package.',
            ]
        else:
            lines += ['', f'## {name}', '', definition['description'], '']
            lines += _table(definition['properties'], set(definition['required']))
    return _HEAD + '\n'.join(lines) + '\n'


def _table(properties: Mapping[str, Any], required: set[str]) -> Iterator[str]:
    rows = [
        (f'`{key}`{" (required)" * (key in required)}', _accepted(of), of.get('description', ''))
        for key, of in properties.items()
        if key != '_delete_' and 'const' not in of
    ]
    if not rows:
        yield 'No keys.'
        return
    yield '| Key | Value | |'
    yield '|---|---|---|'
    for row in rows:
        yield f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in row)} |'


def _accepted(value: Mapping[str, Any]) -> str:
    """The accepted values, with the default."""
    if 'anyOf' in value:
        return value['anyOf'][0]['$ref'].rpartition('/')[-1]
    if 'additionalProperties' in value:
        parts = value['additionalProperties']['anyOf']
        return f'by name: {parts[0]["$ref"].rpartition("/")[-1]}'
    kinds = value.get('type', '')
    text = kinds if isinstance(kinds, str) else ' or '.join(kinds)
    return f'{text} = {value["default"]!r}' if 'default' in value else text
