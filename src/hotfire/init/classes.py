"""Classes in a project's sources that a model may be of."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_QUIET = (
    *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.Assign, ast.AnnAssign),
)


@dataclass(frozen=True, slots=True)
class ModelClass:
    """A class: where it is imported from, what its constructor must be given, and what it sets on `self`."""

    module: str
    name: str
    required: tuple[str, ...]
    attributes: frozenset[str]

    def fits(self, weights: Iterable[str]) -> bool:
        """Whether it sets an attribute for each of these names of a state_dict."""
        heads = {name.partition(".")[0] for name in weights}
        return bool(heads) and heads <= self.attributes


def classes(root: Path, named: Iterable[Path]) -> list[ModelClass]:
    """The classes in the named files, then in those beside them that do nothing but define when imported."""
    others = (file for file in sorted(root.glob("*.py")) if _is_quiet(file))
    files = dict.fromkeys(file.absolute() for file in (*named, *others))
    return [one for file in files for one in _classes(root, file)]


def _classes(root: Path, file: Path) -> Iterator[ModelClass]:
    module = ".".join(file.relative_to(root).with_suffix("").parts)
    for node in _body(file):
        if isinstance(node, ast.ClassDef):
            yield ModelClass(module, node.name, *_constructor(node))


def _constructor(node: ast.ClassDef) -> tuple[tuple[str, ...], frozenset[str]]:
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            arguments = method.args
            positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
            required = positional[1 : len(positional) - len(arguments.defaults)]
            pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            required += [one.arg for one, default in pairs if default is None]
            return tuple(required), frozenset(_set_on(positional[0], method))
    return (), frozenset()


def _set_on(name: str, method: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(method):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute, ctx=ast.Store()) if owner == name:
                yield attribute


def _is_quiet(file: Path) -> bool:
    return all(isinstance(node, _QUIET) or _is_text(node) or _is_of_program(node) for node in _body(file))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_of_program(node: ast.stmt) -> bool:
    match node:
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__")), orelse=[]):
            return True
    return False


def _body(file: Path) -> list[ast.stmt]:
    try:
        return ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
