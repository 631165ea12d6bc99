"""What a piece of code mentions, read off its syntax."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

Chain = tuple[str, ...]
"""A name and the attributes after it: `("a", "b", "c")` for `a.b.c`."""

_Noted = TypeVar("_Noted", str, Chain)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+")
_LONGEST_DOTTED = 200
_OF_THE_NAMESPACE = frozenset({"vars", "locals", "dir"})
_LOADERS = frozenset({"load", "loads", "load_model", "load_learner", "read_pickle", "Unpickler"})
_READERS = frozenset({"open", "read_text", "read_bytes"})


@dataclass(frozen=True, slots=True)
class Import:
    """One name of an import statement: `from {dots}{module} import {name} as {bound}`.

    `name` is empty for `import {module}`, `*` for all names; `bound` is what the importer calls it.
    `meant` is the module that an `import` binds: of `import a.b` it is `a`, of `import a.b as c` `a.b`.
    """

    module: str
    name: str
    bound: str
    dots: int = 0
    line: int = 1
    meant: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """A call by which objects may be unpickled, with the arguments that are `True`."""

    chain: Chain
    switched_on: frozenset[str]
    line: int


@dataclass(frozen=True, slots=True)
class Code:
    """What is mentioned, each with the line, counted from 1, where it first is.

    `names` are those that stand alone, `chains` those with attributes, `attributes` all of these, whatever
    they are of. `texts` are texts that may be a function's dotted name. `peeks` say by what the code looks at
    the names or the source around it.
    """

    names: Mapping[str, int] = field(default_factory=dict)
    chains: Mapping[Chain, int] = field(default_factory=dict)
    attributes: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[Chain, int] = field(default_factory=dict)
    peeks: Mapping[str, int] = field(default_factory=dict)
    imports: tuple[Import, ...] = ()
    loads: tuple[Load, ...] = ()
    global_names: frozenset[str] = frozenset()


NOTHING = Code()


def read(nodes: Iterable[ast.AST]) -> Code:
    """What the nodes mention, functions and classes inside them included."""
    reading = _Reading()
    waiting = [*nodes]
    while waiting:
        waiting.extend(reading.take(waiting.pop()))
    found = reading.code()
    return NOTHING if found == NOTHING else found


def imports(node: ast.AST) -> Iterator[Import]:
    """The names that an import statement binds; nothing of any other."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            bound, meant = (alias.asname, alias.name) if alias.asname else (top, top)
            yield Import(alias.name, "", bound, line=node.lineno, meant=meant)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            bound = "" if alias.name == "*" else alias.asname or alias.name
            yield Import(node.module or "", alias.name, bound, node.level, node.lineno)


def chain(node: ast.AST) -> Chain:
    """A name with its attributes; empty if it begins with anything but a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


class _Reading:
    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._chains: dict[Chain, int] = {}
        self._attributes: dict[str, int] = {}
        self._texts: dict[Chain, int] = {}
        self._peeks: dict[str, int] = {}
        self._imports: list[Import] = []
        self._loads: list[Load] = []
        self._globals: set[str] = set()

    def code(self) -> Code:
        return Code(
            self._names,
            self._chains,
            self._attributes,
            self._texts,
            self._peeks,
            tuple(self._imports),
            tuple(self._loads),
            frozenset(self._globals),
        )

    def take(self, node: ast.AST) -> Iterator[ast.AST]:
        """Note what the node itself says; the nodes inside it that are still to be read."""
        match node:
            case ast.Name(id=name, lineno=line):
                _note(self._names, name, line)
                return iter(())
            case ast.Attribute():
                return self._take_attribute(node)
            case ast.Constant(value=str(text), lineno=line):
                self._take_text(text, line)
            case ast.Call():
                self._take_call(node)
            case ast.Import() | ast.ImportFrom():
                self._imports += imports(node)
            case ast.Global(names=names):
                self._globals.update(names)
        return ast.iter_child_nodes(node)

    def _take_attribute(self, node: ast.Attribute) -> Iterator[ast.AST]:
        parts = chain(node)
        if not parts:
            _note(self._attributes, node.attr, node.lineno)
            return iter((node.value,))
        _note(self._chains, parts, node.lineno)
        for part in parts[1:]:
            _note(self._attributes, part, node.lineno)
        return iter(())

    def _take_text(self, text: str, line: int) -> None:
        if len(text) <= _LONGEST_DOTTED and _DOTTED.fullmatch(text):
            _note(self._texts, tuple(text.replace(":", ".").split(".")), line)

    def _take_call(self, node: ast.Call) -> None:
        called = _called(node.func)
        if called in _OF_THE_NAMESPACE and isinstance(node.func, ast.Name) and not node.args:
            _note(self._peeks, f"{called}()", node.lineno)
        elif called in _READERS and _is_of_own_source(node):
            _note(self._peeks, "__file__", node.lineno)
        elif called in _LOADERS:
            on = {
                one.arg
                for one in node.keywords
                if one.arg and isinstance(one.value, ast.Constant) and one.value.value is True
            }
            self._loads.append(Load(chain(node.func) or ("", called), frozenset(on), node.lineno))


def _note(notes: dict[_Noted, int], what: _Noted, line: int) -> None:
    notes[what] = min(line, notes.get(what, line))


def _called(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _is_of_own_source(call: ast.Call) -> bool:
    """Whether `open(__file__)` or `Path(__file__).read_text()`."""
    match call:
        case ast.Call(func=ast.Attribute(value=ast.Call(args=[ast.Name(id="__file__")]))):
            return True
        case ast.Call(args=[ast.Name(id="__file__"), *_]):
            return True
    return False
