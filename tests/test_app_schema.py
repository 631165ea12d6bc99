"""Inputs that make a body, bodies that are read as inputs, and what programs may give for them."""

import base64
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hotfire.app_inputs import Input, Kind, Upload, kind_of_bytes
from hotfire.app_schema import App, Output, Shown, Source, member
from hotfire.errors import InputError

TEXT = App(inputs=(Input("text", Kind.LONG_TEXT),), template=[["{text}"]])
IRIS = App(
    inputs=(
        Input("length", Kind.NUMBER, min=0, max=10, step=0.1),
        Input("kind", Kind.CHOICE, choices=("a", 1, True), default="a"),
        Input("wild", Kind.BOOLEAN, default=False),
        Input("note", required=False),
        Input("more", Kind.JSON, required=False, nullable=True),
    ),
    template={"length": "{length}", "kind": "{kind}", "wild": "{wild}", "note": "{note}", "more": "{more}"},
)
BODY = App(inputs=(Input("body", Kind.JSON),), template="{body}")
PNG = b"\x89PNG\r\n\x1a\n\0\0"


def refused(app: App, value: Any) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        app.read(value)
    return caught.value.path, caught.value.message


def test_a_text_makes_a_body() -> None:
    assert TEXT.body_of({"text": 'a "b" é'}) == ('[["a \\"b\\" é"]]'.encode(), "application/json")


def test_several_inputs_make_one_body_where_it_takes_several() -> None:
    assert TEXT.takes_several
    assert TEXT.bodies_of([{"text": "a"}, {"text": "b"}]) == [(b'[["a"], ["b"]]', "application/json")]


def test_several_inputs_make_a_body_each_where_it_takes_one() -> None:
    app = App(inputs=(Input("q"),), template={"q": "{q}"})
    assert [one.body for one in app.bodies_of([{"q": "a"}, {"q": "b"}])] == [b'{"q": "a"}', b'{"q": "b"}']
    with pytest.raises(InputError, match="takes one input"):
        app.body_of([{"q": "a"}, {"q": "b"}])


def test_a_body_may_be_kept_from_taking_several() -> None:
    app = App(inputs=TEXT.inputs, template=TEXT.template, batch=False)
    assert not app.takes_several
    assert app.values_of(b'[["a"], ["b"]]') is None


def test_what_is_around_the_repeated_item_stays() -> None:
    app = App(inputs=(Input("t"),), template={"v": 1, "in": {"rows": [{"t": "{t}"}]}})
    body = b'{"v": 1, "in": {"rows": [{"t": "a"}, {"t": "b"}]}}'
    assert app.body_of([{"t": "a"}, {"t": "b"}]).body == body
    assert app.values_of(body) == [{"t": "a"}, {"t": "b"}]
    assert app.values_of(b'{"v": 2, "in": {"rows": [{"t": "a"}]}}') is None


def test_a_value_keeps_its_type_alone_and_is_text_among_text() -> None:
    app = App(
        inputs=(Input("n", Kind.NUMBER), Input("yes", Kind.BOOLEAN), Input("who")),
        template={"n": "{n}", "said": "{who}: {n} {{{yes}}}"},
    )
    body = b'{"n": 2.5, "said": "I: 2.5 {true}"}'
    assert app.body_of({"n": 2.5, "yes": True, "who": "I"}).body == body
    assert app.values_of(body) == [{"n": 2.5, "yes": True, "who": "I"}]
    assert app.values_of(b'{"n": 2, "said": "I: 2.5 {true}"}') is None


def test_what_is_not_given_is_left_out_or_null() -> None:
    assert IRIS.body_of({"length": 1, "kind": 1, "wild": True}).body == (
        b'{"length": 1, "kind": 1, "wild": true, "more": null}'
    )


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[[1]]", b'[["a", "b"]]', b"[]", b'{"a": [["x"]]}', b'["a"]', b"\xff"]
)
def test_a_body_of_another_shape_has_no_values(body: bytes) -> None:
    assert TEXT.values_of(body) is None


def test_a_body_of_another_type_has_no_values() -> None:
    assert TEXT.values_of(b'[["a"]]', "text/csv") is None
    assert TEXT.values_of(b'[["a"]]', "application/json; charset=utf-8") == [{"text": "a"}]


def test_true_is_no_number_and_one_is_not_true() -> None:
    app = App(inputs=(Input("n", Kind.NUMBER),), template={"n": "{n}", "v": 1})
    assert app.values_of(b'{"n": true, "v": 1}') is None
    assert app.values_of(b'{"n": 1, "v": true}') is None


@pytest.mark.parametrize(
    ("value", "inputs", "is_list"),
    [
        ("a", [{"text": "a"}], False),
        ({"text": "a"}, [{"text": "a"}], False),
        (["a", {"text": "b"}], [{"text": "a"}, {"text": "b"}], True),
        (["a"], [{"text": "a"}], True),
    ],
)
def test_programs_give_one_input_or_a_list(value: Any, inputs: list[Any], is_list: bool) -> None:
    assert TEXT.read(value) == (inputs, is_list)


def test_what_programs_leave_out_is_the_default() -> None:
    assert IRIS.read({"length": 2}) == ([{"length": 2, "kind": "a", "wild": False, "more": None}], False)


def test_where_nothing_is_known_json_is_the_body() -> None:
    assert BODY.read([["a"]]) == ([{"body": [["a"]]}], False)
    assert BODY.body_of({"body": [["a"]]}) == (b'[["a"]]', "application/json")


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        (1, "", "an input must be an object with the model's inputs, not 1"),
        ({}, "length", "length is missing"),
        ({"length": "2"}, "length", 'length must be a number, not "2"'),
        ({"length": True}, "length", "length must be a number, not true"),
        ({"length": -1}, "length", "length must be 0 or more, not -1"),
        ({"length": 11}, "length", "length must be 10 or less, not 11"),
        ({"length": 0.25}, "length", "length must be in steps of 0.1, not 0.25"),
        ({"length": 1, "kind": "b"}, "kind", 'kind must be one of "a", 1, true, not "b"'),
        ({"length": 1, "kind": True + 0.0}, "kind", 'kind must be one of "a", 1, true, not 1'),
        ({"length": 1, "wild": 1}, "wild", "wild must be true or false, not 1"),
        ({"length": 1, "note": 1}, "note", "note must be text, not 1"),
        ({"length": 1, "notes": ""}, "notes", "notes is no input; there are length, kind, wild, note, more"),
        ([{"length": 1}, {"length": "x"}], "[1].length", '[1].length must be a number, not "x"'),
        ([], "", "the list has 0 inputs; it may have 1 to 1,000"),
    ],
)
def test_what_does_not_fit_is_told_with_its_path(value: Any, path: str, message: str) -> None:
    assert refused(IRIS, value) == (path, message)


@pytest.mark.parametrize("value", [0, 0.1, 0.3, 0.7, 9.9, 10])
def test_a_step_is_not_missed_by_rounding(value: float) -> None:
    assert IRIS.inputs[0].checked(value) == value


def test_bytes_come_as_base64_or_as_a_data_address() -> None:
    app = App(inputs=(Input("photo", Kind.IMAGE),))
    text = base64.b64encode(PNG).decode()
    assert app.read(text)[0] == [{"photo": Upload(PNG, "image/png")}]
    assert app.read(f"data:image/x-my;base64,{text}")[0] == [{"photo": Upload(PNG, "image/x-my")}]
    assert refused(app, "no!")[0] == "photo"
    assert refused(app, 1) == ("photo", "photo must be bytes in base64, not 1")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.NUMBER, " 5 ", 5),
        (Kind.NUMBER, "5.0", 5.0),
        (Kind.NUMBER, "1e3", 1000.0),
        (Kind.BOOLEAN, "true", True),
        (Kind.BOOLEAN, "", False),
        (Kind.JSON, "[1, null]", [1, None]),
        (Kind.TEXT, " a ", " a "),
        (Kind.CHOICE, "2", 2),
        (Kind.CHOICE, "false", False),
        (Kind.CHOICE, "0", 0),
    ],
)
def test_the_text_of_a_form_is_a_value(kind: Kind, text: str, value: Any) -> None:
    found = Input("x", kind, choices=("a", 2, False, 0)).read(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["", "five", "nan", "inf", "1_000", "1 2"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="x must be a number"):
        Input("x", Kind.NUMBER).read(text)


def test_json_that_is_none_is_refused_where_it_breaks() -> None:
    with pytest.raises(InputError, match=r"x is not valid JSON: .* line 1 column 2"):
        Input("x", Kind.JSON).read("{")


@pytest.mark.parametrize("value", [1, 2.5, True, None, "a", [1, {"a": "b"}], {"k": "é"}])
def test_what_stands_in_a_form_is_read_as_it_was(value: Any) -> None:
    one = Input("x", Kind.JSON)
    assert one.read(one.text(value)) == value


def test_answers_to_several_inputs_are_told_apart() -> None:
    assert TEXT.answers_of([1, 2], 2) == [1, 2]
    assert TEXT.answers_of([1], 1) == [1]
    assert TEXT.answers_of({"predictions": [1, 2]}, 2) == [1, 2]
    assert TEXT.answers_of({"probabilities": [1, 2]}, 2) is None
    assert TEXT.answers_of([0.9, 0.1], 1) == [[0.9, 0.1]]
    assert TEXT.answers_of({"a": 1}, 2) is None
    assert IRIS.answers_of([1], 1) == [[1]]


def test_the_schema_takes_what_is_read_and_nothing_else() -> None:
    validator = Draft202012Validator(IRIS.input_schema())
    Draft202012Validator.check_schema(IRIS.input_schema())
    assert validator.is_valid({"length": 0.3})
    assert validator.is_valid({"length": 1, "kind": True, "wild": True, "note": "", "more": [1]})
    for wrong in ({}, {"length": -1}, {"length": "1"}, {"length": 1, "kind": "b"}, {"length": 1, "x": 1}, []):
        assert not validator.is_valid(wrong)


def test_the_schema_says_what_is_known() -> None:
    one = Input(
        "top_k",
        Kind.NUMBER,
        label="How many",
        description="Of labels.",
        default=3,
        min=1,
        step=1,
        nullable=True,
        examples=(1, 5),
    )
    assert App(inputs=(one,)).input_schema() == {
        "type": "object",
        "properties": {
            "top_k": {
                "title": "How many",
                "type": ["integer", "null"],
                "minimum": 1,
                "description": "Of labels.",
                "default": 3,
                "examples": [1, 5],
            }
        },
        "additionalProperties": False,
    }


def test_the_schema_of_bytes_and_of_a_body() -> None:
    photo = App(inputs=(Input("photo", Kind.IMAGE),)).input_schema()["properties"]["photo"]
    assert (photo["contentEncoding"], photo["contentMediaType"]) == ("base64", "image/*")
    assert BODY.input_schema() == {"title": "body"}


def test_the_schema_of_an_answer_is_what_is_declared() -> None:
    outputs = (Output(Shown.TEXT, "said", "Said"), Output(Shown.LABEL, "scores"))
    assert App(outputs=outputs).answer_schema() == {
        "type": "object",
        "properties": {"said": {"type": "string", "title": "Said"}, "scores": {}},
    }
    assert App(outputs=(Output(Shown.LABEL),)).answer_schema() == {}


@pytest.mark.parametrize("app", [App(), TEXT, IRIS, BODY, App(title="t", source=Source.REQUESTS)])
def test_an_app_travels_as_json(app: App) -> None:
    assert App.of_json(json.loads(json.dumps(app.as_json()))) == app


@pytest.mark.parametrize(
    ("at", "found"), [("", {"a": [{"b": 1}]}), ("a.0.b", 1), ("a.1", None), ("x.y", None), ("a.b", None)]
)
def test_a_member_is_found_by_its_path(at: str, found: Any) -> None:
    assert member({"a": [{"b": 1}]}, at) == found


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8", "image/webp"),
        (b"RIFF\0\0\0\0WAVE", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_bytes_are_told_by_their_beginning(data: bytes, kind: str) -> None:
    assert kind_of_bytes(data) == kind
