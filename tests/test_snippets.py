"""Requests as code. That the code runs, and sends the very bytes, is the story of the page."""

import ast
import json
import shlex
from typing import Any

import pytest

from hotfire.app_inputs import Input, Kind, Upload
from hotfire.app_schema import App, Body
from hotfire.console.snippets import Call, Snippet, plain_of, snippets

TEXT = App(inputs=(Input("text"),), template=[["{text}"]])
HOSTILE = "it's \"$HOME\" `id` \\ {x} 'é'\n\t@file"


def call(body: bytes, plain: str | None = None, **more: Any) -> Call:
    return Call("http://127.0.0.1:4774", "news", Body(body, "application/json"), plain=plain, **more)


def by_name(found: list[Snippet]) -> dict[str, Snippet]:
    return {one.name: one for one in found}


def words(snippet: Snippet) -> list[str]:
    """A command as the shell takes it apart."""
    return shlex.split(snippet.text)


def test_the_owner_gets_what_sagemakers_clients_say_and_the_public_api() -> None:
    found = by_name(snippets(call(b'[["a"]]', '{"text": "a"}'), is_owner=True))
    assert list(found) == ["curl", "boto3", "Python"]
    assert 'eval "$(hotfire env)"' in found["curl"].needs
    assert "http://127.0.0.1:4774/endpoints/news/invocations" in words(found["curl"])


def test_another_visitor_gets_the_public_api_alone_with_the_key() -> None:
    given = call(b"[]", '{"text": "a"}', needs_key=True, key="hotfire_abc")
    found = by_name(snippets(given, is_owner=False))
    assert list(found) == ["Python", "curl"]
    for one in found.values():
        assert "HOTFIRE_KEY" in one.text
        assert one.needs == "In a shell after: export HOTFIRE_KEY=hotfire_abc"
        assert "AWS_" not in one.text


def test_on_ones_own_machine_no_key_is_asked_for() -> None:
    assert "HOTFIRE_KEY" not in by_name(snippets(call(b"[]", "[]"), is_owner=True))["Python"].text


@pytest.mark.parametrize("more", [{"variant": "b"}, {"attributes": "x"}])
def test_what_the_public_api_cannot_say_is_not_said_by_it(more: dict[str, str]) -> None:
    found = snippets(call(b"[]", "[]", **more), is_owner=True)
    assert [one.name for one in found] == ["curl", "boto3"]
    assert all(next(iter(more.values())) in one.text for one in found)


def test_a_body_of_any_characters_stands_as_it_is() -> None:
    body = json.dumps([[HOSTILE]], ensure_ascii=False).encode()
    found = by_name(snippets(call(body, json.dumps(HOSTILE)), is_owner=True))
    assert words(found["curl"])[-1].encode() == body
    assert repr(body.decode()) in found["boto3"].text
    for name in ("boto3", "Python"):
        ast.parse(found[name].text)


def test_headers_go_along() -> None:
    given = call(b"[]", accept="text/csv", attributes='a"b')
    found = by_name(snippets(given, is_owner=True))
    assert {"Accept: text/csv", 'X-Amzn-SageMaker-Custom-Attributes: a"b'} <= set(words(found["curl"]))
    assert 'Accept="text/csv"' in found["boto3"].text
    ast.parse(found["boto3"].text)


@pytest.mark.parametrize("body", [b"\x89PNG\xff", b"x" * 3000, b"a\0b", b"a\rb", b""])
def test_a_body_that_cannot_stand_there_is_a_file(body: bytes) -> None:
    found = snippets(call(body), is_owner=True)
    assert [(one.file, one.data) for one in found] == [("news-request.json", body)] * 2
    assert "@news-request.json" in found[0].text
    assert "Path('news-request.json').read_bytes()" in found[1].text


def test_long_inputs_of_the_public_api_are_a_file_too() -> None:
    python = snippets(call(b"[]", json.dumps("x" * 3000)), is_owner=True)[-1]
    assert (python.file, len(python.data)) == ("news-input.json", 3002)
    ast.parse(python.text)


@pytest.mark.parametrize(
    ("values", "plain"),
    [
        ([{"text": "a"}], {"text": "a"}),
        ([{"text": "a"}, {"text": "é"}], [{"text": "a"}, {"text": "é"}]),
    ],
)
def test_inputs_are_said_in_plain_json(values: list[Any], plain: Any) -> None:
    found = plain_of(TEXT, values, TEXT.body_of(values))
    assert found is not None
    assert json.loads(found) == plain


def test_a_body_that_is_json_is_said_as_it_is() -> None:
    raw = App(inputs=(Input("body", Kind.JSON),), template="{body}")
    assert plain_of(raw, [{"body": [[[1]]]}], raw.body_of({"body": [[[1]]]})) == "[[[1]]]"


def test_what_the_public_api_would_send_otherwise_is_not_offered() -> None:
    assert plain_of(TEXT, [{"text": "a"}], Body(b'[["a" ]]', "application/json")) is None
    photo = App(inputs=(Input("photo", Kind.IMAGE),))
    sent = {"photo": Upload(b"no image", "image/png")}
    assert plain_of(photo, [sent], photo.body_of(sent)) is None
