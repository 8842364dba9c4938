"""Reads a config's file; whatever goes wrong there is said with its file and line."""

import traceback
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from dtir_mm.config.arguments import nearest
from dtir_mm.config.checking import check_config
from dtir_mm.config.options import overridden
from dtir_mm.config.sections import known_keys

_SUFFIXES = ('.py', '.yaml', '.yml', '.json')


def read_config(path: str | Path) -> Config:
    """The config of a file, checked (``check_config``).

    Raises:
        OSError: the file, or one that it builds on, is not there.
        ValueError: it cannot be read or is not accepted; the message names file and line, or key.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no such config: {path}')
    if Path(path).suffix not in _SUFFIXES:
        raise ValueError(
            f'{path} is no config, which is a file {", ".join(_SUFFIXES)}. Are config and '
            f'checkpoint swapped?'
        )
    try:
        config = Config.fromfile(path)
    except Exception as error:  # the config is a program of the user's, which may raise anything
        raise ValueError(_explain(path, error)) from error
    check_config(config)
    return config


def override_config(config: Config, options: Sequence[str] | None) -> None:
    """Changes a config by options KEY=VALUE, and checks it again.

    Modules that the options name (``custom_imports``) are imported, as those of a file are.

    Raises:
        ValueError: an option is not of that form, or its key has no effect: at the top it must be
            one that is read, as what the config's files made of a variable is there already. Or a
            module cannot be imported.
    """
    if not options:
        return
    known = known_keys()
    for option in options:
        key = option.partition('=')[0].partition('.')[0]
        if key in known:
            continue
        close = nearest(key, known)
        if key in config:
            raise ValueError(
                f'--cfg-options {option}: {key} is a variable, which the files of the config have '
                f'used already. Set what was made of it (tools/print_config.py shows it)'
            )
        raise ValueError(
            f'--cfg-options {option}: nothing reads {key}; '
            + (f'nearest: {close}' if close else f'known are {", ".join(known)}')
        )
    overridden(config, options)
    if any(option.startswith('custom_imports') for option in options):
        _import_modules(config)
    check_config(config)


def _import_modules(config: Config) -> None:
    try:
        import_modules_from_strings(**(config.custom_imports or {}))
    except Exception as error:  # modules of the user's, which may raise anything
        raise ValueError(
            f'--cfg-options custom_imports={config.custom_imports!r}: {type(error).__name__}: '
            f'{str(error).splitlines()[0] if str(error) else "no message"}'
        ) from error


def _explain(path: str | Path, error: Exception) -> str:
    """Where in which file a config went wrong, in a line."""
    if isinstance(error, RecursionError):
        return f'{path}: lists or dicts in one another are too deep to be read'
    file, line = str(path), None
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == '_file2dict':
            file = frame.f_locals.get('filename', file)
        elif frame.f_code.co_filename == file:
            line = number
    cause = error
    while isinstance(cause.__cause__ or cause.__context__, SyntaxError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, SyntaxError):
        line = cause.lineno or line
    if isinstance(cause, FileNotFoundError) and cause.filename:
        return f'{path} builds on {cause.filename}, which is not there'
    reason = str(cause.args[0] if cause.args else cause).strip().splitlines() or [repr(cause)]
    place = file if line is None else f'{file}, line {line}'
    return f'{place}: {type(cause).__name__}: {reason[0]}'
