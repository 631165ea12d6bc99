"""config.yml as values that know their place: what YAML says, and where it is wrong."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from hotfire import config_file
from hotfire.config_file import Section
from hotfire.errors import ConfigError


def read(folder: Path, text: str, variables: Mapping[str, str] | None = None) -> Section:
    file = folder / "config.yml"
    file.write_text(text, "utf-8")
    return config_file.read(file, "local", variables or {})


def refused(folder: Path, text: str, variables: Mapping[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, variables)
    return caught.value


def place(error: ConfigError) -> tuple[int | None, int | None, str | None]:
    return error.line, error.column, error.key


def local(*lines: str) -> str:
    return "environments:\n  local:\n" + "".join(f"    {line}\n" for line in lines)


def test_merged_keys_are_there_and_own_keys_win(tmp_path: Path) -> None:
    text = "environments:\n  default: &d\n    a: 1\n    b: 2\n  local:\n    b: 3\n    <<: *d\n"
    assert read(tmp_path, text).values == {"b": 3, "a": 1}


def test_of_two_merged_mappings_the_first_wins(tmp_path: Path) -> None:
    text = "x: &x {a: 1}\ny: &y {a: 2, b: 2}\nenvironments:\n  local: {<<: [*x, *y]}\n"
    assert read(tmp_path, text).values == {"a": 1, "b": 2}


def test_an_alias_may_be_a_whole_environment(tmp_path: Path) -> None:
    assert read(tmp_path, "environments:\n  other: &o {a: 1}\n  local: *o\n").values == {"a": 1}


def test_an_empty_environment_has_no_keys(tmp_path: Path) -> None:
    assert read(tmp_path, "environments:\n  local:\n").values == {}


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + local("a: ü")).values == {"a": "ü"}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("a${X}c", "abc"),
        ("${EMPTY}", None),
        ("${EMPTY:-x}", "x"),
        ("${UNSET:-x y}", "x y"),
        ("'${UNSET:-}'", ""),
        ("$${X}", "${X}"),
        ("cost $5", "cost $5"),
        ("${NUMBER}", 7),
        ("'${NUMBER}'", "7"),
        ("[1, '${X}']", [1, "b"]),
    ],
)
def test_variables_are_filled(tmp_path: Path, written: str, value: object) -> None:
    variables = {"X": "b", "EMPTY": "", "NUMBER": "7"}
    assert read(tmp_path, local(f"a: {written}"), variables).values["a"] == value


def test_a_filled_value_is_not_filled_again(tmp_path: Path) -> None:
    assert read(tmp_path, local("a: ${X}"), {"X": "${Y}"}).values == {"a": "${Y}"}


def test_an_unset_variable_is_named_with_its_place(tmp_path: Path) -> None:
    error = refused(tmp_path, local("a: {b: '${TOKEN}'}"))
    assert error.message == f"{tmp_path / 'config.yml'}:3:12: a.b needs the variable TOKEN, which is not set"
    assert error.advice == "Set it (`export TOKEN=…`) or give a default: `${TOKEN:-…}`."
    assert place(error) == (3, 12, "a.b")


def test_an_unset_variable_that_is_not_used_does_not_matter(tmp_path: Path) -> None:
    text = "environments:\n  other: &o\n    a: ${X}\n    b: 1\n  local:\n    <<: *o\n    a: 2\n"
    assert read(tmp_path, text).values == {"a": 2, "b": 1}


@pytest.mark.parametrize("written", ["${a-b}", "${}", "${X", "${A:-${B}}"])
def test_a_malformed_reference_is_refused(tmp_path: Path, written: str) -> None:
    error = refused(tmp_path, local(f"a: {written}"))
    assert place(error) == (3, 8, "a")
    assert error.advice == "Write `$${` for a literal `${`."


def test_broken_yaml_is_reported_with_its_place(tmp_path: Path) -> None:
    error = refused(tmp_path, local("a: [1, 2", "b: 3"))
    assert (error.line, error.column) == (4, 6)
    assert "config.yml:4:6: this is not valid YAML: " in error.message


def test_a_tab_is_reported_as_one(tmp_path: Path) -> None:
    error = refused(tmp_path, "environments:\n\tlocal: {}\n")
    assert (error.line, error.column) == (2, 1)
    assert error.advice == "YAML is indented by spaces, not by tabs."


def test_a_control_character_is_reported_with_its_place(tmp_path: Path) -> None:
    error = refused(tmp_path, local("a: 1", "b: x\x07"))
    assert (error.line, error.column) == (4, 9)


def test_bytes_that_are_not_utf8_are_reported_with_their_place(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_bytes(b"environments:\n  local: {a: \xff}\n")
    with pytest.raises(ConfigError, match="2:14: this is not UTF-8 text"):
        config_file.read(file, "local", {})


def test_two_documents_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, local("a: 1") + "---\nb: 2\n").line == 4


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]\n", "local: {}\n", "just text\n"])
def test_a_file_without_environments_says_how_one_looks(tmp_path: Path, text: str) -> None:
    error = refused(tmp_path, text)
    assert error.message.endswith(":1:1: there is no `environments:`")
    assert "`local:`" in error.advice


@pytest.mark.parametrize("text", ["environments:\n", "environments: []\n", "environments: {}\n"])
def test_environments_must_hold_one(tmp_path: Path, text: str) -> None:
    assert "`environments:` must hold at least one environment" in refused(tmp_path, text).message


def test_an_unknown_environment_is_answered_by_those_there_are(tmp_path: Path) -> None:
    error = refused(tmp_path, "x: 1\nenvironments:\n  locale: {}\n  production: {}\n")
    assert error.message.endswith(":2:1: there is no environment 'local' among locale and production")
    assert error.advice == "Did you mean 'locale'?"


def test_an_environment_must_be_a_mapping(tmp_path: Path) -> None:
    error = refused(tmp_path, "environments:\n  local: [1]\n")
    assert place(error) == (2, 10, "environments.local")
    assert error.message.endswith("must be a mapping of keys to values, not a list")


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        (local("a: 1", "b: 2", "a: 3"), "a", 5),
        (local("o: {a: 1, a: 2}"), "a", 3),
        ("environments:\n  local: {}\n  local: {}\n", "local", 3),
        ("environments:\n  local: {}\nenvironments:\n  local: {}\n", "environments", 3),
    ],
)
def test_a_key_that_is_there_twice_is_refused(tmp_path: Path, text: str, key: str, line: int) -> None:
    error = refused(tmp_path, text)
    assert (error.line, error.key) == (line, key)
    assert f"the key {key!r} is there twice, first in line" in error.message


def test_a_value_that_holds_itself_is_refused(tmp_path: Path) -> None:
    assert "this value holds itself" in refused(tmp_path, local("a: &a [*a]")).message


def test_a_mapping_that_merges_itself_is_refused(tmp_path: Path) -> None:
    assert "this value holds itself" in refused(tmp_path, local("a: &a {<<: *a}")).message


def test_a_merge_takes_a_mapping(tmp_path: Path) -> None:
    error = refused(tmp_path, local("<<: text"))
    assert (error.line, error.key) == (3, "<<")


def test_a_key_must_be_text(tmp_path: Path) -> None:
    assert refused(tmp_path, local("[a]: 1")).message.endswith(":3:5: a key must be text")


@pytest.mark.parametrize(
    "written", ["!!python/object/apply:os.getcwd []", "!secret x", "!!python/name:os.getcwd ''"]
)
def test_a_tag_runs_nothing(tmp_path: Path, written: str) -> None:
    assert refused(tmp_path, local(f"a: {written}")).line == 3


def test_a_date_that_is_none_is_refused_with_its_place(tmp_path: Path) -> None:
    assert place(refused(tmp_path, local("a: 2026-13-45"))) == (3, 8, "a")


def test_a_text_is_as_it_is_written(tmp_path: Path) -> None:
    assert read(tmp_path, local("version: 2.10")).text("version") == "2.10"


def test_a_text_that_is_not_given_is_none(tmp_path: Path) -> None:
    section = read(tmp_path, local("a:"))
    assert (section.text("a"), section.text("b")) == (None, None)


def test_texts_of_a_mapping_are_as_they_are_written(tmp_path: Path) -> None:
    section = read(tmp_path, local("e: {DEBUG: true, LEVEL: 010, NAME: x}"))
    assert section.text_mapping("e") == {"DEBUG": "true", "LEVEL": "010", "NAME": "x"}


def test_one_text_is_a_list_of_one(tmp_path: Path) -> None:
    assert read(tmp_path, local("a: b")).text_list("a") == ("b",)


@pytest.mark.parametrize(("written", "expected"), [("2", 2), ("4", 4), ("1", None), ("5", None)])
def test_a_whole_number_has_bounds(tmp_path: Path, written: str, expected: int | None) -> None:
    section = read(tmp_path, local(f"a: {written}"))
    if expected is not None:
        assert section.whole("a", least=2, most=4) == expected
        return
    with pytest.raises(ConfigError, match=rf"3:8: a must be a whole number from 2 to 4, not {written}"):
        section.whole("a", least=2, most=4)


@pytest.mark.parametrize(
    ("getter", "written", "column", "message"),
    [
        ("text", "true", 8, "a must be text, not true"),
        ("text", "[x]", 8, "a must be text, not a list"),
        ("text", "''", 8, "a must be text, not ''"),
        ("whole", "two", 8, "a must be a whole number of at least 1, not 'two'"),
        ("whole", "0", 8, "a must be a whole number of at least 1, not 0"),
        ("whole", "1.5", 8, "a must be a whole number of at least 1, not 1.5"),
        ("whole", "true", 8, "a must be a whole number of at least 1, not true"),
        ("number", "x", 8, "a must be a number above 0, not 'x'"),
        ("number", ".nan", 8, "a must be a number above 0, not nan"),
        ("mapping", "x", 8, "a must be a mapping of keys to values, not 'x'"),
        ("mapping", "2026-01-01", 8, "a must be a mapping of keys to values, not the date 2026-01-01"),
        ("text_mapping", "{b: [1]}", 12, "a.b must be text, not a list"),
        ("text_mapping", "{b: }", 11, "a.b must be text, not nothing"),
        ("text_list", "[x, 1]", 12, "a must be a list of texts, not 1"),
        ("text_list", "{b: c}", 8, "a must be text, not a mapping"),
    ],
)
def test_a_wrong_type_is_refused_at_its_place(
    tmp_path: Path, getter: str, written: str, column: int, message: str
) -> None:
    section = read(tmp_path, local(f"a: {written}"))
    with pytest.raises(ConfigError) as caught:
        getattr(section, getter)("a")
    assert caught.value.message == f"{tmp_path / 'config.yml'}:3:{column}: {message}"


def test_a_flag_is_true_or_false(tmp_path: Path) -> None:
    section = read(tmp_path, local("a: 1", "b: no"))
    assert (section.flag("b", default=True), section.flag("c", default=True)) == (False, True)
    with pytest.raises(ConfigError, match="a must be true or false, not 1"):
        section.flag("a", default=True)


def test_a_choice_names_its_options(tmp_path: Path) -> None:
    section = read(tmp_path, local("a: x"))
    assert section.choice("b", ("y", "z"), "z") == "z"
    with pytest.raises(ConfigError, match="a must be y or z, not 'x'"):
        section.choice("a", ("y", "z"), "z")


def test_a_section_names_its_keys_in_full(tmp_path: Path) -> None:
    section = read(tmp_path, local("a:", "  b: x")).section("a")
    assert section is not None
    with pytest.raises(ConfigError, match=r"4:10: a\.b must be a whole number") as caught:
        section.whole("b")
    assert caught.value.key == "a.b"
