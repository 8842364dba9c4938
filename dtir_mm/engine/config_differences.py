"""Where two configs differ, by dotted keys as ``--cfg-options`` takes them."""

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

NOT_SET = 'not set'
_SHORT = reprlib.Repr()
_SHORT.maxstring = 120  # paths


class Difference(NamedTuple):
    """A key with its values in the run to resume and in the config."""

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        before, now = (v if v is NOT_SET else _SHORT.repr(v) for v in (self.before, self.now))
        return f'{self.key} {before} -> {now}'


def differences(before: Any, now: Any, key: str = '') -> Iterator[Difference]:
    """Every leaf in which two configs differ; equally long lists of dicts are compared by part."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in {**before, **now}:
            path = f'{key}.{name}' if key else name
            yield from differences(before.get(name, NOT_SET), now.get(name, NOT_SET), path)
    elif _are_lists_of_dicts(before, now):
        for i, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, f'{key}.{i}')
    elif plain(before) != plain(now):
        yield Difference(key, before, now)


def plain(value: Any) -> Any:
    """Tuples as lists, as in JSON."""
    return list(value) if isinstance(value, tuple) else value


def _are_lists_of_dicts(before: Any, now: Any) -> bool:
    return (
        isinstance(before, list)
        and isinstance(now, list)
        and len(before) == len(now)
        and all(isinstance(part, Mapping) for part in [*before, *now])
    )
