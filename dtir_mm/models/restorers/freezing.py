"""Freezing parameters by name."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from dtir_mm.models.restorers.restorer import Restorer

_LEVELS = 3  # parts of a dotted name in messages
_SHOWN = 8


def freeze_parameters(model: nn.Module, patterns: Sequence[str]) -> None:
    """Excludes parameters from training.

    Args:
        model: the model to train.
        patterns: ``fnmatch`` patterns of parameter names; ``*`` matches dots, too.

    Raises:
        ValueError: a pattern matches no name, or no parameter is left to train.
    """
    if isinstance(patterns, str):
        raise ValueError(f'model.freeze={patterns!r} must be a list of patterns, [{patterns!r}]')
    named = dict(model.named_parameters())
    trained = any(parameter.requires_grad for parameter in named.values())
    for pattern in patterns:
        matched = [name for name in named if fnmatchcase(name, pattern)]
        if not matched:
            begin = list(dict.fromkeys('.'.join(name.split('.')[:_LEVELS]) for name in named))
            more = ' ...' if len(begin) > _SHOWN else ''
            raise ValueError(
                f'model.freeze: {pattern!r} matches none of the {len(named)} parameters, whose '
                f'names begin with {", ".join(begin[:_SHOWN])}{more}'
            )
        for name in matched:
            named[name].requires_grad_(False)
    if trained and not any(parameter.requires_grad for parameter in named.values()):
        raise ValueError(
            f'model.freeze={list(patterns)} leaves no parameter to train: all {len(named)} match'
        )


def require_same_freeze(before: Any, restorer: 'Restorer') -> None:
    """Raises ValueError unless the model config ``before`` resuming froze the same parameters."""
    frozen = list(before.get('freeze') or []) if isinstance(before, dict) else []
    if frozen != list(restorer.freeze):
        raise ValueError(
            f'the run to resume has model.freeze={frozen}, the config has {list(restorer.freeze)}: '
            f'it would train other parameters. Set model.freeze={frozen}, or start anew with '
            f'load_from'
        )
