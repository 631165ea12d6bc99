"""Settings in SageMaker's own words: merged into its requests, and held against botocore's model of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotfire.config_file import KeyPath, listed, nearest
from hotfire.environment import Environment

_KINDS: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
}
_NAMED = {
    "structure": "a mapping of keys to values",
    "map": "a mapping of keys to values",
    "list": "a list",
    "string": "text",
    "integer": "a whole number",
    "long": "a whole number",
    "float": "a number",
    "double": "a number",
    "boolean": "true or false",
}
_OPEN = frozenset({"ProductionVariantInstanceType"})
"""Of these AWS has new values sooner than botocore, and says itself which are none."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a value, and where in the request."""

    path: KeyPath
    message: str
    advice: str = ""


def merged(request: Any, raw: Any) -> Any:
    """The request with the raw values in it: mappings by key, lists of mappings by position."""
    if isinstance(request, Mapping) and isinstance(raw, Mapping):
        both = {key: merged(request[key], value) for key, value in raw.items() if key in request}
        return {**request, **raw, **both}
    if _holds_mappings(request) and _holds_mappings(raw):
        pairs = [merged(one, other) for one, other in zip(request, raw, strict=False)]
        longer = request if len(request) > len(raw) else raw
        return [*pairs, *longer[len(pairs) :]]
    return raw


def check(environment: Environment, key: str, shape: Any, value: Any, inside: KeyPath = ()) -> None:
    """Raise ConfigError for the first mistake in a value of this shape of botocore's.

    `key` is the key of config.yml that it was made with, `inside` where in the value what it holds lies.
    """
    for mistake in mistakes(shape, value):
        path = mistake.path
        held = path[len(inside) :] if path[: len(inside)] == inside else path
        raise environment.mistake(f"{_dotted(key, held)} {mistake.message}", mistake.advice, key, *held)


def mistakes(shape: Any, value: Any, path: KeyPath = ()) -> Iterator[Mistake]:
    """All that botocore's model does not allow, in the order of the value."""
    kinds = _KINDS.get(shape.type_name)
    if kinds is None:
        return
    fits = isinstance(value, kinds) and (shape.type_name == "boolean" or not isinstance(value, bool))
    if not fits:
        yield Mistake(path, f"must be {_NAMED[shape.type_name]}, not {value!r:.60}")
    elif shape.type_name == "structure":
        yield from _structure(shape, value, path)
    elif shape.type_name == "list":
        yield from _size(shape, len(value), path, " items")
        for index, item in enumerate(value):
            yield from mistakes(shape.member, item, (*path, index))
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from mistakes(shape.value, item, (*path, key))
    else:
        yield from _scalar(shape, value, path)


def _structure(shape: Any, value: Mapping[str, Any], path: KeyPath) -> Iterator[Mistake]:
    for name, item in value.items():
        if name in shape.members:
            yield from mistakes(shape.members[name], item, (*path, name))
            continue
        near = nearest(str(name), shape.members)
        advice = f"Did you mean {near!r}?" if near else f"There are {listed(shape.members)}."
        yield Mistake((*path, name), f"is not a member of SageMaker's {shape.name}", advice)
    for name in shape.required_members:
        if name not in value:
            yield Mistake(path, f"needs {name}, as SageMaker's {shape.name} does")


def _scalar(shape: Any, value: Any, path: KeyPath) -> Iterator[Mistake]:
    if shape.type_name != "string":
        yield from _size(shape, value, path, "")
        return
    known = () if shape.name in _OPEN else shape.enum
    if known and value not in known:
        yield Mistake(path, f"must be {listed(known, 'or')}, not {value!r}")
    yield from _size(shape, len(value), path, " characters")


def _size(shape: Any, size: float, path: KeyPath, unit: str) -> Iterator[Mistake]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield Mistake(path, f"must be at least {least}{unit}, not {size}")
    if most is not None and size > most:
        yield Mistake(path, f"must be at most {most}{unit}, not {size}")


def _holds_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)


def _dotted(key: str, path: KeyPath) -> str:
    return ".".join(map(str, (key, *path)))
