"""What a handler uses of its project, read off the syntax of its sources.

Nothing is run. What is not written plainly (a module or a path put together at run time) is not seen.
"""

from __future__ import annotations

import ast
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_JOINERS = frozenset({"join", "joinpath"})
_PATHS = frozenset({"Path", "PurePath", "PosixPath", "PurePosixPath"})
_IMPORTERS = frozenset({"import_module", "__import__"})


@dataclass(frozen=True, slots=True)
class SearchFolder:
    """A folder of the project that is on `sys.path` in the container, and what it is there.

    `prefix` begins the places of its files in the model data: `code/`, or nothing for the model folder.
    """

    folder: Path
    prefix: str


@dataclass(frozen=True, slots=True)
class Use:
    """A file or folder that the handler uses: where it is, its place in the model data, and who says so."""

    source: Path
    place: str
    reason: str
    by_source: bool = False
    """Whether it is sought beside the sources (`__file__`) rather than in the working folder."""


@dataclass(frozen=True, slots=True)
class Module:
    """A source file that the handler imports, the handler first."""

    name: str
    file: Path
    search: SearchFolder
    tree: ast.Module
    imports: tuple[str, ...]

    @property
    def title(self) -> str:
        """How to name it to the user."""
        return self.file.relative_to(self.search.folder).as_posix()


def modules(handler: Path, folders: Sequence[SearchFolder]) -> list[Module]:
    """The handler and all modules of the project that it imports, directly or not."""
    first = _parsed("", handler, SearchFolder(handler.parent, "code/"))
    found = {handler: first}
    waiting = deque([first])
    while waiting:
        for dotted in waiting.popleft().imports:
            for name, file, search in _resolved(dotted, folders):
                if file not in found:
                    found[file] = _parsed(name, file, search)
                    waiting.append(found[file])
    return list(found.values())


def imported(traced: Sequence[Module], folders: Sequence[SearchFolder]) -> list[Use]:
    """The packages and modules that they need: whole packages, for what those load by themselves."""
    uses: dict[str, Use] = {}
    for importer in traced:
        for dotted in importer.imports:
            top = _top(dotted.partition(".")[0], folders)
            if top is not None and top[0] != traced[0].file:
                source, search = top
                place = search.prefix + source.name
                uses.setdefault(place, Use(source, place, f"{importer.title} imports it"))
    return list(uses.values())


def named(traced: Sequence[Module], root: Path) -> list[Use]:
    """The files and folders that the sources name, and that there are.

    A path that is built on `__file__` is sought beside the sources; any other in the root, which stands
    for the working folder: in the container that is the model folder.
    """
    by_file = _names_built_on_file([module.tree for module in traced])
    uses: dict[tuple[str, bool], Use] = {}
    for module in traced:
        for path in _paths(module.tree, by_file):
            use = _use(path, module, root)
            if use is not None:
                uses.setdefault((use.place, use.by_source), use)
    return list(uses.values())


def is_own(name: str, folders: Sequence[SearchFolder]) -> bool:
    """Whether a package or module of this name is the project's own."""
    return _top(name, folders) is not None


@dataclass(frozen=True, slots=True)
class _Path:
    """A relative path in a source, and whether it is built on `__file__`."""

    parts: tuple[str, ...]
    by_source: bool


def _use(path: _Path, module: Module, root: Path) -> Use | None:
    here = SearchFolder(root, "")
    for search in (module.search, here) if path.by_source else (here,):
        source = search.folder.joinpath(*path.parts)
        # Not Path's own: it raises for names that are too long, and literals may hold anything.
        if os.path.exists(source):  # noqa: PTH110
            place = search.prefix + "/".join(path.parts)
            return Use(source, place, f"{module.title} names it", path.by_source)
    return None


def _parsed(name: str, file: Path, search: SearchFolder) -> Module:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        # What is wrong with a source is for preflight to say; here it only uses nothing.
        tree = ast.Module([], [])
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    return Module(name, file, search, tree, tuple(dict.fromkeys(_imports(tree, package))))


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """The dotted names that may be modules; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in _IMPORTERS and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    above = package.split(".")
    above = above[: len(above) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])]) if package and above else ""


def _top(name: str, folders: Sequence[SearchFolder]) -> tuple[Path, SearchFolder] | None:
    """The project's own package or module of this name. The standard library's come first, as at AWS."""
    if not name or name in sys.stdlib_module_names:
        return None
    for search in folders:
        package, module = search.folder / name, search.folder / f"{name}.py"
        if (package / "__init__.py").is_file():
            return package, search
        if module.is_file():
            return module, search
        if any(package.glob("*.py")) or any(package.glob("*/*.py")):
            return package, search  # a package without __init__.py
    return None


def _resolved(dotted: str, folders: Sequence[SearchFolder]) -> Iterator[tuple[str, Path, SearchFolder]]:
    """Each module that importing this name runs, outermost first."""
    parts = dotted.split(".")
    top = _top(parts[0], folders)
    if top is None:
        return
    path, search = top
    if path.suffix == ".py":
        yield parts[0], path, search
        return
    for count in range(1, len(parts) + 1):
        inside = search.folder.joinpath(*parts[:count])
        for file in (inside / "__init__.py", inside.with_suffix(".py")):
            if file.is_file():
                yield ".".join(parts[:count]), file, search
                break


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _names_built_on_file(trees: Sequence[ast.Module]) -> frozenset[str]:
    """The variables whose value comes from `__file__`, in any of the sources, through any of them."""
    assigned = [(target.id, value) for tree in trees for target, value in _assignments(tree) if _loads(value)]
    names = {"__file__"}
    while True:
        more = {name for name, value in assigned if names & _loads(value)} - names
        if not more:
            return frozenset(names)
        names |= more


def _assignments(tree: ast.Module) -> Iterator[tuple[ast.Name, ast.expr]]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name() as target], value=value):
                yield target, value
            case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
                yield target, value


def _loads(value: ast.AST) -> frozenset[str]:
    """The variables and attributes that an expression reads."""
    names = set()
    for node in ast.walk(value):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
    return frozenset(names)


def _paths(tree: ast.Module, by_file: frozenset[str]) -> Iterator[_Path]:
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        pieces = _pieces(node)
        if pieces == [node]:
            waiting.extend(ast.iter_child_nodes(node))
            continue
        unknown = [piece for piece in pieces if isinstance(piece, ast.AST)]
        for piece in unknown:
            waiting.extend(ast.iter_child_nodes(piece))
        parts = _known_part(pieces)
        if parts:
            yield _Path(parts, any(by_file & _loads(piece) for piece in unknown))


def _pieces(node: ast.AST) -> list[str | ast.AST]:
    """The parts of a path that an expression spells out, and between them what is not known."""
    match node:
        case ast.Constant(value=str(text)):
            return ["/", *text.split("/")] if text.startswith("/") else [*text.split("/")]
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _pieces(left) + _pieces(right)
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *rest]):
            return [*text.split("/")[:-1], *rest]
        case ast.Call(args=args) if args and _called(node) in _PATHS | _JOINERS:
            receiver = _receiver(node)
            return [piece for part in [*receiver, *args] for piece in _pieces(part)]
    return [node]


def _receiver(node: ast.Call) -> list[ast.expr]:
    if isinstance(node.func, ast.Attribute) and node.func.attr == "joinpath":
        return [node.func.value]
    return []


def _known_part(pieces: Sequence[str | ast.AST]) -> tuple[str, ...]:
    """The parts up to what is not known, and after at most one unknown folder at the front."""
    if pieces and isinstance(pieces[0], ast.AST):
        pieces = pieces[1:]
    parts: list[str] = []
    for piece in pieces:
        if isinstance(piece, ast.AST) or any(mark in piece for mark in "*?["):
            break
        parts.append(piece)
    if not _is_relative(parts):
        return ()
    return tuple(part for part in parts if part not in ("", "."))


def _is_relative(parts: Sequence[str]) -> bool:
    return not ({"/", ".."} & set(parts) or any("\0" in part for part in parts))
