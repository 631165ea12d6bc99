"""One statement of a module's top level: what it is, what it binds, what it runs and when."""

from __future__ import annotations

import ast
import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from hotfire.changes.code import Chain, Code, chain, imports, read

Kind = Literal["function", "class", "import", "variable", "never", "unless typing", "main", "other"]
"""`never`: a docstring, `pass`; `unless typing`: for type checkers only; `main`: for a program only."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.Lambda)
_YIELDS = (ast.Yield, ast.YieldFrom)
_PLAIN_BASES = frozenset({"Module", "object", "Exception", "ValueError", "TypeError", "RuntimeError"})
"""Bases that make nothing of a class's docstring."""


@dataclass(frozen=True, slots=True)
class Function:
    """What is particular to a function.

    `header` is what its definition evaluates, but for annotations; `annotations` are these as they are
    written, by their syntax trees' text.
    """

    name: str
    body: Code
    decorators: tuple[Chain, ...]
    decorator_texts: tuple[str, ...]
    annotations: tuple[str, ...]
    annotation_code: Code
    has_literal_defaults: bool
    has_type_parameters: bool
    flavour: str
    """What a call of it gives: `function`, `generator`, `coroutine` or `asynchronous generator`."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A statement, wherever in a module it stands: lines are counted from its own first one."""

    kind: Kind
    line: int
    """The line of `def` or `class`, after the decorators."""
    binds: tuple[str, ...]
    runs: Code
    """What is evaluated when the module is imported; of a class all of it, its methods included."""
    function: Function | None = None
    flag: Chain = field(default=())
    """Of `if TYPE_CHECKING:` how it is spelled."""

    @property
    def name(self) -> str:
        """What it is called: what it binds first."""
        return self.binds[0] if self.binds else ""


@lru_cache(maxsize=8192)
def facts(text: str) -> Facts:
    """The facts of the statement (or of several on one line) that the text holds."""
    nodes = body_of(text)
    node = nodes[0]
    if isinstance(node, _FUNCTIONS):
        return _function(node)
    kind, flag = _kind(nodes)
    line = node.lineno
    binds = tuple(dict.fromkeys(name for one in nodes for name in _bound(one)))
    return Facts(kind, line, binds, read(nodes), flag=flag)


@lru_cache(maxsize=1024)
def meaning(text: str, *, with_docstring: bool) -> str:
    """The statement's syntax tree as text: the same for statements that differ in form alone.

    Without a function's docstring, unless that is asked for; a class's counts where its bases may read it.
    """
    nodes = body_of(text)
    if not with_docstring:
        nodes = [_undocumented(node) for node in nodes]
    return "\n".join(ast.dump(node) for node in nodes)


def body_of(source: str) -> list[ast.stmt]:
    """The statements of a source. Raises SyntaxError for whatever cannot be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source.removeprefix("\ufeff")).body
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error)) from error


def _kind(nodes: Sequence[ast.stmt]) -> tuple[Kind, Chain]:
    if all(_is_idle(node) for node in nodes):
        return "never", ()
    match nodes:
        case [ast.ClassDef()]:
            return "class", ()
        case [ast.Import() | ast.ImportFrom()]:
            return "import", ()
        case [ast.Assign() | ast.AnnAssign() | ast.AugAssign()]:
            return "variable", ()
        case [ast.If(test=test, orelse=[])]:
            return _kind_of_block(test)
    return "other", ()


def _kind_of_block(test: ast.expr) -> tuple[Kind, Chain]:
    parts = chain(test)
    if parts and parts[-1] == "TYPE_CHECKING":
        return "unless typing", parts
    match test:
        case ast.Compare(
            left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]
        ):
            return "main", ()
    return "other", ()


def _is_idle(node: ast.stmt) -> bool:
    match node:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
    return False


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Facts:
    arguments = node.args
    defaults = [*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)]
    annotations = [*_annotations(node)]
    function = Function(
        name=node.name,
        body=read(node.body),
        decorators=tuple(map(_decorator, node.decorator_list)),
        decorator_texts=tuple(map(ast.unparse, node.decorator_list)),
        annotations=tuple(map(ast.unparse, annotations)),
        annotation_code=read(annotations),
        has_literal_defaults=all(map(_is_literal, defaults)),
        has_type_parameters=bool(getattr(node, "type_params", ())),
        flavour=_flavour(node),
    )
    runs = read([*node.decorator_list, *defaults])
    return Facts("function", node.lineno, (node.name,), runs, function)


def _decorator(node: ast.expr) -> Chain:
    """Its name, called or not; empty if it is no plain name."""
    return chain(node.func if isinstance(node, ast.Call) else node)


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    arguments = node.args
    every = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    yield from (one.annotation for one in every if one is not None and one.annotation is not None)
    if node.returns is not None:
        yield node.returns


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return False
    return True


def _flavour(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    yields = any(isinstance(one, _YIELDS) for one in _in_scope(node.body))
    if isinstance(node, ast.AsyncFunctionDef):
        return "asynchronous generator" if yields else "coroutine"
    return "generator" if yields else "function"


def _in_scope(nodes: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """The nodes, and those inside of them that run with them: not those of functions defined there."""
    waiting = [*nodes]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_SCOPES, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names of the module that a statement binds or deletes."""
    for node in _in_scope([statement]):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name
            case ast.Import() | ast.ImportFrom():
                yield from (one.bound for one in imports(node) if one.bound)


def _undocumented(node: ast.stmt) -> ast.stmt:
    if isinstance(node, _FUNCTIONS) and not node.decorator_list:
        return _without_docstring(node)
    if isinstance(node, ast.ClassDef) and _is_plain(node):
        bare = copy.copy(_without_docstring(node))
        assert isinstance(bare, ast.ClassDef)
        bare.body = [_undocumented(one) for one in bare.body]
        return bare
    return node


def _is_plain(node: ast.ClassDef) -> bool:
    """Whether nothing that Python calls on the class's definition may look at its docstring."""
    bases = [chain(base) for base in node.bases]
    return not (node.decorator_list or node.keywords) and all(
        base and base[-1] in _PLAIN_BASES for base in bases
    )


def _without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> ast.stmt:
    if ast.get_docstring(node, clean=False) is None:
        return node
    bare = copy.copy(node)
    bare.body = node.body[1:] or [ast.Pass()]
    return bare
