"""Reads configs from files; errors name the file and line."""

import os
import traceback
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from dtir_mm.config.checking import check_config
from dtir_mm.config.options import overridden
from dtir_mm.config.renamed import renamed_config
from dtir_mm.config.sections import known_keys
from dtir_mm.named_configs import config_name, config_names, config_path
from dtir_mm.typos import hint

_SUFFIXES = ('.py', '.yaml', '.yml', '.json')


def read_config(path: str | Path, options: Sequence[str] | None = None) -> Config:
    """Reads a config from a file, drops its variables, and checks it (``check_config``).

    Args:
        path: the file, or the name of a config of dtir_mm (``named_configs``).
        options: see ``override_config``.

    Raises:
        OSError: the file, or one that it builds on, does not exist.
        ValueError: it cannot be read or is invalid; the message names file and line, or the key.
    """
    path = config_path(path)
    if not os.path.isfile(path):  # Path.is_file() raises if a name is too long
        if os.path.isdir(path):
            raise IsADirectoryError(f'{path} is a folder, not a config: name a file in it')
        known = renamed_config(path) or hint(config_name(path), config_names())
        raise FileNotFoundError(
            f'no such config: {path}{known or "; `dtir-mm configs` lists those of dtir_mm"}'
        )
    if path.suffix not in _SUFFIXES:
        raise ValueError(
            f'{path} is not a config, whose suffix is one of {", ".join(_SUFFIXES)}. Are config '
            f'and checkpoint swapped?'
        )
    try:
        config = Config.fromfile(path)
    except Exception as error:  # the config is the user's program, which may raise anything
        raise ValueError(_explain(path, error)) from error
    override_config(config, options)
    check_config(config)
    for name in set(config) - set(known_keys()):
        config.pop(name)
    return config


def override_config(config: Config, options: Sequence[str] | None) -> None:
    """Overrides a config by options KEY=VALUE, and imports the modules they name.

    Raises:
        ValueError: an option has another form, nothing reads its top-level key (variables have been
            used by now), or a module cannot be imported.
    """
    known = known_keys()
    for option in options or ():
        key = option.partition('=')[0].partition('.')[0]
        if key not in known:
            raise ValueError(f'--cfg-options {option}: nothing reads {key}{hint(key, known)}')
    overridden(config, options or ())
    if any(option.startswith('custom_imports') for option in options or ()):
        _import_modules(config)


def _import_modules(config: Config) -> None:
    try:
        import_modules_from_strings(**(config.custom_imports or {}))
    except Exception as error:  # the user's modules may raise anything
        raise ValueError(
            f'--cfg-options custom_imports={config.custom_imports!r}: {type(error).__name__}: '
            f'{str(error).splitlines()[0] if str(error) else "no message"}'
        ) from error


def _explain(path: str | Path, error: Exception) -> str:
    """File, line and reason of an error, in one line."""
    if isinstance(error, RecursionError):
        return f'{path}: lists or dicts are nested too deeply'
    file, line = str(path), None
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == '_file2dict':
            file = frame.f_locals.get('filename', file)
        elif frame.f_code.co_filename == file:
            line = number
    cause: BaseException = error
    while isinstance(earlier := cause.__cause__ or cause.__context__, SyntaxError):
        cause = earlier
    if isinstance(cause, SyntaxError):
        line = cause.lineno or line
    if isinstance(cause, FileNotFoundError) and cause.filename:
        renamed = renamed_config(cause.filename)
        return f'{path} builds on {cause.filename}, which does not exist{renamed}'
    reason = str(cause.args[0] if cause.args else cause).strip().splitlines() or [repr(cause)]
    place = file if line is None else f'{file}, line {line}'
    return f'{place}: {type(cause).__name__}: {reason[0]}'
