"""One module before and after an edit: what has to be the same, and the functions that may differ."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from hotfire.changes.code import Import
from hotfire.changes.modules import Module, Statement, function_of
from hotfire.changes.obstacle import Obstacle
from hotfire.changes.project import Project
from hotfire.changes.statements import Function
from hotfire.changes.usage import AT_IMPORT, LOADING, REQUESTS, Usage

_SUBSCRIPTED = frozenset({"list", "dict", "tuple", "set", "frozenset", "type"})
_TYPING = ("typing.", "collections.abc.")


@dataclass(frozen=True, slots=True)
class Renewed:
    """The functions of a module that are to be made anew."""

    place: str
    changed: tuple[str, ...]
    new: tuple[str, ...]
    removed: tuple[str, ...]


class Comparison:
    """A module of both projects."""

    def __init__(self, old: Project, new: Project, name: str, usage: Usage) -> None:
        self._name, self._usage = name, usage
        self._project, self._place = old, new.places[name]
        self._old, self._new = old.imported[name], new.imported[name]
        modules = (*old.imported.values(), *new.imported.values())
        self._docstrings_count = any(module.reads_docstrings for module in modules)

    def renewed(self) -> Renewed | None:
        """What is to be made anew; None if nothing is. Raises Obstacle."""
        self._require_same_frame()
        changed = tuple(self._changed())
        new = tuple(name for name in self._new_free if name not in self._old_free)
        removed = tuple(self._removed())
        self._require_annotations({*changed, *new})
        if not (changed or new or removed):
            return None
        if self._name.partition(".")[0] in sys.stdlib_module_names:
            raise self._obstacle("Python itself has a module of this name")
        return Renewed(self._place, changed, new, removed)

    @cached_property
    def _old_free(self) -> dict[str, Statement]:
        """The functions that nothing has used yet and that a definition alone makes."""
        return {
            name: one
            for name, (one, *_) in self._old.functions.items()
            if not self._bond(one, self._old) and self._usage.user(self._name, name) is None
        }

    @cached_property
    def _new_free(self) -> dict[str, Statement]:
        found = {
            name: one for name, (one, *_) in self._new.functions.items() if not self._bond(one, self._new)
        }
        return {
            name: one
            for name, one in found.items()
            if name in self._old_free or (name not in self._old.bound and not self._why_not_new(name))
        }

    def _bond(self, statement: Statement, module: Module) -> str:
        """What ties a function to more than its definition; empty if nothing does."""
        function = function_of(statement)
        if not all(map(module.is_thin, function.decorators)):
            return "is decorated"
        if module.bound[function.name] > 1:
            return "is bound more than once"
        if function.has_type_parameters:
            return "has type parameters"
        if not function.has_literal_defaults:
            return "has a default that is computed"
        if "__" in function.name:
            return "has a name that Python treats as its own"
        if self._project.is_module(f"{self._name}.{function.name}"):
            return "has the name of a module"
        if any(line > statement.line for line, _ in module.stars):
            return "may be replaced by an `import *`"
        return ""

    def _why_not_new(self, name: str) -> str:
        """Why a name must not come, or go; empty if it may."""
        if self._name == self._usage.entry and name in (*LOADING, *REQUESTS):
            return "the inference toolkit looks for it when it loads the handler"
        if self._usage.user(self._name, name) is not None:
            return f"{self._usage.user(self._name, name)} uses that name"
        if hasattr(builtins, name):
            return "Python has a function of that name"
        if self._new.stars or self._old.stars:
            return "an `import *` may bring the name too"
        if self._usage.is_imported(self._name, name):
            return "another module imports it"
        if self._project.is_module(f"{self._name}.{name}"):
            return "a module has that name"
        if any(True for _ in self._stars_on_this()):
            return "another module imports all names"
        return ""

    def _stars_on_this(self) -> Iterator[Import]:
        for name, module in self._project.imported.items():
            yield from (one for _, one in module.stars if self._project.base(name, one) == self._name)

    def _changed(self) -> Iterator[str]:
        for name, new in self._new_free.items():
            old = self._old_free.get(name)
            if old is not None and not self._means(old, new, free=True):
                self._require_changeable(name, old, new)
                yield name

    def _require_changeable(self, name: str, old: Statement, new: Statement) -> None:
        was, is_now = function_of(old), function_of(new)
        is_toolkits = self._name == self._usage.entry and name in REQUESTS
        if not self._usage.serves(self._name, name):
            raise self._obstacle(f"{name} changed, and it cannot be seen who calls it", new)
        if was.decorator_texts != is_now.decorator_texts:
            raise self._obstacle(f"the decorators of {name} changed", new)
        if (is_toolkits or was.decorators) and was.flavour != is_now.flavour:
            raise self._obstacle(f"{name} was a {was.flavour} and is a {is_now.flavour}", new)
        if self._usage.unpickles is not None and self._name != self._usage.entry:
            by = self._usage.unpickles
            raise self._obstacle(f"{name} changed, and what {by} loads may call it", new)
        for written in sorted(was.body.global_names | is_now.body.global_names):
            user = self._usage.user(self._name, written)
            if user is not None:
                by = "which is used at import" if user == AT_IMPORT else f"which {user} uses"
                raise self._obstacle(f"{name} changed, which sets the global {written}, {by}", new)

    def _removed(self) -> Iterator[str]:
        for name in self._old_free:
            if name not in self._new.bound:
                why = self._why_not_new(name)
                if why:
                    raise self._obstacle(f"{name} is gone, and {why}")
                yield name

    def _require_same_frame(self) -> None:
        """Refuse if anything differs but the free functions, or comes in another order."""
        old = [one for one in self._old.statements if not self._is_free(one, self._old_free)]
        new = [one for one in self._new.statements if not self._is_free(one, self._new_free)]
        pairs = zip_longest(old, new)
        if all(a is not None and b is not None and self._means(a, b) for a, b in pairs):
            return
        raise self._difference(old, new)

    def _is_free(self, statement: Statement, free: dict[str, Statement]) -> bool:
        return free.get(statement.facts.name) is statement

    def _means(self, old: Statement, new: Statement, *, free: bool = False) -> bool:
        """Whether both do the same.

        A docstring counts where somebody may read it, and so does that of a function that was used.
        """
        if old.text == new.text:
            return True
        used = old.facts.kind == "function" and not free and self._is_used(old.facts.name)
        return old.means(new, with_docstring=self._docstrings_count or used)

    def _is_used(self, name: str) -> bool:
        user = self._usage.user(self._name, name)
        return user is not None and user != name

    def _difference(self, old: Sequence[Statement], new: Sequence[Statement]) -> Obstacle:
        for one in new:
            if not any(self._means(other, one) for other in old):
                return self._obstacle(self._told(one), one)
        for one in old:
            if not any(self._means(one, other) for other in new):
                return self._obstacle(f"{_title(one)} is gone{self._used_by(one)}")
        return self._obstacle("the order of the definitions changed")

    def _told(self, statement: Statement) -> str:
        title, name = _title(statement), statement.facts.name
        known = any(self._old.bound[one] for one in statement.facts.binds) or not statement.facts.binds
        if statement.facts.kind == "function":
            return self._told_function(name, statement, known)
        return f"{title} {'changed' if known else 'is new'}{self._used_by(statement)}"

    def _told_function(self, name: str, statement: Statement, known: bool) -> str:
        if not known:
            why = self._bond(statement, self._new) or self._why_not_new(name)
            return f"{name} is new, and {why}"
        before = self._old.functions.get(name)
        was = self._bond(before[0], self._old) if before else "was no function"
        if self._usage.user(self._name, name) is not None:
            return f"{name} changed{self._used_by(statement)}"
        return f"{name} changed, and it {self._bond(statement, self._new) or was}"

    def _used_by(self, statement: Statement) -> str:
        verb = "reaches" if statement.facts.kind in ("function", "class") else "reads"
        for name in statement.facts.binds:
            user = self._usage.user(self._name, name)
            if user == AT_IMPORT:
                return ", which is used at import"
            if user is not None and user != name:
                return f", which {user} {verb}"
        return ""

    def _require_annotations(self, renewed: Collection[str]) -> None:
        """Refuse an annotation of which it is not sure that it can be evaluated where it stands.

        Those of functions that are to be made anew are evaluated once more, after all of the module.
        """
        if self._new.postpones_annotations:
            return
        evaluated = self._evaluated()
        for one in self._new_free.values():
            function, position = function_of(one), self._position(one)
            for annotation in function.annotations:
                known = evaluated.get(annotation)
                if (known is None or known > position) and not self._is_simple(annotation, one):
                    what = f"the annotation {annotation} of {function.name}"
                    raise self._obstacle(f"{what} is new here, and may not be defined", one)
            if function.name in renewed and self._is_rebound(function):
                raise self._obstacle(
                    f"{function.name} changed, and its annotations cannot be made again", one
                )

    def _is_rebound(self, function: Function) -> bool:
        """Whether a name in its annotations may be another's by now, or nobody's."""
        code = function.annotation_code
        return any(self._new.bound[name] > 1 for name in (*code.names, *(one[0] for one in code.chains)))

    def _evaluated(self) -> dict[str, int]:
        """Each annotation that the import has evaluated, with the number of statements run before it."""
        found: dict[str, int] = {}
        position = 0
        for one in self._old.statements:
            if one.facts.kind == "function":
                for annotation in function_of(one).annotations:
                    found.setdefault(annotation, position)
            position += not self._is_free(one, self._old_free)
        return found

    def _position(self, function: Statement) -> int:
        frame = (one for one in self._new.statements if not self._is_free(one, self._new_free))
        return sum(one.line < function.line for one in frame)

    def _is_simple(self, annotation: str, function: Statement) -> bool:
        """Whether it is made of names that are surely there, in forms that every Python takes."""
        return self._is_simple_node(ast.parse(annotation, mode="eval").body, function.line)

    def _is_simple_node(self, node: ast.expr, line: int) -> bool:
        match node:
            case ast.Constant():
                return True
            case ast.Name(id=name):
                return self._is_type(name, line)
            case ast.Subscript(value=ast.Name(id=name), slice=inner):
                generic = name in _SUBSCRIPTED or self._is_of_typing(name)
                return generic and self._is_type(name, line) and self._is_simple_node(inner, line)
            case ast.Tuple(elts=elements):
                return all(self._is_simple_node(one, line) for one in elements)
        return False

    def _is_type(self, name: str, line: int) -> bool:
        """Whether the name is that of a class or of an import above this line, or Python's own type."""
        if name not in self._new.bound:
            return isinstance(getattr(builtins, name, None), type)
        if self._new.bound[name] > 1:
            return False
        binding = next(one for one in self._new.statements if name in one.facts.binds)
        return binding.facts.kind in ("class", "import") and binding.line < line

    def _is_of_typing(self, name: str) -> bool:
        names = [*self._new.full_names((name,))]
        return bool(names) and all(one.startswith(_TYPING) for one in names)

    def _obstacle(self, what: str, statement: Statement | None = None) -> Obstacle:
        return Obstacle(what, self._place, statement.line if statement else None)


def _title(statement: Statement) -> str:
    name = statement.facts.name
    match statement.facts.kind:
        case "function":
            return name
        case "class":
            return f"the class {name}"
        case "import":
            return f"the import of {name}" if name else "an import of all names"
        case "variable" if name:
            return f"the {'constant' if name.isupper() else 'variable'} {name}"
    return f"the statement that sets {name}" if name else "a statement outside of functions"
