"""Whether an edit may be made with the model kept, and if so in which functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from hotfire.changes.comparison import Comparison, Renewed
from hotfire.changes.modules import Module
from hotfire.changes.obstacle import Obstacle
from hotfire.changes.project import Project, Sources, module_name
from hotfire.changes.usage import Usage

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Patch:
    """Functions of the module at `place` that are to be made anew from its new source, and names to delete.

    `names` are changed functions, which keep their identity and take the new code and defaults, and new ones.
    """

    place: str
    names: tuple[str, ...]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the model may be kept, why in one short sentence, and what is to be done then.

    Without patches there is nothing to do: what changed is not run. A patch of a module that is not loaded
    yet needs nothing either, since it will be read from the new source.
    """

    keep: bool
    reason: str
    patches: tuple[Patch, ...] = field(default=())


def decide(
    before: Sources, after: Sources, entry: str, other_changes: Collection[str] = frozenset()
) -> Decision:
    """Whether the edit that leads from `before` to `after` may be made in a model that is loaded.

    `before` is what the process was loaded from whose model is to be kept, not the last edit before this one.
    Both hold every module on the handler's module path by its place there; `entry` is the handler's.
    `other_changes` name whatever else has changed: artifacts, data.

    Only functions that nothing used while the model was loaded may differ, and nothing else of what is run.
    Where it cannot be seen who uses what, the answer is no.
    """
    try:
        changed = sorted(
            place for place in before.keys() | after.keys() if before.get(place) != after.get(place)
        )
        others = sorted({*other_changes, *(place for place in changed if not place.endswith(".py"))})
        if others:
            raise Obstacle(f"{_listed(others)} changed")
        renewed = [*_renewed(before, after, entry, changed)] if changed else []
    except Obstacle as obstacle:
        return Decision(False, f"full reload: {obstacle}")
    patches = [Patch(one.place, (*one.changed, *one.new), one.removed) for one in renewed]
    return Decision(True, _kept(renewed, entry), tuple(sorted(patches, key=lambda patch: patch.place)))


def _renewed(before: Sources, after: Sources, entry: str, changed: Sequence[str]) -> Iterator[Renewed]:
    """What the changed modules have anew. Raises Obstacle."""
    old, new = Project(before, entry), Project(after, entry)
    for place in changed:
        _require_readable(new, place)
    old_modules, new_modules = _imported(old, "before"), _imported(new, "")
    for modules, project in ((old_modules, old), (new_modules, new)):
        _require_plain_ways(project, modules)
    _require_same_files(old, new, old_modules)
    usage = Usage(old, new)
    for place in changed:
        name = module_name(place)
        if name not in old_modules and name not in new_modules:
            _require_not_unpickled(place, usage)
    for name in new_modules:
        if name in old_modules and new.places[name] in changed:
            renewed = Comparison(old, new, name, usage).renewed()
            if renewed is not None:
                yield renewed
    _require_same_imports(old, new)


def _require_readable(project: Project, place: str) -> None:
    if place in project.sources:
        try:
            project.at(place)
        except SyntaxError as error:
            raise _unreadable(error) from error


def _imported(project: Project, when: str) -> dict[str, Module]:
    if project.entry not in project.sources:
        raise Obstacle(f"there is no {project.entry}{' yet' if when else ''}")
    try:
        return dict(project.imported)
    except SyntaxError as error:
        raise _unreadable(error, when) from error


def _unreadable(error: SyntaxError, when: str = "") -> Obstacle:
    message = f"syntax error{' before' if when else ''}: {error.msg}"
    return Obstacle(message, error.filename, error.lineno)


def _require_plain_ways(project: Project, modules: dict[str, Module]) -> None:
    """Refuse what may reach, load or change any module without naming it."""
    for name, module in modules.items():
        if module.opaque is not None:
            line, what = module.opaque
            message = f"through {what} anything may be used"
            raise Obstacle(message, project.places[name], line)


def _require_same_files(old: Project, new: Project, old_modules: dict[str, Module]) -> None:
    """Refuse a module that comes or goes where the name of another may be meant."""
    known = {name.partition(".")[0] for name in old_modules}
    for place in sorted(old.sources.keys() ^ new.sources.keys()):
        change = "is new" if place in new.sources else "is gone"
        name = module_name(place)
        if place.endswith("__init__.py"):
            raise Obstacle(f"{place} {change}")
        if name in old_modules:
            raise Obstacle(f"{place} {change}, which is imported")
        if "." not in name or name.partition(".")[0] not in known:
            raise Obstacle(f"{place} {change}, and other packages may have a module of its name")


def _require_same_imports(old: Project, new: Project) -> None:
    for name in new.imported:
        if name not in old.imported:
            raise Obstacle(f"{new.places[name]} is imported now")
    for name in old.imported:
        if name not in new.imported:
            raise Obstacle(f"{old.places[name]} is imported no more")


def _require_not_unpickled(place: str, usage: Usage) -> None:
    by = usage.unpickles
    if by is not None:
        raise Obstacle(f"{place} changed, and {by} may load objects that are defined there")


def _kept(renewed: Sequence[Renewed], entry: str) -> str:
    if not renewed:
        return "kept the model: nothing that runs changed"

    def titles(kind: str) -> list[str]:
        return [
            name if one.place == entry else f"{name} ({one.place})"
            for one in sorted(renewed, key=lambda one: (one.place != entry, one.place))
            for name in getattr(one, kind)
        ]

    changed, added, removed = titles("changed"), titles("new"), titles("removed")
    parts = [
        *([f"only {_listed(changed)} changed"] if changed else []),
        *([f"{_listed(added)} {'is' if len(added) == 1 else 'are'} new"] if added else []),
        *([f"{_listed(removed)} {'is' if len(removed) == 1 else 'are'} gone"] if removed else []),
    ]
    return f"kept the model: {', '.join(parts)}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
