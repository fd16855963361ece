"""Docstrings of classes, of their fields and of constants, read from the source."""

import ast
import inspect
from collections.abc import Iterable, Iterator
from textwrap import dedent
from types import ModuleType


def of_fields(owner: type) -> dict[str, str]:
    """Return the docstring below each field of a class, "" for a field without one."""
    (tree,) = ast.parse(dedent(inspect.getsource(owner))).body
    assert isinstance(tree, ast.ClassDef)
    return dict(_documented(tree.body))


def of_constants(module: ModuleType) -> dict[str, str]:
    """Return the docstring below each constant of a module, "" for a constant without one."""
    return dict(_documented(ast.parse(inspect.getsource(module)).body))


def of_class(owner: type) -> str:
    """Return the docstring of a class on one line."""
    return " ".join((owner.__doc__ or "").split())


def _documented(body: Iterable[ast.stmt]) -> Iterator[tuple[str, str]]:
    statements = list(body)
    for statement, below in zip(statements, [*statements[1:], None], strict=True):
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                yield name, _text(below)


def _text(below: ast.stmt | None) -> str:
    match below:
        case ast.Expr(value=ast.Constant(value=str() as text)):
            return " ".join(text.split())
    return ""
