"""What some code of a project may use, through any of its modules: by the names that it mentions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hotfire.changes.code import NOTHING, Chain, Code, Load
from hotfire.changes.modules import Line, Module, Statement, function_of
from hotfire.changes.project import Project

Name = tuple[str, str]
"""A module and a name of its top level."""

# Loads that make nothing but plain values and tensors.
_PLAIN_LOADS = frozenset(
    {
        *("json.load", "json.loads", "tomllib.load", "tomllib.loads", "torch.jit.load", "onnx.load"),
        *("safetensors.torch.load", "torchaudio.load", "tokenizers.Tokenizer.load"),
    }
)
_PLAIN_UNLESS = {"numpy.load": "allow_pickle"}
_PLAIN_IF = {"torch.load": "weights_only"}


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a module, and what is there."""

    module: str
    line: Line
    what: str


class Reach:
    """What is reached from code that is added to it.

    It errs on one side: a name counts as used wherever it stands, even if it is a local variable's, and a
    function or class that is mentioned counts as run with all that is in it.
    """

    def __init__(self, project: Project) -> None:
        self.users: dict[Name, str] = {}
        """Each name that is used, with who uses it first."""
        self.imported: set[Name] = set()
        """The names that the reached code imports from modules."""
        self.unclear: Place | None = None
        """Where the reached code handles a module, or its names, as a value: then anything may be used."""
        self.unpickles: Place | None = None
        """Where the reached code loads objects, which may be of any module."""
        self._project = project
        self._read: set[tuple[str, int]] = set()
        self._waiting: list[tuple[str, Module, Statement, Code]] = []

    def add(self, name: str, statement: Statement, code: Code, user: str) -> None:
        """Follow a statement's code in the module of this name; `user` is what it is to be called."""
        if code is not NOTHING:
            self._wait(name, self._project.imported[name], statement, code)
            self._drain(user)

    def root(self, module: str, name: str, user: str) -> None:
        """Follow a name that is called from outside."""
        self._mention(module, name, user)
        self._drain(user)

    def _mention(self, module: str, name: str, user: str) -> None:
        """Follow a name of a module."""
        if (module, name) in self.users or module not in self._project.imported:
            return
        self.users[module, name] = user
        found = self._project.imported[module]
        for one in found.functions.get(name, ()):
            self._wait(module, found, one, function_of(one).body)
        for one in found.classes.get(name, ()):
            self._wait(module, found, one, one.facts.runs)
        for imported in found.imports.get(name, ()):
            if imported.name:
                self._mention(self._project.base(module, imported), imported.name, user)
        for _, star in found.stars:
            self._mention(self._project.base(module, star), name, user)

    def _drain(self, user: str) -> None:
        while self._waiting:
            self._follow(*self._waiting.pop(), user)

    def _wait(self, name: str, module: Module, statement: Statement, code: Code) -> None:
        self._waiting.append((name, module, statement, code))

    def _follow(self, name: str, module: Module, statement: Statement, code: Code, user: str) -> None:
        if (name, id(code)) in self._read:
            return
        self._read.add((name, id(code)))
        # What binds a name does not use it; what a function binds is its own, or a global that it shares.
        own = () if statement.facts.kind == "function" else statement.facts.binds
        names = (((one,), line) for one, line in code.names.items() if one not in own)
        mentioned = [*names, *code.chains.items()]
        for parts, line in mentioned:
            self._follow_chain(name, module, parts, statement.at(line), user)
        for parts in code.texts:
            self._follow_text(parts, user)
        froms = (one for one in code.imports if one.name)
        self.imported.update((self._project.base(name, one), one.name) for one in froms)
        for what, line in code.peeks.items():
            self._note(name, statement.at(line), f"{what} is read")
        for load in code.loads:
            self._follow_load(name, module, load, statement.at(load.line))

    def _follow_chain(self, name: str, module: Module, parts: Chain, line: Line, user: str) -> None:
        self._mention(name, parts[0], user)
        for found in self._modules(name, module, parts[0]):
            inner = found
            for part in parts[1:]:
                self._mention(inner, part, user)
                if part.startswith("__"):
                    self._note(name, line, f"{'.'.join(parts)} is read")
                if not self._project.is_module(f"{inner}.{part}"):
                    break
                inner = f"{inner}.{part}"
            else:
                self._note(name, line, f"the module {'.'.join(parts)} is used as a value")

    def _follow_text(self, parts: Chain, user: str) -> None:
        """A text such as `textkit.clean.normalise`, by which a function may be looked up."""
        module, name = ".".join(parts[:-1]), parts[-1]
        found = self._project.imported.get(module)
        if found is not None and (name in found.functions or name in found.classes):
            self._mention(module, name, user)

    def _follow_load(self, name: str, module: Module, load: Load, line: Line) -> None:
        if self.unpickles is None and not self._is_plain(name, module, load):
            self.unpickles = Place(name, line, ".".join(part for part in load.chain if part))

    def _is_plain(self, name: str, module: Module, load: Load) -> bool:
        top = load.chain[0]
        if top in module.functions or top in module.classes or any(self._modules(name, module, top)):
            return True  # the project's own, which is followed
        if any(one.dots for one in module.imports.get(top, ())):
            return True
        full = [*module.full_names(load.chain)]
        return bool(full) and all(self._is_plain_load(one, load) for one in full)

    def _is_plain_load(self, full_name: str, load: Load) -> bool:
        if full_name in _PLAIN_UNLESS:
            return _PLAIN_UNLESS[full_name] not in load.switched_on
        if full_name in _PLAIN_IF:
            return _PLAIN_IF[full_name] in load.switched_on
        return full_name in _PLAIN_LOADS or self._project.is_module(full_name.partition(".")[0])

    def _modules(self, name: str, module: Module, mentioned: str) -> Iterator[str]:
        """The project's modules that a name may be."""
        for one in module.imports.get(mentioned, ()):
            found = f"{self._project.base(name, one)}.{one.name}" if one.name else one.meant
            if self._project.is_module(found):
                yield found

    def _note(self, name: str, line: Line, what: str) -> None:
        self.unclear = self.unclear or Place(name, line, what)
