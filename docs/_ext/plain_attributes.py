"""Docstrings of attributes and properties are text, without the type that Napoleon looks for.

Our docstrings do not repeat types, and Napoleon would take all before the first colon of "the right
side: the last method" for one.
"""

from typing import Any

from sphinx.application import Sphinx

_KINDS = {'attribute', 'data', 'property'}
_BEFORE_NAPOLEON = 400
_EMPTY_COMMENT = ['..', '']


def _hide_colon(
    app: Sphinx, kind: str, name: str, documented: Any, options: Any, lines: list[str]
) -> None:
    """Napoleon looks at the first line, which here becomes an empty comment."""
    if kind in _KINDS:
        lines[:0] = _EMPTY_COMMENT


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect('autodoc-process-docstring', _hide_colon, _BEFORE_NAPOLEON)
    return {'parallel_read_safe': True}
