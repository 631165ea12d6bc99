"""All rules, and how they are applied to a project or an archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hotfire import tracing
from hotfire.config_file import nearest
from hotfire.environment import HANDLER_NAMES, Environment
from hotfire.errors import ConfigError
from hotfire.model_data import ModelData
from hotfire.preflight import handler, hosting, imports, layout, measured, pins, ray, sources
from hotfire.preflight.finding import SEVERITIES, Finding, Rule
from hotfire.preflight.installed import Installed
from hotfire.preflight.subject import CODE, Subject, line_of, requirements_of
from hotfire.tracing import Module, SearchFolder

STATIC: tuple[Rule, ...] = (
    *handler.RULES,
    *layout.RULES,
    *imports.RULES,
    *pins.RULES,
    *sources.RULES,
    *hosting.RULES,
    *ray.RULES,
)
"""The rules that read, and neither run anything nor ask anybody."""

RULES = (*STATIC, *measured.RULES)
"""All of them; those that measure find nothing where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Silenced:
    """A finding that config.yml silences, and why."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, the worst first, and what of it config.yml silences."""

    findings: tuple[Finding, ...]
    silenced: tuple[Silenced, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing of it stops a deploy."""
        return not any(finding.severity == "error" for finding in self.findings)


def judge(subject: Subject, *, only_local: bool = False) -> Verdict:
    """Apply the rules.

    With `only_local` those about AWS are left out. Raises ConfigError for a rule that is silenced without
    a reason, or that there is not.
    """
    ignored = ignored_rules(subject.environment)
    rules = [rule for rule in RULES if not (only_local and rule.of_aws)]
    found = [finding for rule in rules for finding in rule.findings(subject)]
    found.sort(key=_order)
    return Verdict(
        tuple(finding for finding in found if finding.rule not in ignored),
        tuple(Silenced(finding, ignored[finding.rule]) for finding in found if finding.rule in ignored),
    )


def of_project(
    environment: Environment,
    data: ModelData,
    handler_file: Path,
    folders: Sequence[SearchFolder],
    modules: Sequence[Module],
) -> Subject:
    """A project with its model data; `modules` are its sources as they were traced."""
    places = {entry.place: entry.source for entry in data.entries}
    return Subject(
        handler=handler_file,
        root=environment.root,
        modules=tuple(modules),
        folders=tuple(folders),
        sizes={entry.place: entry.size for entry in data.entries},
        sources=places,
        requirements=requirements_of(places),
        environment=environment,
        installed=Installed(environment.python),
    )


def of_folder(folder: Path, origin: Path, environment: Environment | None, installed: Path) -> Subject:
    """An unpacked archive, on its own or for an environment; `installed` is a Python with packages."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    places = {path.relative_to(folder).as_posix(): path for path in files}
    folders = (SearchFolder(folder / CODE, CODE), SearchFolder(folder, ""))
    handler_file = _handler_of(places, folder, environment)
    modules = tracing.modules(handler_file, folders) if handler_file.is_file() else []
    return Subject(
        handler=handler_file,
        root=folder,
        modules=tuple(modules),
        folders=folders,
        sizes={place: path.stat().st_size for place, path in places.items()},
        sources=places,
        requirements=requirements_of(places),
        environment=environment,
        installed=Installed(installed),
        origin=origin,
    )


def _handler_of(places: Mapping[str, Path], folder: Path, environment: Environment | None) -> Path:
    """The file that the container would take for the handler; its usual place if there is none."""
    given = environment.entry_point if environment else None
    names = [Path(given).name] if given else [Path(name).name for name in HANDLER_NAMES]
    if environment is None:
        names.reverse()  # without a word on it, the container takes inference.py
    for name in names:
        if f"{CODE}{name}" in places:
            return places[f"{CODE}{name}"]
    alone = [place for place in places if place.startswith(CODE) and place.endswith(".py")]
    if len(alone) == 1 and not given:
        return places[alone[0]]
    return folder / CODE / (Path(given).name if given else "inference.py")


def ignored_rules(environment: Environment | None) -> Mapping[str, str]:
    """The silenced rules with their reasons. Raises ConfigError for one that has none, or is unknown."""
    if environment is None or not environment.preflight:
        return {}
    ignored = environment.preflight.get("ignore", {})
    if not isinstance(ignored, dict) or set(environment.preflight) - {"ignore"}:
        advice = "Write `preflight: {ignore: {RULE: reason}}`."
        raise _wrong(environment, "preflight holds `ignore` alone", advice, "preflight")
    known = [rule.name for rule in RULES]
    for name, reason in ignored.items():
        keys = ("preflight", "ignore", name)
        if name not in known:
            near = nearest(name, known)
            advice = f"Did you mean {near!r}?" if near else "docs/preflight.md lists the rules."
            raise _wrong(environment, f"preflight: there is no rule {name!r}", advice, *keys)
        if not isinstance(reason, str) or not reason.strip():
            message = f"preflight: the rule {name!r} is silenced without a reason"
            raise _wrong(environment, message, f"Write why: `{name}: the reason`.", *keys)
    return ignored


def _wrong(environment: Environment, message: str, advice: str, *keys: str) -> ConfigError:
    line = line_of(environment, *keys)
    return ConfigError(message, advice, file=environment.file, line=line, key=".".join(keys))


def _order(finding: Finding) -> tuple[int, str, int]:
    return SEVERITIES.index(finding.severity), str(finding.file), finding.line or 0
