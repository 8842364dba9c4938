"""Names, types and descriptions of a callable's arguments, from its signature and docstring."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Union

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_ENTRY = r'^ {4}(\w+)(?: \([^)]*\))?:(.*?)(?=^ {4}\S|\Z)'
_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Arguments:
    """The named arguments of a callable.

    Attributes:
        known: their parameters by name.
        required: those without a default.
        open: whether it takes any others (``**kwargs``).
    """

    known: Mapping[str, inspect.Parameter]
    required: tuple[str, ...]
    open: bool


@cache
def arguments_of(function: Callable) -> Arguments:
    """The named arguments of a function or class, including those behind ``**kwargs``."""
    if not inspect.isclass(function):
        return _arguments(inspect.signature(function, eval_str=is_ours(function)), False)
    taken = Arguments({}, (), False)
    for cls in function.__mro__:
        own = vars(cls).get('__init__')
        if not inspect.isfunction(own):
            continue
        found = _arguments(inspect.signature(own, eval_str=is_ours(cls)), True)
        # A class may supply what its base class requires.
        required = taken.required if taken.known else found.required
        taken = Arguments({**found.known, **taken.known}, required, found.open)
        if not found.open:
            break
    return taken


def _arguments(signature: inspect.Signature, bound: bool) -> Arguments:
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    is_open = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    known = {p.name: p for p in parameters if p.kind in _NAMED}
    required = tuple(name for name, p in known.items() if p.default is p.empty)
    return Arguments(known, required, is_open)


def is_ours(function: Callable) -> bool:
    """Whether a class or function belongs to dtir_mm, whose annotations can be trusted."""
    return str(getattr(function, '__module__', '')).partition('.')[0] == 'dtir_mm'


def plain_types(annotation: Any) -> tuple[type, ...] | None:
    """The JSON types of an annotation; None if it has others, which are not checked.

    ``Sequence`` and ``Mapping`` accept any elements, and ``float`` accepts integers.
    """
    if typing.get_origin(annotation) in (Union, types.UnionType):
        parts = [plain_types(part) for part in typing.get_args(annotation)]
        if any(part is None for part in parts):
            return None
        return tuple(kind for part in parts for kind in part or ())
    if annotation is None or annotation in _PLAIN:
        return (type(None) if annotation is None else annotation,)
    origin = typing.get_origin(annotation) or annotation
    if origin in (list, tuple, Sequence):
        return (Sequence,)
    return (Mapping,) if origin in (dict, Mapping) else None


def fits(value: Any, accepted: tuple[type, ...]) -> bool:
    """Whether a value is of one of the accepted ``plain_types``."""
    if isinstance(value, bool):
        return bool in accepted
    if isinstance(value, int) and float in accepted:
        return True
    kinds = tuple((list, tuple) if kind is Sequence else kind for kind in accepted)
    return any(isinstance(value, kind) for kind in kinds)


def in_words(accepted: tuple[type, ...]) -> str:
    """``plain_types`` in words, for messages."""
    words = {Sequence: 'a list', Mapping: 'a dict', bool: 'True or False', int: 'an integer'}
    words |= {float: 'a number', str: 'a string', type(None): 'None'}
    return ' or '.join(words[kind] for kind in accepted)


def descriptions(function: Callable) -> dict[str, str]:
    """Descriptions of the arguments from "Args" of our docstrings, including base classes."""
    found: dict[str, str] = {}
    for documented in filter(is_ours, getattr(function, '__mro__', (function,))):
        text = inspect.cleandoc(documented.__doc__ or '')
        for section in re.findall(r'^Args:\n(.*?)(?=^\S|\Z)', text, re.M | re.S):
            entries = re.findall(_ENTRY, section, re.M | re.S)
            found = {**{name: ' '.join(said.split()) for name, said in entries}, **found}
    return found
