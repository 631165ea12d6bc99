"""`config.yml` as values that know their place in the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hotfire.errors import ConfigError

if TYPE_CHECKING:
    import yaml

KeyPath = tuple[str | int, ...]
Place = tuple[int, int]

_REFERENCE = re.compile(r"(\$?)\$\{([^}]*)(\}?)")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping of the file. The getters check types; each error names the file, line, column and key."""

    file: Path
    values: Mapping[str, Any]
    places: Mapping[KeyPath, Place]
    texts: Mapping[KeyPath, str]
    path: KeyPath = ()

    def error(
        self, message: str, advice: str = "", *, key: str | None = None, at: int | None = None
    ) -> ConfigError:
        """An error at `key` (at item `at` of its list), or at the section itself if it has no such key."""
        keys: KeyPath = (*self.path, *(part for part in (key, at) if part is not None))
        dotted = ".".join(str(part) for part in keys)
        if keys in self.places:
            line, column = self.places[keys]
        else:
            line, column = self.places[self.path]
        return ConfigError(message, advice, file=self.file, line=line, column=column, key=dotted or None)

    def wrong_type(self, key: str, wanted: str, *, at: int | None = None) -> ConfigError:
        """`key` is not what it must be."""
        value = self.values[key] if at is None else self.values[key][at]
        name = ".".join(str(part) for part in (*self.path, key))
        return self.error(f"{name} must be {wanted}, not {_named(value)}", key=key, at=at)

    def text(self, key: str) -> str | None:
        """Text, as it is written: `2.10` is not the number 2.1."""
        value = self.values.get(key)
        if value is None:
            return None
        text = self.texts.get((*self.path, key))
        if text is None or isinstance(value, bool):
            raise self.wrong_type(key, "text")
        if not text.strip():
            raise self.wrong_type(key, "text")
        return text

    def choice(self, key: str, options: Sequence[str], default: str) -> str:
        """One of a few words."""
        value = self.text(key)
        if value is None or value in options:
            return value or default
        raise self.error(f"{key} must be {listed(options, 'or')}, not {value!r}", key=key)

    def whole(self, key: str, *, least: int = 1, most: int | None = None) -> int | None:
        """A whole number, `least` or more, and `most` or less."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= (most or value):
            bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise self.wrong_type(key, f"a whole number {bounds}")
        return value

    def number(self, key: str) -> float | None:
        """A positive number."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise self.wrong_type(key, "a number above 0")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong_type(key, "true or false")
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Keys and values of any kind; empty if not given."""
        section = self.section(key)
        return section.values if section else {}

    def text_mapping(self, key: str) -> Mapping[str, str]:
        """Keys and their texts, each as it is written (`true` is the text "true")."""
        section = self.section(key)
        if section is None:
            return {}
        for name in section.values:
            if (*section.path, name) not in self.texts:
                raise section.wrong_type(name, "text")
        return {name: self.texts[(*section.path, name)] for name in section.values}

    def text_list(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one."""
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            text = self.text(key)
            return () if text is None else (text,)
        for index, item in enumerate(value):
            if not isinstance(item, str) or not item.strip():
                raise self.wrong_type(key, "a list of texts", at=index)
        return tuple(value)

    def section(self, key: str) -> Section | None:
        """A mapping inside this one, with its own getters."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong_type(key, "a mapping of keys to values")
        return Section(self.file, value, self.places, self.texts, (*self.path, key))

    def sections(self, key: str) -> tuple[Section, ...]:
        """The mappings of a list, each with its own getters; one mapping alone is a list of one."""
        value = self.values.get(key)
        if not isinstance(value, list):
            one = self.section(key)
            return () if one is None else (one,)
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                raise self.wrong_type(key, "a list of mappings", at=index)
        paths = ((*self.path, key, index) for index in range(len(value)))
        return tuple(
            Section(self.file, item, self.places, self.texts, path)
            for item, path in zip(value, paths, strict=True)
        )


def read(file: Path, name: str, variables: Mapping[str, str], otherwise: str = "") -> Section:
    """The environment `name` of `file`, its `${VAR}` filled from `variables`.

    Nothing outside that environment, or overridden in it, is filled: an unset variable of another one
    does not matter. `otherwise` is the advice where there is none of that name.
    """
    builder = _Builder(file, variables)
    environments, place = _environments(builder)
    pairs = {builder.key_of(key): (key, value) for key, value in builder.pairs(environments)}
    if name not in pairs:
        raise _unknown(file, place, name, list(pairs), otherwise)
    key_node, node = pairs[name]
    values = builder.build(node, ())
    builder.places[()] = _place(key_node.start_mark)
    if values is not None and not isinstance(values, dict):
        line, column = _place(node.start_mark)
        message = f"the environment {name!r} must be a mapping of keys to values, not {_named(values)}"
        raise ConfigError(message, file=file, line=line, column=column, key=f"environments.{name}")
    return Section(file, values or {}, builder.places, builder.texts)


def listed(words: Iterable[str], joint: str = "and") -> str:
    """`a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} {joint} {last}" if most else last


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that `word` was probably meant to be."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(words), n=1)), None)


def _environments(builder: _Builder) -> tuple[yaml.MappingNode, Place]:
    """The value of `environments:` and where its key stands."""
    import yaml

    file = builder.file
    root = _compose(file)
    advice = (
        "A config.yml lists its environments: `environments:`, below it `local:`, below that `model_name: …`."
    )
    for key, value in builder.pairs(root) if isinstance(root, yaml.MappingNode) else ():
        if builder.key_of(key) != "environments":
            continue
        line, column = _place(key.start_mark)
        if isinstance(value, yaml.MappingNode) and value.value:
            return value, (line, column)
        message = "`environments:` must hold at least one environment"
        raise ConfigError(message, advice, file=file, line=line, column=column, key="environments")
    raise ConfigError("there is no `environments:`", advice, file=file, line=1, column=1, key="environments")


def _compose(file: Path) -> yaml.Node | None:
    """The file's YAML as nodes, which know their places."""
    import yaml

    text = _text(file)
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = _place(mark) if mark else (1, 1)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        advice = (
            "YAML is indented by spaces, not by tabs."
            if "\\t" in said
            else "Mend the YAML there or just above."
        )
        message = f"this is not valid YAML: {said}"
        raise ConfigError(message, advice, file=file, line=line, column=column) from error
    except yaml.reader.ReaderError as error:
        line, column = _position(text[: error.position])
        message = f"the character {chr(error.character)!r} may not stand in YAML"
        raise ConfigError(message, "Delete it.", file=file, line=line, column=column) from error


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"the file cannot be read: {error.strerror}", file=file) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode("utf-8", "replace"))
        message = "this is not UTF-8 text"
        raise ConfigError(message, "Save the file as UTF-8.", file=file, line=line, column=column) from error


def _unknown(file: Path, place: Place, name: str, names: list[str], otherwise: str) -> ConfigError:
    near = nearest(name, names)
    advice = f"Did you mean {near!r}?" if near else otherwise
    message = f"there is no environment {name!r} among {listed(names)}"
    return ConfigError(message, advice, file=file, line=place[0], column=place[1], key=f"environments.{name}")


class _Builder:
    """Turns nodes into values; keeps the place of each and the text of each scalar."""

    def __init__(self, file: Path, variables: Mapping[str, str]) -> None:
        self.file = file
        self.variables = variables
        self.places: dict[KeyPath, Place] = {}
        self.texts: dict[KeyPath, str] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        """The value of a node."""
        import yaml

        self.places[path] = _place(node.start_mark)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            self._fail(node, f"the tag {node.tag} is not known here", "Leave the tag out.")
        self._enter(node)
        value: Any
        if isinstance(node, yaml.MappingNode):
            pairs = [(self.key_of(key), child) for key, child in self.pairs(node)]
            value = {key: self.build(child, (*path, key)) for key, child in pairs}
        else:
            value = [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
        self._open.discard(id(node))
        return value

    def pairs(self, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
        """A mapping's keys and values, those of its `<<` last; what the mapping says itself wins."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            name = self.key_of(key)
            if name in own:
                first = own[name][0].start_mark.line + 1
                self._fail(
                    key,
                    f"the key {name!r} is there twice, first in line {first}",
                    "Delete one of them.",
                    name,
                )
            own[name] = (key, value)
            if key.tag == _TAG + "merge":
                merged = self._merged(value)
        result = {name: pair for name, pair in own.items() if pair[0].tag != _TAG + "merge"}
        for key, value in merged:
            result.setdefault(self.key_of(key), (key, value))
        return list(result.values())

    def _merged(self, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        """What `<<: *a` or `<<: [*a, *b]` brings; of two, the first wins."""
        import yaml

        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: list[tuple[yaml.Node, yaml.Node]] = []
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._fail(
                    source, "`<<` takes a mapping", "Write `<<: *name`, with `&name` at the mapping.", "<<"
                )
            self._enter(source)
            result += self.pairs(source)
            self._open.discard(id(source))
        return result

    def key_of(self, node: yaml.Node) -> str:
        """A key's text."""
        import yaml

        if not isinstance(node, yaml.ScalarNode):
            self._fail(node, "a key must be text")
        return str(node.value)

    def _enter(self, node: yaml.Node) -> None:
        if id(node) in self._open:
            self._fail(node, "this value holds itself", "An anchor cannot be used inside its own value.")
        self._open.add(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        import yaml

        loader: Any = yaml.SafeLoader("")
        text = _REFERENCE.sub(lambda match: self._reference(match, node, path), node.value)
        tag = node.tag
        if text != node.value and node.style is None:
            # What stands for an unquoted value is read like one: `${COUNT}` is a number if COUNT is.
            tag = loader.resolve(yaml.ScalarNode, text, (True, False))
        try:
            value = loader.construct_object(
                yaml.ScalarNode(tag, text, node.start_mark, node.end_mark, node.style)
            )
        except (yaml.YAMLError, ValueError) as error:
            said = getattr(error, "problem", None) or str(error)
            message = f"{path[-1] if path else text} cannot be read: {said}"
            self._fail(node, message, "Put it between quotes, if it is text.", *path)
        if value is not None:
            self.texts[path] = text
        return value

    def _reference(self, match: re.Match[str], node: yaml.Node, path: KeyPath) -> str:
        """What stands for `${…}`; `$${…}` is how to write a literal one."""
        if match[1]:
            return match[0][1:]
        parsed = _VARIABLE.fullmatch(match[2])
        if parsed is None or not match[3] or "${" in match[2]:
            advice = "Write `$${` for a literal `${`."
            self._fail(node, f"`{match[0]}` is neither `${{VAR}}` nor `${{VAR:-default}}`", advice, *path)
        name, default = parsed[1], parsed[2]
        value = self.variables.get(name)
        if default is not None:
            return value or default
        if value is None:
            message = f"{'.'.join(map(str, path))} needs the variable {name}, which is not set"
            self._fail(
                node, message, f"Set it (`export {name}=…`) or give a default: `${{{name}:-…}}`.", *path
            )
        return value

    def _fail(self, node: yaml.Node, message: str, advice: str = "", *path: str | int) -> NoReturn:
        line, column = _place(node.start_mark)
        key = ".".join(map(str, path)) or None
        raise ConfigError(message, advice, file=self.file, line=line, column=column, key=key)


def _place(mark: Any) -> Place:
    return mark.line + 1, mark.column + 1


def _position(before: str) -> Place:
    """Line and column of what follows the text `before`."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _named(value: Any) -> str:
    """A value in an error message."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str() | int() | float():
            return repr(value)
        case None:
            return "nothing"
    return f"the {type(value).__name__} {value}"
