"""Who uses what of a project: what loading the model does, and what requests do."""

from __future__ import annotations

from collections.abc import Iterator

from hotfire.changes.code import Code
from hotfire.changes.modules import Module, Statement, function_of
from hotfire.changes.obstacle import Obstacle
from hotfire.changes.project import Project, module_name
from hotfire.changes.reach import Reach

LOADING = ("pre_model_fn", "model_fn", "model_warmup_fn")
REQUESTS = ("input_fn", "predict_fn", "output_fn", "transform_fn")
"""The functions of a handler that the inference toolkit calls, once and for each request."""

AT_IMPORT = "an import"


class Usage:
    """What the loaded process has used, by its sources, and what requests use before and after an edit.

    Raises Obstacle if it cannot be known.
    """

    def __init__(self, old: Project, new: Project) -> None:
        self.entry = module_name(old.entry)
        self._loaded = Reach(old)
        for name in LOADING:
            self._loaded.root(self.entry, name, name)
        for kind in ("class", "import"):
            for name, module in old.imported.items():
                self._add_imported(name, module, kind)
        if self._loaded.unclear is not None:
            where = self._loaded.unclear
            message = f"{where.what}, so anything may be used"
            raise Obstacle(message, old.places[where.module], where.line)
        self._places = old.places
        self._requests = [self._of_requests(project) for project in (old, new)]

    def user(self, module: str, name: str) -> str | None:
        """Who used a name while the model was loaded: a function, a class, or `AT_IMPORT`."""
        return self._loaded.users.get((module, name))

    def is_imported(self, module: str, name: str) -> bool:
        """Whether loading ran an import of that name from that module."""
        return (module, name) in self._loaded.imported

    def serves(self, module: str, name: str) -> bool:
        """Whether requests use the name."""
        return any((module, name) in reach.users for reach in self._requests)

    @property
    def unpickles(self) -> str | None:
        """By what the model's loading unpickles objects, which may use more than can be seen."""
        by = self._loaded.unpickles
        return f"{by.what} ({self._places[by.module]} line {by.line})" if by is not None else None

    def _add_imported(self, name: str, module: Module, kind: str) -> None:
        for one in module.statements:
            if one.facts.kind == "class" and kind == "class":
                self._loaded.add(name, one, one.facts.runs, one.facts.name)
            elif kind == "import":
                for code in _run_at_import(one, module):
                    self._loaded.add(name, one, code, AT_IMPORT)

    def _of_requests(self, project: Project) -> Reach:
        reach = Reach(project)
        for name in REQUESTS:
            reach.root(self.entry, name, name)
        for name, module in project.imported.items():
            for one in module.main:
                reach.add(name, one, one.facts.runs, "main")
        return reach


def _run_at_import(statement: Statement, module: Module) -> Iterator[Code]:
    yield statement.facts.runs
    if statement.facts.kind != "function":
        return
    function = function_of(statement)
    if not module.postpones_annotations:
        yield function.annotation_code
    handed_on = not all(map(module.is_neutral, function.decorators))
    if handed_on or function.name.startswith("__"):
        # A decorator may call it, or read its code; Python calls `__getattr__` and its like.
        yield function.body
