"""Builds from untrusted files, which may name only data and registered classes.

Checkpoints and deployed networks contain configs; files of time steps and manifests contain names.
Our registries never import a name (``registry.py``). This module refuses names of code before
anything is built, and restricts the look-ups of mmengine and mmcv during building.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.config.utils import MODULE2PACKAGE as OPENMMLAB
from mmengine.utils import import_modules_from_strings

from dtir_mm import compat
from dtir_mm.registry import DATASETS, SHOWN, TRANSFORMS, cut_short, scopes

# Keys by which mmengine imports code or reads other files.
_CODE_KEYS = ('_scope_', '_base_', 'custom_imports')
# Registered classes that read or download another file.
_READING = ('PublicNetwork', 'Pretrained')
# By these, mmengine imports clients of file backends.
_BACKEND_KEYS = ('backend_args', 'file_client_args')
# Their data sets unpickle annotations, and read from any backend.
_FOREIGN_DATA = ('mmengine', 'mmcv', 'mmagic')
_OTHERWISE = 'A checkpoint that you trust goes with --allow-imports or your own --config'


def import_if_allowed(config: Mapping[str, Any], allowed: bool, source: object) -> None:
    """Imports the modules in a checkpoint's config, or makes sure that it names no code.

    Args:
        config: the whole config.
        allowed: whether the user trusts its source.
        source: the file, for messages.

    Raises:
        ImportError: a module cannot be imported.
        ValueError: it names code, which is not allowed.
    """
    imports = config.get('custom_imports') or {}
    modules = imports.get('imports') if isinstance(imports, Mapping) else imports
    if modules and not allowed:
        raise ValueError(
            f'the config in {source} wants to import {_shown(modules)}. Allow it (--allow-imports) '
            f'if you trust its source, or name your own config (--config)'
        )
    if modules:
        import_modules_from_strings(modules)
    elif not allowed:
        named = {key: value for key, value in config.items() if key != 'custom_imports'}
        refuse_code(named, source)


def refuse_code(data: Any, source: object) -> None:
    """Refuses names of code, at any depth of a file's content.

    Args:
        data: dicts, lists and plain values.
        source: the file, for the message.

    Raises:
        ValueError: a key is ``_scope_``, ``_base_`` or ``custom_imports``, or a ``type`` has an
            unknown scope; the message names key and value.
    """
    for path, name, value in _nested(data):
        if name in _CODE_KEYS:
            raise _refused(source, path, value, 'a file may not name code')
        if name == 'type' and isinstance(value, str) and not _is_registrable(value):
            known = *sorted(_scopes()), *(f'mmagic.{network}' for network in compat.MMAGIC_MODULES)
            why = (
                f'a file may name what is registered, by its plain name or with a scope '
                f'({", ".join(known)})'
            )
            raise _refused(source, path, value, why)


@contextmanager
def building(part: Any, key: str, source: object, trusted: bool = False) -> Iterator[None]:
    """Context in which a part of a file's content is built without imports or reading files.

    Args:
        part: dicts, lists and plain values that ``refuse_code`` accepts.
        key: its name in the whole config, for messages.
        source: the file, for messages.
        trusted: whether the user trusts it; then nothing is checked.

    Raises:
        KeyError: a class is not registered.
        ValueError: it names an address, or something that reads other files ("PublicNetwork",
            "Pretrained", a file of time steps); or building it raised any error.
    """
    if trusted:
        yield
        return
    _refuse_reading(part, key, source)
    with compat.names_are_not_imported():
        try:
            yield
        except (ImportError, OSError):
            raise
        except KeyError as error:
            raise KeyError(f'{source}: {error.args[0]}') from error
        except ValueError as error:
            raise ValueError(f'{source}: {error}') from error
        except Exception as error:
            reason = ' '.join(str(error).split()) or repr(error)
            raise ValueError(f'{source}: its {key} cannot be built: {reason}') from error


def refuse_foreign_data(part: Any, key: str, source: object) -> None:
    """Refuses data sets and transforms that are neither ours nor the user's.

    Args:
        part: the config of a data set from a file.
        key: its name in the whole config, for the message.
        source: the file, for the message.

    Raises:
        ValueError: one is from mmengine, mmcv or mmagic; the message names key and value.
    """
    for path, name, value in _nested(part, key):
        if name != 'type' or not isinstance(value, str):
            continue
        found = DATASETS.get(value) or TRANSFORMS.get(value)
        if getattr(found, '__module__', '').partition('.')[0] in _FOREIGN_DATA:
            why = 'the data sets and transforms that a file names must be of dtir_mm or your own'
            raise _refused(source, path, value, why)


def _refuse_reading(part: Any, key: str, source: object) -> None:
    for path, name, value in _nested(part, key):
        if name in _BACKEND_KEYS and value:
            raise _refused(source, path, value, 'a file may not say how other files are read')
        if not isinstance(value, str):
            continue
        reads = name == 'type' and value.rpartition('.')[2] in _READING
        reads |= name == 'timesteps' and value.endswith('.json')
        if reads or '://' in value:
            why = 'what a file describes may not read other files or addresses'
            raise _refused(source, path, value, why)


def _refused(source: object, path: str, value: Any, why: str) -> ValueError:
    key = repr(path)[1:-1]  # on one line
    if len(key) > SHOWN:
        key = f'... {key[-SHOWN:]}'
    return ValueError(f'{source}: {key}={_shown(value)} is refused: {why}. {_OTHERWISE}')


def _scopes() -> set[str]:
    """Our scopes and the user's; other OpenMMLab networks may download weights when built."""
    return scopes() - OPENMMLAB.keys() | {'spandrel'}


def _is_registrable(name: str) -> bool:
    scope, dot, rest = name.rpartition('.')
    if scope == 'mmagic':
        return rest in compat.MMAGIC_MODULES or rest in compat.MMAGIC_DATA_MODULES
    return not dot or scope in _scopes()


def _nested(data: Any, key: str = '') -> Iterator[tuple[str, str, Any]]:
    """Every value in dicts and lists, with its key (``model.step.type``) and the key's end."""
    if isinstance(data, Mapping):
        items: Any = data.items()
    else:
        items = enumerate(data) if isinstance(data, (list, tuple)) else ()
    for name, value in items:
        path = f'{key}.{name}' if key else str(name)
        yield path, str(name), value
        yield from _nested(value, path)


def _shown(value: Any) -> str:
    return cut_short(repr(value))
