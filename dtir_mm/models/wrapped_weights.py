"""Finding weights in the nested dicts and under the name prefixes of other code bases."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from dtir_mm.weights_file import CheckpointError

# Keys of weights (BasicSR, mmengine, timm, Lightning, KAIR, Uformer ...), averaged ones first.
_TABLES = (
    'state_dict', 'model_state_dict', 'params_ema', 'params-ema', 'params', 'model_ema', 'ema',
    'generator_ema', 'net_g_ema', 'model', 'net_g', 'netG', 'generator', 'network', 'net',
    'weights',
)  # fmt: skip
# Prefixes that wrappers add to a network's own names.
_PREFIXES = (
    'module.', '_orig_mod.', 'model_ema.', 'ema_model.', 'generator_ema.', 'net_g_ema.', 'model.',
    'net_g.', 'netG.', 'generator.', 'network.', 'net.',
)  # fmt: skip
_DEPTH = 3
_SHOWN = 3


class Candidate(NamedTuple):
    """Weights by name, and where in the file they were found; empty if they are all of it."""

    weights: dict[str, Tensor]
    found: str


def candidates(content: Any, source: str) -> Iterator[Candidate]:
    """The weights in the content of a file: with their names as they are, then without prefixes.

    Args:
        content: from ``read_weights_file``.
        source: its name in messages.

    Raises:
        CheckpointError: there are none.
    """
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f'{source} holds data of type {type(content).__name__}, where a dict from names to '
            f'tensors is expected: model.state_dict()'
        )
    keys, table = _table(content, _DEPTH)
    if not table:
        names = ', '.join(repr(key) for key in list(content)[:_SHOWN]) or 'none'
        raise CheckpointError(
            f'{source} holds no weights: none of its {len(content)} keys ({names}) is the name of '
            f'a tensor or of a dict of tensors'
        )
    under = '' if keys in ([], ['state_dict']) else f'under {".".join(keys)!r}'
    for prefix, weights in _stripped(table, ''):
        parts = [under, f'without the prefix {prefix!r}' if prefix else '']
        if left := len(table) - len(weights):
            parts.append(f'{left} tensors beside them left out')
        yield Candidate(weights, ', '.join(filter(None, parts)))


def described(weights: Mapping[str, Tensor]) -> str:
    """A few names with their shapes, and the number of others."""
    shown = [f'{name} {tuple(value.shape)}' for name, value in list(weights.items())[:_SHOWN]]
    more = len(weights) - len(shown)
    return (', '.join(shown) or 'none') + (f' and {more} more' if more else '')


def _table(content: Mapping[Any, Any], depth: int) -> tuple[list[str], dict[str, Tensor]]:
    """The keys that lead to a dict of tensors, and that dict; empty if there is none."""
    only = [str(key) for key in content] if len(content) == 1 else []
    for key in (*_TABLES, *only) if depth else ():
        if isinstance(inner := content.get(key), Mapping):
            keys, table = _table(inner, depth - 1)
            if table:
                return [key, *keys], table
    return [], {n: w for n, w in content.items() if isinstance(n, str) and isinstance(w, Tensor)}


def _stripped(weights: dict[str, Tensor], before: str) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Each chain of prefixes that some weights have, and these weights without it."""
    yield before, weights
    for prefix in _PREFIXES if before.count('.') < _DEPTH else ():
        inside = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
        if inside:
            yield from _stripped(inside, before + prefix)
