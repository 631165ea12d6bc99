"""What the pages of the public API say."""

import json

import pytest

from hotfire.app_inputs import Input, Kind
from hotfire.app_schema import App
from hotfire.console.api_pages import fields, programs
from hotfire.console.openapi import Listed, example_of
from hotfire.region.apps import PageExample

TEXT = App(inputs=(Input("text", Kind.LONG_TEXT),), template=[["{text}"]])


def example(body: bytes, status: int = 200) -> PageExample:
    return PageExample("one", body, "application/json", status=status)


def test_the_example_is_the_first_that_the_model_answers() -> None:
    found = [example(b'[["wrong"]]', 400), example(b"{}"), example(b'[["right"], ["second"]]')]
    assert example_of(TEXT, found) == {"text": "right"}


def test_without_an_example_the_inputs_own_values_are_one() -> None:
    inputs = (Input("size", Kind.NUMBER, default=2), Input("kind", Kind.CHOICE, choices=("a", "b")))
    assert example_of(App(inputs=inputs, template={}), []) == {"size": 2, "kind": "a"}


def test_where_nothing_is_known_there_is_no_example() -> None:
    assert (example_of(TEXT, []), example_of(App(), [example(b"[1]")])) == (None, None)


@pytest.mark.parametrize(
    ("one", "kind", "about"),
    [
        (
            Input("a", Kind.NUMBER, min=0, max=9.5, description="In cm."),
            "number",
            "In cm; 0 or more; 9.5 or less",
        ),
        (Input("a", Kind.NUMBER, step=1), "integer", ""),
        (Input("a", Kind.CHOICE, choices=("x", 2)), "one of", '"x", 2'),
        (Input("a", Kind.TEXT, default="hello"), "string", '"hello" if it is left out'),
        (Input("a", Kind.TEXT, required=False, nullable=True), "string or null", "may be left out"),
        (Input("a", Kind.IMAGE), "string, base64", ""),
        (Input("a", Kind.JSON), "any JSON", ""),
    ],
)
def test_a_field_is_told_in_words(one: Input, kind: str, about: str) -> None:
    (field,) = fields(App(inputs=(one,)))
    assert (field.name, field.kind, field.about) == ("a", kind, about)


def test_an_example_that_is_long_is_a_file_beside_the_programs() -> None:
    long = Listed("news", TEXT, example={"text": "a" * 5000})
    found = programs(long, "http://here", needs_key=False)
    assert [one.name for one in found] == ["curl", "Python", "JavaScript"]
    assert {one.file for one in found} == {"news-input.json"}
    assert [one.name for one in found if "aaaa" in one.text or "news-input.json" not in one.text] == []


def test_the_programs_carry_a_key_only_where_one_is_needed() -> None:
    model = Listed("news", TEXT, example={"text": "a"})
    for needs_key in (True, False):
        found = programs(model, "http://here", needs_key=needs_key)
        assert {("HOTFIRE_KEY" in one.text) for one in found} == {needs_key}
        assert [one.name for one in found if json.dumps("a") not in one.text] == []


def test_without_an_example_there_are_no_programs() -> None:
    assert programs(Listed("news", App()), "http://here", needs_key=False) == []
