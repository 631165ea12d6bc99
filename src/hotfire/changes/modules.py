"""A module as its statements say it: what it binds, imports and defines."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from hotfire.changes.code import Chain, Code, Import
from hotfire.changes.statements import Facts, Function, body_of, facts, meaning

Line = int

_NEWLINE = re.compile(r"\r\n|\r|\n")

# What finds or changes modules and names by ways that no source shows.
_OPAQUE_NAMES = frozenset(
    {
        "__import__",
        "import_module",
        "exec",
        "eval",
        "compile",
        "globals",
        "__builtins__",
        "__loader__",
        "__spec__",
    }
)
_OPAQUE_ATTRIBUTES = frozenset({"__globals__", "__code__", "__closure__", "f_globals", "f_back", "f_locals"})
_OPAQUE = frozenset(
    {
        *("importlib.import_module", "importlib.reload", "importlib.util", "importlib.machinery"),
        *("importlib.abc", "runpy", "pkgutil", "imp", "zipimport", "builtins", "pydoc.locate"),
        *("sys.modules", "sys.path", "sys.meta_path", "sys.path_hooks", "sys._getframe", "gc.get_objects"),
        *("inspect.stack", "inspect.currentframe", "inspect.getmodule", "inspect.getsource"),
        *("inspect.getsourcelines", "inspect.getsourcefile", "inspect.getmembers"),
    }
)
_DOCUMENTED = frozenset({"__doc__", "getdoc"})

# Decorators that neither call a function when they get it nor hand it on.
_THIN = frozenset({"torch.no_grad", "torch.inference_mode", "torch.enable_grad"})
_NEUTRAL = frozenset(
    {
        *_THIN,
        *("functools.lru_cache", "functools.cache"),
        *("contextlib.contextmanager", "contextlib.asynccontextmanager"),
        *("typing.no_type_check", "typing.final", "typing.overload"),
    }
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of the module's top level. Several that share a line are one."""

    text: str
    first: Line
    facts: Facts

    @property
    def line(self) -> Line:
        """The line of its `def` or `class`, or its first one."""
        return self.at(self.facts.line)

    def at(self, line: Line) -> Line:
        """The module's line of what is on this line of the statement."""
        return self.first + line - 1

    def means(self, other: Statement, *, with_docstring: bool) -> bool:
        """Whether both do the same."""
        return self.text == other.text or meaning(self.text, with_docstring=with_docstring) == meaning(
            other.text, with_docstring=with_docstring
        )


@dataclass(frozen=True)
class Module:
    """A module's statements, without those that never run when it is imported.

    `main` are those that run if it is started as a program.
    """

    statements: tuple[Statement, ...]
    main: tuple[Statement, ...] = ()

    @cached_property
    def functions(self) -> Mapping[str, Sequence[Statement]]:
        """The functions defined at the top level, each name with all of its definitions."""
        return self._by_name("function")

    @cached_property
    def classes(self) -> Mapping[str, Sequence[Statement]]:
        """The classes, in the same way."""
        return self._by_name("class")

    @cached_property
    def bound(self) -> Counter[str]:
        """How many statements bind each name."""
        counted = Counter(name for one in self.statements for name in one.facts.binds)
        # A function that declares a name as global may bind it at any time.
        counted.update(name for _, code in self.codes for name in code.global_names)
        return counted

    @cached_property
    def codes(self) -> Sequence[tuple[Statement, Code]]:
        """All code, that of functions too."""
        return [(one, code) for one in self.statements for code in _codes(one)]

    @cached_property
    def imports(self) -> Mapping[str, Sequence[Import]]:
        """What each imported name may be: of the whole module and its functions together."""
        found: dict[str, list[Import]] = {}
        for one in self.all_imports:
            if one.bound:
                found.setdefault(one.bound, []).append(one)
        return found

    @cached_property
    def all_imports(self) -> Sequence[Import]:
        """Each import, wherever in the module it stands."""
        return [one for _, code in self.codes for one in code.imports]

    @cached_property
    def stars(self) -> Sequence[tuple[Line, Import]]:
        """Each `from … import *`, with its line."""
        return [(one.line, each) for one, code in self.codes for each in code.imports if each.name == "*"]

    @cached_property
    def postpones_annotations(self) -> bool:
        """Whether annotations are never evaluated."""
        return any(one.module == "__future__" and one.name == "annotations" for one in self.all_imports)

    @cached_property
    def reads_docstrings(self) -> bool:
        """Whether anything here may look at a docstring."""
        return any(_DOCUMENTED & {*code.names, *code.attributes} for _, code in self.codes)

    @cached_property
    def opaque(self) -> tuple[Line, str] | None:
        """The first thing by which any module or name may be reached or changed."""
        found = [(one.at(line), what) for one, code in self.codes for what, line in self._opaque(code)]
        return min(found, default=None)

    def is_neutral(self, decorator: Chain) -> bool:
        """Whether it is known to do nothing with a function but wrap it."""
        return any(name in _NEUTRAL for name in self.full_names(decorator))

    def is_thin(self, decorator: Chain) -> bool:
        """Whether it is known to keep nothing of a function but the function, as its `__wrapped__`."""
        return any(name in _THIN for name in self.full_names(decorator))

    def full_names(self, parts: Chain) -> Iterator[str]:
        """What a name with attributes may be, through the module's own names for what it imports."""
        for one in self.imports.get(parts[0], ()) if parts else ():
            if not one.dots:
                origin = f"{one.module}.{one.name}" if one.name else one.meant
                yield ".".join((origin, *parts[1:]))

    def _by_name(self, kind: str) -> Mapping[str, Sequence[Statement]]:
        found: dict[str, list[Statement]] = {}
        for one in self.statements:
            if one.facts.kind == kind:
                found.setdefault(one.facts.name, []).append(one)
        return found

    def _opaque(self, code: Code) -> Iterator[tuple[str, Line]]:
        yield from ((name, code.names[name]) for name in _OPAQUE_NAMES & code.names.keys())
        yield from ((name, code.attributes[name]) for name in _OPAQUE_ATTRIBUTES & code.attributes.keys())
        mentioned = [*(((name,), line) for name, line in code.names.items()), *code.chains.items()]
        for parts, line in mentioned:
            if parts[0] in self.imports:
                yield from ((name, line) for name in map(_opaque, self.full_names(parts)) if name)


def _opaque(full_name: str) -> str:
    """The part of a name that is one of the opaque, or is what holds them."""
    parts = full_name.split(".")
    if full_name in ("importlib", "sys", "builtins"):
        return full_name  # handed on as a whole
    names = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((name for name in names if name in _OPAQUE), "")


def _codes(statement: Statement) -> Iterator[Code]:
    yield statement.facts.runs
    function = statement.facts.function
    if function is not None:
        yield function.body
        yield function.annotation_code


@lru_cache(maxsize=2048)
def parse(source: str) -> Module:
    """The module of this source. Raises SyntaxError."""
    statements = [*_statements(source)]
    imports = Module(tuple(one for one in statements if one.facts.kind == "import"))
    return Module(
        tuple(one for one in statements if not _never_runs(one, imports)),
        tuple(one for one in statements if one.facts.kind == "main"),
    )


def _statements(source: str) -> Iterator[Statement]:
    lines = _NEWLINE.split(source.removeprefix("\ufeff"))
    for first, last in _spans(body_of(source)):
        text = "\n".join(lines[first - 1 : last])
        yield Statement(text, first, facts(text))


def _spans(body: Sequence[ast.stmt]) -> Iterator[tuple[Line, Line]]:
    """The first and the last line of each statement; of several that share one together."""
    first = last = 0
    for node in body:
        decorators = getattr(node, "decorator_list", ())
        start = min([node.lineno, *(one.lineno for one in decorators)])
        end = node.end_lineno or node.lineno
        if start > last:
            if last:
                yield first, last
            first = start
        last = end
    if last:
        yield first, last


def _never_runs(statement: Statement, imports: Module) -> bool:
    if statement.facts.kind == "unless typing":
        names = [*imports.full_names(statement.facts.flag)]
        return names in (["typing.TYPE_CHECKING"], ["typing_extensions.TYPE_CHECKING"])
    return statement.facts.kind in ("never", "main")


def function_of(statement: Statement) -> Function:
    """What is particular to a function's statement."""
    assert statement.facts.function is not None
    return statement.facts.function
