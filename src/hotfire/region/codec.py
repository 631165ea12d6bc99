"""Values of a service model's shapes as JSON, as text, as form fields and as XML.

Values are plain: strings, numbers, booleans, bytes, lists and dicts; times are seconds since the epoch.
A shape is one of botocore's. What has not the shape's type raises SerializationException.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from hotfire.errors import SerializationException

_WANTED = {
    "string": "a String",
    "integer": "an Integer",
    "long": "a Long",
    "float": "a Float",
    "double": "a Double",
    "boolean": "a Boolean",
    "timestamp": "a Timestamp",
    "blob": "a Blob",
    "list": "a List",
    "map": "a Map",
    "structure": "a Structure",
}
_BITS = {"integer": 31, "long": 63}
_NUMBER = re.compile("[0-9]{1,9}")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def in_path(name: str) -> str:
    """A member's name as messages spell it."""
    return name[:1].lower() + name[1:]


def from_json(shape: Any, value: Any, path: str = "") -> Any:
    """The value of a shape that a JSON value stands for. A member of null is an absent one."""
    match shape.type_name, value:
        case "structure", dict():
            return _members_from_json(shape, value, path)
        case "list", list():
            return [
                _item_from_json(shape.member, item, f"{path}.{i}.member") for i, item in enumerate(value, 1)
            ]
        case "map", dict():
            return {
                key: _item_from_json(shape.value, item, f"{path}.{key}.member") for key, item in value.items()
            }
        case "string" | "blob", str():
            return _from_string(shape, value, path)
        case "boolean", bool():
            return value
        case "integer" | "long" | "float" | "double" | "timestamp", int() | float() if not isinstance(
            value, bool
        ):
            return _from_number(shape, value, path)
        case "timestamp", str():
            return from_text(shape, value, path)
        case _:
            raise _mistyped(shape, _json_name(value), path)


def _members_from_json(shape: Any, value: dict[str, Any], path: str) -> dict[str, Any]:
    prefix = f"{path}." if path else ""
    members: dict[str, Any] = {}
    for name, member in shape.members.items():
        key = member.serialization.get("name", name)
        if (raw := value.get(key)) is not None:
            members[name] = from_json(member, raw, prefix + in_path(name))
    if shape.is_tagged_union and not members:  # a newer client's choice is still a choice
        members = {key: raw for key, raw in value.items() if raw is not None}
    return members


def _item_from_json(shape: Any, value: Any, path: str) -> Any:
    return None if value is None else from_json(shape, value, path)


def _from_string(shape: Any, value: str, path: str) -> str | bytes:
    if shape.type_name == "blob":
        return _from_base64(shape, value, path)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
            raise SerializationException(f"Invalid Unicode at '{path}'") from None
    return value


def _from_number(shape: Any, value: float, path: str) -> float:
    if not math.isfinite(value):
        raise _mistyped(shape, "NUMBER_VALUE", path)
    if shape.type_name not in _BITS:
        return float(value)
    if value != int(value) or not -(2 ** _BITS[shape.type_name]) <= value < 2 ** _BITS[shape.type_name]:
        raise _mistyped(shape, "NUMBER_VALUE", path)
    return int(value)


def to_json(shape: Any, value: Any) -> Any:
    """A value of a shape as a JSON value; absent members and those that the shape lacks are left out."""
    match shape.type_name:
        case "structure":
            return {
                member.serialization.get("name", name): to_json(member, value[name])
                for name, member in shape.members.items()
                if value.get(name) is not None
            }
        case "list":
            return [to_json(shape.member, item) for item in value]
        case "map":
            return {key: to_json(shape.value, item) for key, item in value.items()}
        case "timestamp":
            return round(float(value), 3)
        case "blob":
            return base64.b64encode(value).decode()
        case _:
            return value


def from_text(shape: Any, text: str, path: str) -> Any:
    """The value of a scalar shape that stands in a header, a path or a form field."""
    kind = shape.type_name
    if kind == "string":
        return text
    if kind == "blob":
        return _from_base64(shape, text, path)
    if kind == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if kind in _BITS:
            return _from_number(shape, int(text), path)
        if kind == "timestamp":
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        if kind in ("float", "double"):
            return _from_number(shape, float(text), path)
    except (ValueError, OverflowError):
        pass
    raise _mistyped(shape, "STRING_VALUE", path)


def to_text(shape: Any, value: Any) -> str:
    """A value of a scalar shape as a header or the text of an XML element."""
    match shape.type_name:
        case "boolean":
            return "true" if value else "false"
        case "timestamp":
            return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case "blob":
            return base64.b64encode(value).decode()
        case _:
            return str(value)


def form_tree(fields: list[tuple[str, str]]) -> dict[str, Any]:
    """Form fields `a.member.1=x` as a tree `{"a": {"member": {"1": "x"}}}`."""
    tree: dict[str, Any] = {}
    for name, value in fields:
        *parents, last = name.split(".")
        node: Any = tree
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise SerializationException(f"Both a value and members are given for '{name}'")
        if node.setdefault(last, value) is not value:
            raise SerializationException(f"'{name}' is given twice")
    return tree


def from_form(shape: Any, node: Any, path: str = "") -> Any:
    """The value of a shape that a part of a form's tree stands for."""
    match shape.type_name, node:
        case "structure", dict():
            prefix = f"{path}." if path else ""
            return {
                name: from_form(member, node[key], prefix + in_path(name))
                for name, member in shape.members.items()
                if (key := member.serialization.get("name", name)) in node
            }
        case "list" | "map", "":
            return [] if shape.type_name == "list" else {}
        case "list", dict():
            items = _form_items(shape, node, shape.member.serialization.get("name", "member"), path)
            return [from_form(shape.member, item, f"{path}.{i}.member") for i, item in enumerate(items, 1)]
        case "map", dict():
            return _map_from_form(shape, node, path)
        case "structure" | "list" | "map", _:
            raise _mistyped(shape, "STRING_VALUE", path)
        case _, str():
            return from_text(shape, node, path)
        case _:
            raise _mistyped(shape, "START_OBJECT", path)


def _form_items(shape: Any, node: dict[str, Any], name: str, path: str) -> list[Any]:
    """The items of a list or map in the order of their numbers."""
    items = node if shape.serialization.get("flattened") else node.get(name)
    if not isinstance(items, dict) or not all(map(_NUMBER.fullmatch, items)):
        raise _mistyped(shape, "START_OBJECT", path)
    return [items[number] for number in sorted(items, key=int)]


def _map_from_form(shape: Any, node: dict[str, Any], path: str) -> dict[str, Any]:
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    members = {}
    for item in _form_items(shape, node, "entry", path):
        if not isinstance(item, dict) or key_name not in item or value_name not in item:
            raise _mistyped(shape, "START_OBJECT", path)
        key = from_form(shape.key, item[key_name], f"{path}.key")
        members[key] = from_form(shape.value, item[value_name], f"{path}.{key}.member")
    return members


def to_xml(shape: Any, value: Any, tag: str) -> str:
    """A value of a shape as an XML element."""
    attributes = ""
    match shape.type_name:
        case "structure":
            held = {name: member for name, member in shape.members.items() if value.get(name) is not None}
            attributes = _attributes(shape, value, held)
            inner = "".join(
                to_xml(member, value[name], member.serialization.get("name", name))
                for name, member in held.items()
                if not member.serialization.get("xmlAttribute")
            )
        case "list":
            item_tag = shape.member.serialization.get("name", "member")
            if shape.serialization.get("flattened"):
                return "".join(to_xml(shape.member, item, tag) for item in value)
            inner = "".join(to_xml(shape.member, item, item_tag) for item in value)
        case "map":
            inner = "".join(_entry_to_xml(shape, key, item) for key, item in value.items())
        case _:
            inner = xml_text(to_text(shape, value))
    return f"<{tag}{attributes}>{inner}</{tag}>"


def _attributes(shape: Any, value: Any, held: Mapping[str, Any]) -> str:
    """The members of a structure that stand in its element's tag, with the name space of their prefix."""
    found = [
        f" {member.serialization['name']}={quoteattr(to_text(member, value[name]))}"
        for name, member in held.items()
        if member.serialization.get("xmlAttribute")
    ]
    space = shape.metadata.get("xmlNamespace", shape.serialization.get("xmlNamespace"))
    if found and space:
        found.insert(0, f" xmlns:{space['prefix']}={quoteattr(space['uri'])}")
    return "".join(found)


def _entry_to_xml(shape: Any, key: str, value: Any) -> str:
    key_tag = shape.key.serialization.get("name", "key")
    value_tag = shape.value.serialization.get("name", "value")
    return f"<entry>{to_xml(shape.key, key, key_tag)}{to_xml(shape.value, value, value_tag)}</entry>"


def xml_text(text: str) -> str:
    """Text as it stands in an XML document; what XML cannot hold becomes U+FFFD."""
    return escape(_NOT_XML.sub("\ufffd", text), {"\r": "&#13;"})  # a bare one is read as a line feed


def _from_base64(shape: Any, text: str, path: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _mistyped(shape, "STRING_VALUE", path) from None


def _json_name(value: Any) -> str:
    match value:
        case bool():
            return "TRUE_VALUE" if value else "FALSE_VALUE"
        case None:
            return "NULL_VALUE"
        case int() | float():
            return "NUMBER_VALUE"
        case str():
            return "STRING_VALUE"
        case Mapping():
            return "START_OBJECT"
        case _:
            return "START_ARRAY"


def _mistyped(shape: Any, given: str, path: str) -> SerializationException:
    place = f" at '{path}'" if path else ""
    return SerializationException(f"{given} can not be converted to {_WANTED[shape.type_name]}{place}")
