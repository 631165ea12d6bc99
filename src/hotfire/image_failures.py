"""Why there is no image: what pip, a shell or the engine printed, as a sentence and a next step; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hotfire.container_builds import BuildFailed
from hotfire.container_engine import explained
from hotfire.errors import EngineError, ProjectError

PYPI = "https://pypi.org/simple"
"""Where pip looks without saying so."""

_UNRESOLVED = "the requirements cannot be resolved"
_FULL = "no space left on device"
_MEND = "Mend requirements.txt, or `own_image` in config.yml if a package comes from elsewhere."
_UPDATE = "`hotfire image --update` chooses the versions anew."
_OTHER_BASE = "Name one by `own_image.base`, such as python:3.11-slim."
_OWN_WHEEL = "Build a wheel of it, and name its folder by `own_image.wheels`."

_LAST_RETRY = re.compile(r"Retrying \(Retry\(total=0,.*?after connection broken by '(.*)': (/\S*)$")
_ERRNO = re.compile(r"\[Errno -?\d+\] ([^'\"()\]]+)")
_UNTRUSTED = re.compile(r"certificate verify failed(?:: ([^('\"]+))?")
_INDEXES = "Looking in indexes:"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_UNSATISFIED = re.compile(
    r"Could not find a version that satisfies the requirement (.+?) \(from versions: (.*)\)$"
)
_IGNORED = "Ignored the following"
_FOR_ANOTHER_PYTHON = re.compile(r"([^\s;]+) Requires-Python ([^;]+)")
_MOST_VERSIONS = 3

_OTHER = re.compile(
    r"^\s+(\S+) from .*:\n\s+Expected sha256 ([0-9a-f]{64})\n\s+Got\s+([0-9a-f]{64})", re.MULTILINE
)

_NO_PROGRAM = re.compile(r"Cannot find command '(\w+)'")
_COLLECTING = re.compile(r"Collecting (.+?)(?: \(from .*\))?$")
_END_OF_OUTPUT = "[end of output]"
_UNPACKED = re.compile(r"/pip-install-[^/]+/(.+?)_[0-9a-f]{32}")
_NO_SHELL = re.compile(r"executable file .*not found|exec: \"sh\"")

_COMMAND = re.compile(r"The command '.*' returned a non-zero code: (\d+)", re.DOTALL)
_PODMANS_COMMAND = re.compile(r"building at STEP \".*\": while running runtime: exit status (\d+)", re.DOTALL)
_OF_THE_ENGINE = re.compile(r"Removing intermediate container|\s*-{2,3}> ")


@dataclass(frozen=True, slots=True)
class _Cause:
    message: str
    advice: str = ""


def unresolved(base: str, network: str, lines: Sequence[str]) -> ProjectError | EngineError:
    """No versions were chosen on this base; `lines` are what was printed last, `network` the build's."""
    if _tell_of_a_full_disk(lines):
        return EngineError(*explained(_UNRESOLVED, _FULL))
    cause = _of_pip(lines, network)
    if cause is not None:
        return ProjectError(f"{_UNRESOLVED}: {cause.message}", cause.advice)
    last = " ".join(lines[-4:])
    if "python3: not found" in last or "ensurepip" in last:
        message = f"the base image {base} has no Python that makes virtual environments"
        return EngineError(message, _OTHER_BASE)
    return EngineError(f"{_UNRESOLVED} on {base}: {last}")


def unstarted(base: str, error: EngineError) -> EngineError:
    """No shell was started in the base."""
    if _NO_SHELL.search(error.message):
        return EngineError(f"the base image {base} has no shell, which it takes to build on it", _OTHER_BASE)
    return error


def unbuilt(name: str, lock: Path, network: str, failure: BuildFailed) -> EngineError:
    """No image was built of what the lock says."""
    doing = f"the image {name} cannot be built"
    if _tell_of_a_full_disk([failure.reason, *failure.lines]):
        return EngineError(*explained(doing, _FULL))
    cause = _other_packages(lock, failure.lines) or _of_pip(failure.lines, network, locked=lock)
    if cause is not None:
        return EngineError(f"{doing}: {cause.message}", cause.advice)
    reason = _COMMAND.sub(r"a step ended with exit code \1", failure.reason)
    reason = _PODMANS_COMMAND.sub(r"a step ended with exit code \1", reason)
    printed = ". ".join([line.strip() for line in failure.lines if not _OF_THE_ENGINE.match(line)][-3:])
    return EngineError(*explained(doing, f"{reason}: {printed}" if printed else reason))


def _tell_of_a_full_disk(lines: Sequence[str]) -> bool:
    return any(_FULL in line.lower() for line in lines)


def _of_pip(lines: Sequence[str], network: str, locked: Path | None = None) -> _Cause | None:
    """What pip failed by; None if it does not say. `locked` is where its packages are locked, if they are."""
    errors = [line.removeprefix("ERROR:").strip(" .") for line in lines if line.startswith("ERROR:")]
    program = _no_program(lines, errors)
    return (
        program
        or _unreachable(lines, network)
        or _not_there(errors, locked)
        or _unmade(lines)
        or (_Cause(". ".join(errors[-3:]), "" if locked else _MEND) if errors else None)
    )


def _no_program(lines: Sequence[str], errors: Sequence[str]) -> _Cause | None:
    """A package that is fetched by a program which the base has not: git."""
    found = next(filter(None, map(_NO_PROGRAM.match, errors)), None)
    if found is None:
        return None
    names = [one[1] for one in map(_COLLECTING.match, lines) if one]
    what = names[-1] if names else "a requirement"
    return _Cause(f"{what} comes by {found[1]}, which the base image does not have", _OWN_WHEEL)


def _unreachable(lines: Sequence[str], network: str) -> _Cause | None:
    """An index that pip did not get through to, however often it tried."""
    found = next(filter(None, map(_LAST_RETRY.search, lines)), None)
    if found is None:
        return None
    given = next((line for line in lines if line.startswith(_INDEXES)), f"{_INDEXES} {PYPI}")
    indexes = [one.strip() for one in given.removeprefix(_INDEXES).split(",")]
    tried = [one for one in indexes if found[2].startswith(urlsplit(one).path.rstrip("/") + "/")]
    what = f"the index {tried[0]}" if tried else "an index"
    untrusted = _UNTRUSTED.search(found[1])
    if untrusted or "SSLError" in found[1]:
        why = (untrusted[1] or "").strip() if untrusted else ""
        message = f"{what} shows no certificate that is trusted{f' ({why})' if why else ''}"
        return _Cause(message, "Name the one to trust by `own_image.certificate`.")
    errno = _ERRNO.search(found[1])
    why = errno[1].strip() if errno else "it does not answer"
    return _Cause(f"{what} cannot be reached ({why})", _way(tried[0] if tried else "", network))


def _way(index: str, network: str) -> str:
    """What leads to an index that was not reached."""
    if network == "none":
        return "`own_image.network: none` reaches no index; with `index: none` packages come from `wheels`."
    if network == "host":
        return "See that its address is right, and that it answers this machine."
    if urlsplit(index).hostname in _LOOPBACK:
        return "That is the build's own container; `own_image.network: host` makes it this machine."
    return "See that it answers; `own_image.network: host` gives the build this machine's network."


def _not_there(errors: Sequence[str], locked: Path | None) -> _Cause | None:
    """A version that nobody has, or not for this Python."""
    found = next(filter(None, map(_UNSATISFIED.match, errors)), None)
    if found is None:
        return None
    wanted, versions = found[1], found[2].split(", ")
    ignored = _FOR_ANOTHER_PYTHON.findall("; ".join(one for one in errors if one.startswith(_IGNORED)))
    pinned = wanted.partition("==")[2].partition(" ")[0]
    for version, python in reversed(ignored):
        if version == pinned or versions == ["none"]:
            message = f"{wanted} is not for the base's Python: {version} needs {python.strip()}"
            return _Cause(message, "Take another version, or name another base by `own_image.base`.")
    last = ", ".join(versions[-_MOST_VERSIONS:])
    more = "…, " if len(versions) > _MOST_VERSIONS else ""
    none = "there is no package of that name, or none for the base"
    there = none if versions == ["none"] else f"the versions are {more}{last}"
    place = f", which {locked.name} names," if locked else ""
    return _Cause(f"{wanted}{place} cannot be found: {there}", _UPDATE if locked else _MEND)


def _unmade(lines: Sequence[str]) -> _Cause | None:
    """A package that has no wheel here, and that could not be built."""
    end = next((number for number, line in enumerate(lines) if line.strip() == _END_OF_OUTPUT), 0)
    if not end:
        return None
    names = _UNPACKED.findall("\n".join(lines))
    what = names[-1] if names else "a package"
    message = f"{what} has no wheel for the base, and cannot be built on it: {lines[end - 1].strip()}"
    return _Cause(message, f"Take a version that has one. Else: {_OWN_WHEEL[0].lower()}{_OWN_WHEEL[1:]}")


def _other_packages(lock: Path, lines: Sequence[str]) -> _Cause | None:
    """A package that is not the one which was locked, by its hash."""
    found = _OTHER.search("\n".join(lines))
    if found is None:
        return None
    message = f"{found[1]} is not what {lock.name} says (expected {found[2]}, got {found[3]})"
    advice = "Find out who changed it, lock or index; `hotfire image --update` locks what there is now."
    return _Cause(message, advice)
