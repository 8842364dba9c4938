"""The known name that a misspelt one was meant to be."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most similar to another one, if any is similar.

    Args:
        name: the other one.
        known: the names to choose from.
        cutoff: the least similarity, in [0, 1] (``difflib``).
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


def hint(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, if any is similar."""
    close = nearest(name, known)
    return f'; nearest: {close}' if close else ''
