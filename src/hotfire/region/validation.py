"""What a service model asks of a request's values beyond their types, checked and worded as SageMaker does.

The walk is over botocore's shapes; each is compiled once, when its first value is seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hotfire.region.codec import in_path
from hotfire.region.patterns import pattern

INSTANCE_TYPES = ("local", "local_container", "local_container_gpu", "local_gpu", "local_process", "ray")
"""The instance types that the local region has beside SageMaker's own."""

Check = Callable[[Any, str, list[str]], None]
"""Adds to the list what is wrong with the value at a path."""

_Test = tuple[Callable[[Any], bool], str]

_S3_ADDRESS = re.compile(r"\^?\(?(https\|)?s3\)?://")
_LONGEST_SHOWN = 256  # of a value, in a message


class Constraints:
    """The constraints of one service model's shapes."""

    def __init__(self) -> None:
        self._checks: dict[str, Check | None] = {}

    def problems(self, shape: Any, params: Mapping[str, Any]) -> list[str]:
        """Everything that is wrong with the members of an operation's input."""
        found: list[str] = []
        check = self.of(shape)
        if check is not None:
            check(params, "", found)
        return found

    def of(self, shape: Any) -> Check | None:
        """The check of a shape; None where no value of its type is wrong."""
        if shape.name not in self._checks:
            make = {"structure": self._structure, "list": self._list, "map": self._map}.get(
                shape.type_name, _scalar
            )
            self._checks[shape.name] = make(shape)
        return self._checks[shape.name]

    def _structure(self, shape: Any) -> Check:
        members: list[tuple[str, str, bool, Check | None]] = []

        def check(value: Mapping[str, Any], path: str, found: list[str]) -> None:
            if not members:  # not before it is needed: shapes may hold themselves
                members.extend(self._members(shape))
            prefix = f"{path}." if path else ""
            for name, key, required, check_member in members:
                member = value.get(name)
                if member is None:
                    if required:
                        found.append(_null(prefix + key))
                elif check_member is not None:
                    check_member(member, prefix + key, found)
            if shape.is_tagged_union and len(value) != 1:
                keys = ", ".join(key for _, key, _, _ in members)
                found.append(_unmet(None, path, f"Member must have exactly one of these set: [{keys}]"))

        return check

    def _members(self, shape: Any) -> list[tuple[str, str, bool, Check | None]]:
        """Name, name in a path, whether it is required, check."""
        required = set(shape.required_members)
        return [
            (name, in_path(name), name in required, self.of(member)) for name, member in shape.members.items()
        ]

    def _list(self, shape: Any) -> Check:
        sizes, check_member = _sizes(shape), self.of(shape.member)

        def check(value: Sequence[Any], path: str, found: list[str]) -> None:
            _run(sizes, value, path, found)
            for index, member in enumerate(value, 1):
                if member is None:
                    found.append(_null(f"{path}.{index}.member"))
                elif check_member is not None:
                    check_member(member, f"{path}.{index}.member", found)

        return check

    def _map(self, shape: Any) -> Check:
        sizes, check_key, check_member = _sizes(shape), self.of(shape.key), self.of(shape.value)

        def check(value: Mapping[str, Any], path: str, found: list[str]) -> None:
            _run(sizes, value, path, found)
            for key, member in value.items():
                if check_key is not None:
                    check_key(key, f"{path}.key", found)
                if member is None:
                    found.append(_null(f"{path}.{key}.member"))
                elif check_member is not None:
                    check_member(member, f"{path}.{key}.member", found)

        return check


def worded(problems: Sequence[str]) -> str:
    """Problems as the message of one error."""
    count = len(problems)
    return f"{count} validation error{'s' if count > 1 else ''} detected: {'; '.join(problems)}"


def _scalar(shape: Any) -> Check | None:
    if shape.type_name == "string":
        tests = [*_sizes(shape), *_forms(shape)]
    elif shape.type_name == "blob":
        tests = _sizes(shape)
    else:
        tests = _limits(shape)
    secret = shape.type_name == "blob" or shape.metadata.get("sensitive", False)

    def check(value: Any, path: str, found: list[str]) -> None:
        _run(tests, value, path, found, secret)

    return check if tests else None


def _run(tests: list[_Test], value: Any, path: str, found: list[str], secret: bool = False) -> None:
    for holds, constraint in tests:
        if not holds(value):
            found.append(_unmet(None if secret else value, path, constraint))
            return  # the first says it; a pattern is not tried on what is too long for it


def _sizes(shape: Any) -> list[_Test]:
    tests: list[_Test] = []
    if (most := shape.metadata.get("max")) is not None:
        tests.append(
            (lambda value: len(value) <= most, f"Member must have length less than or equal to {most}")
        )
    if (least := shape.metadata.get("min")) is not None:
        tests.append(
            (lambda value: len(value) >= least, f"Member must have length greater than or equal to {least}")
        )
    return tests


def _limits(shape: Any) -> list[_Test]:
    tests: list[_Test] = []
    if (most := shape.metadata.get("max")) is not None:
        tests.append((lambda value: value <= most, f"Member must have value less than or equal to {most}"))
    if (least := shape.metadata.get("min")) is not None:
        tests.append(
            (lambda value: value >= least, f"Member must have value greater than or equal to {least}")
        )
    return tests


def _forms(shape: Any) -> list[_Test]:
    tests: list[_Test] = []
    if (source := shape.metadata.get("pattern")) is not None:
        files = _S3_ADDRESS.match(source) is not None
        tests.append(
            (
                lambda value: (files and value.startswith("file://")) or pattern(source).fits(value),
                f"Member must satisfy regular expression pattern: {source}",
            )
        )
    if choices := shape.metadata.get("enum"):
        ours = INSTANCE_TYPES if shape.name.endswith("InstanceType") else ()
        allowed = (*ours, *choices)
        tests.append(
            (frozenset(allowed).__contains__, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
        )
    return tests


def _null(path: str) -> str:
    return f"Value null at '{path}' failed to satisfy constraint: Member must not be null"


def _unmet(value: Any, path: str, constraint: str) -> str:
    """A broken constraint; a value of None is not shown."""
    shown = "" if value is None else f" '{_shown(value)}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {constraint}"


def _shown(value: Any) -> str:
    match value:
        case Mapping():
            text = "{" + ", ".join(f"{key}={member}" for key, member in value.items()) + "}"
        case list():
            text = "[" + ", ".join(str(member) for member in value) + "]"
        case _:
            text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
