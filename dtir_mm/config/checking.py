"""Finds unknown keys and values of the wrong type in a config, before anything is built.

mmengine silently ignores a misspelt key at the top level or in a section that is not passed to a
class.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from typing import Any

from mmengine.config import Config

from dtir_mm.config.arguments import arguments_of, fits, in_words, is_ours, plain_types
from dtir_mm.config.renamed import renamed_values
from dtir_mm.config.sections import ARGUMENTS, SECTIONS, VALUES, Built, known_keys, looked_up
from dtir_mm.config.variables import unused_variables
from dtir_mm.registry import Registry
from dtir_mm.typos import hint, nearest

_LINES = 3
_SIMILAR = 0.8  # a name this similar is taken for a typo
_PARTS = {
    'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    'val': ('val_dataloader', 'val_cfg', 'val_evaluator'),
    'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
}
_USES = {'train': 'train', 'val': 'validate during training', 'test': 'test'}
# In these packages, an argument named in ``ARGUMENTS`` is a config of that kind.
_KNOWN_PACKAGES = ('dtir_mm', 'mmengine', 'torch')


def check_config(config: Config) -> None:
    """Checks every key of a config, and the type of its value where it is known.

    Top-level keys may be variables that the config's files use, or whose names begin with ``_``.

    Raises:
        ValueError: nothing reads a key, its value has the wrong type or an old name, or it lacks
            its "type"; the message names the key and what would be accepted.
    """
    problems = [*_unread(config), *_conflicts(config), *renamed_values(dict(config.items()))]
    for key, (annotation, _) in VALUES.items():
        if key in config:
            problems += _of_type(key, config[key], annotation)
    for key, (built, _) in SECTIONS.items():
        if config.get(key) is not None:
            problems += _check(key, config[key], built)
    if problems:
        if len(problems) > _LINES:
            first = f'{len(problems)} errors in the config, the first of which are:'
            problems = [first, *problems[: _LINES - 1]]
        raise ValueError('\n'.join(problems))


def require_parts(config: Config, use: str) -> None:
    """Raises ValueError unless a config has all parts that its use, "train" or "test", requires."""
    if config.get('model') is None:
        raise ValueError('the config has no model')
    for name, keys in _PARTS.items():
        missing = [key for key in keys if config.get(key) is None]
        if missing and (name == use or len(missing) < len(keys)):
            raise ValueError(
                f'the config has no {", ".join(missing)}: to {_USES[name]} it must have '
                f'{", ".join(keys)}'
            )


def _conflicts(config: Config) -> Iterator[str]:
    wrapper, loader = config.get('optim_wrapper'), config.get('train_dataloader')
    kind = wrapper.get('type') if isinstance(wrapper, Mapping) else None
    # Their mixed precision is bypassed by our gradients.
    if str(kind).rpartition('.')[-1] in ('AmpOptimWrapper', 'ApexOptimWrapper'):
        yield f'optim_wrapper.type={kind!r} is not supported: set precision="bf16" instead'
    total = config.get('global_batch_size')
    each = loader.get('batch_size') if isinstance(loader, Mapping) else None
    if total is not None and each is not None:
        yield (
            f'train_dataloader.batch_size={each} and global_batch_size={total} are both set. '
            f'Change global_batch_size, samples of an update over all processes, or set it to None'
        )


def _unread(config: Config) -> Iterator[str]:
    known = known_keys()
    unread = [key for key in config if key not in known and not key.startswith('_')]
    left = []
    for key, is_own in unused_variables(config, unread).items():
        if is_own or nearest(key, known, _SIMILAR):
            yield (
                f'{key}: nothing reads this key of the config{hint(key, known)}. An unused '
                f'variable must be named _{key}'
            )
        else:
            left.append(key)
    if left:
        warnings.warn(
            f'nothing reads these keys of the config: {", ".join(left)}. If they are variables, '
            f'begin their names with an underscore',
            stacklevel=1,  # so that the warning is shown once
        )


def _check(path: str, value: Any, built: Built) -> Iterator[str]:
    """Problems of a config, a list of configs, or a dict of named configs."""
    if built.named and isinstance(value, Mapping):
        present = [name for name, each in value.items() if each is not None]
        for name, each in value.items():
            if each is None:
                close = nearest(name, present, _SIMILAR)
                if close:
                    yield f'{path}.{name}=None switches nothing off; nearest: {close}'
            elif isinstance(each, Mapping):
                yield from _check_one(f'{path}.{name}', each, built, present)
            else:
                yield f'{path}.{name}={each!r} must be a dict or None'
    elif isinstance(value, list | tuple):
        for i, each in enumerate(value):
            yield from _check(f'{path}.{i}', each, built)
    elif isinstance(value, Mapping):
        yield from _check_one(path, value, built, ())
    elif isinstance(value, str | int | float) and not (path == 'compile' and value in (0, 1)):
        yield f'{path}={value!r} must be a dict'


def _check_one(path: str, value: Mapping, built: Built, siblings: Any) -> Iterator[str]:
    own = {'_scope_', '_delete_', *built.besides}
    function: Any = built.default
    if built.by_type:
        own.add('type')
        kind = value.get('type', function)
        if kind is None:
            if 'by_epoch' in value or 'metrics' in value:  # mmengine has defaults for these
                return
            name = path.rpartition('.')[-1]
            yield f'{path} must name its "type"{hint(name, [n for n in siblings if n != name])}'
            return
        if 'type' in value and not isinstance(kind, str):
            yield f'{path}.type={kind!r} must be a registered name'
            return
        function = looked_up(built, kind) if isinstance(kind, str) else kind
        if function is None:
            yield f'{path}: {_miss(built, kind)}'
            return
    yield from _check_arguments(path, value, function, built.given, own)


def _miss(built: Built, kind: str) -> str:
    place = built.by_type[0]
    if isinstance(place, Registry):
        return place.explain_miss(kind)
    return f'type={kind!r} must be one of {", ".join(place)}'


def _check_arguments(
    path: str, value: Mapping, function: Callable, given: tuple[str, ...], own: set[str]
) -> Iterator[str]:
    arguments = arguments_of(function)
    known = [name for name in arguments.known if name not in given]
    name = getattr(function, '__name__', str(function)).lstrip('_')
    package = str(getattr(function, '__module__', '')).partition('.')[0]
    for key, each in value.items():
        at = f'{path}.{key}'
        nested = ARGUMENTS.get(key) if package in _KNOWN_PACKAGES else None
        if key in own:
            if nested is not None and each is not None:
                yield from _check(at, each, nested)
        elif key not in known and not arguments.open:
            taken = f'; it takes {", ".join(known) or "none"}'
            yield f'{at} is no key of {name}{hint(key, known) or taken}'
        elif nested is not None and each is not None:
            yield from _check(at, each, nested)
        elif key in known and is_ours(function):
            yield from _of_type(at, each, arguments.known[key].annotation)
        elif key in known and package in _KNOWN_PACKAGES:
            yield from _of_kind(at, each, arguments.known[key])
    if not arguments.open:
        missing = [k for k in arguments.required if k not in value and k not in given]
        if missing:
            yield f'{path}: {name} needs {", ".join(missing)}, missing in the config'


def _of_kind(path: str, value: Any, parameter: Parameter) -> Iterator[str]:
    """``_of_type`` for other packages, whose annotations are loose about numbers and None.

    If the annotation cannot be checked, a numeric default determines the type.
    """
    accepted, default = plain_types(parameter.annotation), parameter.default
    if accepted is None and isinstance(default, int | float):
        accepted = (bool if isinstance(default, bool) else float,)
    loose = isinstance(value, bool | int | float)
    loose = loose and not {bool, int, float}.isdisjoint(accepted or ())
    if isinstance(value, float) and accepted and float not in accepted:
        loose = loose and value.is_integer()
    plain = value is None or isinstance(value, bool | int | float | str | list | tuple | Mapping)
    if accepted and plain and value != default and not loose and not fits(value, accepted):
        yield f'{path}={value!r} must be {in_words(accepted)}'


def _of_type(path: str, value: Any, annotation: Any) -> Iterator[str]:
    accepted = plain_types(annotation)
    if accepted is not None and not fits(value, accepted):
        yield f'{path}={value!r} must be {in_words(accepted)}'
