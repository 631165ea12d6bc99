"""A project's folder, as its deployment environment names its parts."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hotfire import image_order, preflight, ray_files, tracing
from hotfire.archive import unpack
from hotfire.environment import Environment, home
from hotfire.errors import ArchiveError, ConfigError, ProjectError
from hotfire.hashes import HashCache
from hotfire.model_data import ModelData
from hotfire.packed import opened
from hotfire.preflight import Finding, rules
from hotfire.preflight.rules import Verdict
from hotfire.preflight.subject import Measured, Subject
from hotfire.sources import Sources, collect

_GIT_SECONDS = 5.0


def sources(environment: Environment) -> Sources:
    """What the project gives to its model data. Raises ProjectError if there is no handler."""
    return Sources(
        root=environment.root,
        handler=environment.handler(),
        source_dir=environment.source_dir,
        artifacts=environment.artifacts,
        left_out=(
            environment.archive_file,
            environment.examples,
            environment.file,
            *image_order.written(environment),
        ),
    )


def collected(environment: Environment) -> ModelData:
    """The project's model data, with what preflight warns of among its notes.

    Raises HandlerError for what preflight finds to be wrong, ProjectError, ArchiveError.
    """
    data, verdict = inspected(environment, only_local=environment.is_local)
    return _noted(data, verdict)


@contextmanager
def unpacked(environment: Environment, archive: Path) -> Iterator[ModelData]:
    """The same of a `model.tar.gz`, whose files are there as long as they are needed."""
    with opened(environment, archive) as data:
        if data.entries:
            first = data.entries[0]
            inside = Path(str(first.source).removesuffix(first.place))
            subject = rules.of_folder(inside, archive, environment, environment.python)
            verdict = _named_in(archive, inside, rules.judge(subject, only_local=environment.is_local))
            data = _noted(data, verdict)
        yield ray_files.completed(environment, data)


def _noted(data: ModelData, verdict: Verdict) -> ModelData:
    """The model data with the warnings among its notes. Raises HandlerError for errors."""
    preflight.require(verdict.findings)
    warnings = (one.text for one in verdict.findings if one.severity == "warning")
    return replace(data, notes=(*warnings, *data.notes))


def inspected(environment: Environment, *, only_local: bool = False) -> tuple[ModelData, Verdict]:
    """The project's model data and what preflight finds; with `only_local` nothing that is about AWS.

    Raises HandlerError for a handler that cannot be read, ConfigError for wrong rules in `preflight`,
    ProjectError, ArchiveError.
    """
    subject, data = examined(environment)
    return data, rules.judge(subject, only_local=only_local)


def checked(
    environment: Environment, measure: Callable[[Environment, ModelData], Measured] | None = None
) -> Verdict:
    """What preflight finds in the project, also where its handler cannot be read.

    `measure` says what a running endpoint shows. Raises ConfigError, ProjectError, ArchiveError.
    """
    alone = Verdict(tuple(preflight.check(environment.handler())))
    if not alone.passed:
        return alone  # what cannot be parsed cannot be collected for
    subject, data = examined(environment)
    if measure is not None:
        subject = replace(subject, measured=measure(environment, data))
    return rules.judge(subject)


def inspected_archive(archive: Path, environment: Environment | None) -> Verdict:
    """What preflight finds in a `model.tar.gz`, for an environment or on its own.

    Its files are named as if the archive were a folder. Raises ArchiveError, ConfigError.
    """
    python = environment.python if environment else Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="hotfire-") as folder:
        inside = Path(folder).resolve() / "model"
        unpack(archive, inside)
        return _named_in(archive, inside, rules.judge(rules.of_folder(inside, archive, environment, python)))


def _named_in(archive: Path, folder: Path, verdict: Verdict) -> Verdict:
    """The findings in an unpacked archive, as if that were a folder."""

    def named(finding: Finding) -> Finding:
        if not finding.file.is_relative_to(folder):
            return finding
        return replace(finding, file=archive / finding.file.relative_to(folder))

    findings = tuple(map(named, verdict.findings))
    silenced = tuple(replace(one, finding=named(one.finding)) for one in verdict.silenced)
    return Verdict(findings, silenced)


def measured(
    environment: Environment, measure: Callable[[Environment, ModelData], Measured]
) -> tuple[Finding, ...]:
    """What preflight finds in what a running endpoint of the project shows, and nothing else."""
    subject, data = examined(environment)
    verdict = rules.judge(replace(subject, measured=measure(environment, data)))
    names = {rule.name for rule in rules.RULES} - {rule.name for rule in rules.STATIC}
    return tuple(finding for finding in verdict.findings if finding.rule in names)


def examined(environment: Environment) -> tuple[Subject, ModelData]:
    """What preflight judges of the project, and its model data."""
    origin = sources(environment)
    # Without the places first: a handler that cannot be parsed cannot be collected for either.
    preflight.require(preflight.check(origin.handler))
    traced = tracing.modules(origin.handler, origin.search_folders)
    data = collect(origin, HashCache(home() / "hashes.json"), traced)
    subject = rules.of_project(environment, data, origin.handler, origin.search_folders, traced)
    return subject, ray_files.completed(environment, data)


def requirements(environment: Environment) -> Path | None:
    """The file that becomes code/requirements.txt. Raises ProjectError, ArchiveError."""
    return collect(sources(environment), HashCache(home() / "hashes.json")).requirements


def working_sha256(environment: Environment) -> str | None:
    """The hash of the model data as the project now is; None if it cannot be collected."""
    try:
        data = collect(sources(environment), HashCache(home() / "hashes.json"))
        return ray_files.completed(environment, data).sha256
    except (ProjectError, ArchiveError, ConfigError):
        return None


def commit(root: Path) -> str | None:
    """The commit that is checked out there; None without git, or outside of a repository."""
    command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
