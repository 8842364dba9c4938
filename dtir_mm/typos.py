"""Known names that are similar to a misspelt one."""

import difflib
from collections.abc import Iterable


def most_similar(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names that are similar to another one, the most similar first."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most similar to another one; None if the similarity < ``cutoff``."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def hint(name: str, known: Iterable[str]) -> str:
    """Ends a message about an unknown name with the nearest known one, if any is similar."""
    close = nearest(name, known)
    return f'; nearest: {close}' if close else ''
