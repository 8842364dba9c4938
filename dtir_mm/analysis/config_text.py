"""Reads configs that mmengine wrote as Python, without running them."""

import ast
from typing import Any


def parse_config(text: str) -> dict[str, Any]:
    """The settings in the text of a config.

    Raises:
        ValueError: it is empty, or has more than assignments of literals and of ``dict(...)``.
    """
    if not text:
        raise ValueError('it is missing')
    try:
        statements = _DictLiterals().visit(ast.parse(text)).body
        return dict(map(_setting, statements))
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f'it is not Python: {error}') from error


def _setting(statement: ast.stmt) -> tuple[str, Any]:
    match statement:
        case ast.Assign([ast.Name(name)], value):
            return name, ast.literal_eval(value)
    raise ValueError(f'its line {statement.lineno} assigns no value to a name')


class _DictLiterals(ast.NodeTransformer):
    """Turns ``dict(a=1)``, and ``dict({'a.b': 1})``, which has other keys, into literals."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Name('dict'), [ast.Dict() as literal], []):
                return literal
            case ast.Call(ast.Name('dict'), [], settings):
                keys: list[ast.expr | None] = [ast.Constant(each.arg) for each in settings]
                return ast.Dict(keys, [each.value for each in settings])
        return node
