"""The form that requests show a model to need, and that it makes the same requests again."""

import base64
import json
from typing import Any

import pytest

from hotfire.app_inference import Sample, completed, infer, raw
from hotfire.app_inputs import Input, Kind, Upload
from hotfire.app_schema import App, Source
from hotfire.bodies import value_of

JSON = "application/json"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
PNG_TEXT = base64.b64encode(PNG).decode()


def samples(*values: Any) -> list[Sample]:
    return [Sample(json.dumps(value).encode(), JSON) for value in values]


def fields(app: App) -> list[tuple[str, str]]:
    return [(one.name, str(one.kind)) for one in app.inputs]


SHAPES: list[tuple[str, list[Any], list[tuple[str, str]], Any]] = [
    ("a headline", [[["Oil falls"]]], [("text", "long text")], [["{text}"]]),
    ("headlines", [[["a"], ["b"]], [["c"]]], [("text", "long text")], [["{text}"]]),
    ("texts", [["a", "b"]], [("text", "long text")], ["{text}"]),
    ("a text", ["hello"], [("text", "long text")], "{text}"),
    ("a number", [3], [("value", "number")], "{value}"),
    ("a flag", [True], [("value", "boolean")], "{value}"),
    (
        "named fields",
        [{"sepal_length": 5.1, "species": "a", "wild": False}],
        [("sepal_length", "number"), ("species", "text"), ("wild", "boolean")],
        {"sepal_length": "{sepal_length}", "species": "{species}", "wild": "{wild}"},
    ),
    ("one text of an object", [{"q": "why?"}], [("q", "long text")], {"q": "{q}"}),
    (
        "objects",
        [[{"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}]],
        [("a", "number"), ("b", "text")],
        [{"a": "{a}", "b": "{b}"}],
    ),
    (
        "instances",
        [{"instances": [{"a": 1}, {"a": 2}]}],
        [("a", "number")],
        {"instances": [{"a": "{a}"}]},
    ),
    ("inputs", [{"inputs": ["one", "two"]}], [("text", "long text")], {"inputs": ["{text}"]}),
    (
        "parameters",
        [{"inputs": "t", "parameters": {"top_k": 5, "sample": True}}],
        [("inputs", "text"), ("parameters.top_k", "number"), ("parameters.sample", "boolean")],
        {
            "inputs": "{inputs}",
            "parameters": {"top_k": "{parameters.top_k}", "sample": "{parameters.sample}"},
        },
    ),
    (
        "rows of numbers",
        [[[5.1, 3.5], [4.9, 3.0]]],
        [("x1", "number"), ("x2", "number")],
        [["{x1}", "{x2}"]],
    ),
    ("one row of numbers", [[5.1, 3.5]], [("x1", "number"), ("x2", "number")], ["{x1}", "{x2}"]),
    (
        "rows of this and that",
        [[[5.1, "a", True]]],
        [("x1", "number"), ("text2", "text"), ("x3", "boolean")],
        [["{x1}", "{text2}", "{x3}"]],
    ),
    ("a list among fields", [{"a": [1, 2]}], [("a", "json")], {"a": "{a}"}),
    ("one field of two kinds", [{"a": 1}, {"a": "x"}], [("a", "json")], {"a": "{a}"}),
    ("null alone", [{"a": None, "b": 1}], [("a", "json"), ("b", "number")], {"a": "{a}", "b": "{b}"}),
    ("a name with braces", [{"{a}": 1}], [("_a_", "number")], {"{a}": "{_a_}"}),
    (
        "names that come to the same",
        [{"{a}": 1, "_a_": 2}],
        [("_a_", "number"), ("_a__2", "number")],
        {"{a}": "{_a_}", "_a_": "{_a__2}"},
    ),
    ("an image in JSON", [{"image": PNG_TEXT}], [("image", "image")], {"image": "{image}"}),
    (
        "an image as an address",
        [{"image": f"data:image/png;base64,{PNG_TEXT}"}],
        [("image", "image")],
        {"image": "data:{image.type};base64,{image}"},
    ),
]


@pytest.mark.parametrize(
    ("values", "inputs", "template"), [one[1:] for one in SHAPES], ids=[s[0] for s in SHAPES]
)
def test_a_shape_has_its_fields(values: list[Any], inputs: list[tuple[str, str]], template: Any) -> None:
    app = infer(samples(*values))
    assert (fields(app), app.template, app.source) == (inputs, template, Source.EXAMPLES)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        [[]],
        [[[1]]],
        [1, "a"],
        [[1], [1, 2]],
        [[1.0] * 784],
        {f"f{number}": 1 for number in range(100)},
        [{}],
    ],
    ids=lambda value: json.dumps(value)[:20],
)
def test_what_has_no_form_is_written_as_json(value: Any) -> None:
    app = infer(samples(value))
    assert (fields(app), app.content_type) == ([("body", "json")], JSON)


@pytest.mark.parametrize(
    "value",
    [
        *(value for shape in SHAPES for value in shape[1]),
        *({}, [], None, [[[1]]], [1, "a"], "", 0, -0.0, 1e300, 2**70, True, False, [[""]], [["{a}"]]),
        *({"a": {"b": {"c": {"d": 1}}}}, {"a": []}, {"": 1}, {"a": "{{b}}"}, {"a.b": 1, "a": {"b": 2}}),
        *([{"a": 1}, {"b": 2}], [{"a": None}, {"a": 1}], [None, "a"], {"a": "\ud800"}, "a\r\nb", "\u2028"),
        *([["a", None], ["b", 1]], {"inputs": []}, {"inputs": [[1, 2], [3, 4]]}, {"x": "data:,"}),
    ],
    ids=lambda value: json.dumps(value)[:30],
)
def test_a_body_is_read_and_made_again(value: Any) -> None:
    (sample,) = samples(value)
    app = infer([sample])
    values = app.values_of(sample.body, JSON)
    assert values is not None
    made = app.body_of(values)
    assert json.dumps(json.loads(made.body), sort_keys=True) == json.dumps(value, sort_keys=True)
    assert made.content_type == JSON


def test_a_member_that_some_leave_out_may_be_left_out() -> None:
    app = infer(samples({"a": 1, "b": "x"}, {"a": 2}))
    assert [one.required for one in app.inputs] == [True, False]
    assert app.body_of({"a": 2}).body == b'{"a": 2}'


def test_a_member_that_was_null_is_null_again() -> None:
    app = infer(samples({"a": 1, "b": "x"}, {"a": None, "b": "y"}))
    assert fields(app) == [("a", "number"), ("b", "text")]
    assert app.values_of(b'{"a": null, "b": "y"}', JSON) == [{"a": None, "b": "y"}]
    assert app.body_of({"b": "y"}).body == b'{"a": null, "b": "y"}'


def test_a_member_that_was_null_or_missing_is_json() -> None:
    app = infer(samples({"a": 1, "b": 1}, {"a": None, "b": 1}, {"b": 1}))
    assert fields(app) == [("a", "json"), ("b", "number")]


def test_one_example_of_another_shape_does_not_take_the_form_from_the_others() -> None:
    app = infer(samples([["a"]], {"other": [1]}))
    assert fields(app) == [("text", "long text")]
    assert app.values_of(b'{"other": [1]}', JSON) is None


def test_the_first_content_type_counts() -> None:
    app = infer([Sample(b"a,b\n1,2\n", "text/csv"), *samples([["a"]])])
    assert (app.content_type, fields(app)) == ("text/csv", [("a", "number"), ("b", "number")])


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        ("5.1,3.5\n", ["x1", "x2"]),
        ("5.1,3.5\n4.9,3\n", ["x1", "x2"]),
        ("length,width\n5.1,3.5\n", ["length", "width"]),
        ("name,width\nrose,3.5\nlily,1\n", ["name", "width"]),
        ("a,b\nc,d\n", ["text1", "text2"]),
        ('"one, two",3\n', ["text1", "x2"]),
    ],
)
def test_csv_has_a_field_for_each_column(body: str, inputs: list[str]) -> None:
    app = infer([Sample(body.encode(), "text/csv")])
    values = app.values_of(body.encode(), "text/csv")
    assert [one.name for one in app.inputs] == inputs
    assert values is not None
    assert app.takes_several
    assert value_of("text/csv", app.body_of(values).body) == value_of("text/csv", body.encode())


@pytest.mark.parametrize("body", ["", "a,b\nc\n", '"a', "007,1\nx\n", "\n\n"])
def test_csv_that_is_no_table_is_text(body: str) -> None:
    app = infer([Sample(body.encode(), "text/csv")])
    assert fields(app) == [("body", "long text")]
    assert app.body_of({"body": body}) == (body.encode(), "text/csv")


def test_numbers_that_are_names_stay_as_they_are() -> None:
    app = infer([Sample(b"007,1\n", "text/csv")])
    assert fields(app) == [("text1", "text"), ("x2", "number")]


def test_lines_of_json_have_an_input_each() -> None:
    body = b'{"a": 1}\n{"a": 2}\n'
    app = infer([Sample(body, "application/jsonlines")])
    assert app.values_of(body, "application/jsonlines") == [{"a": 1}, {"a": 2}]
    assert app.body_of([{"a": 1}, {"a": 2}]) == (body, "application/jsonlines")


def test_text_is_one_text() -> None:
    app = infer([Sample(b"hello {you}", "text/plain")])
    assert fields(app) == [("text", "long text")]
    assert app.values_of(b"hello {you}", "text/plain") == [{"text": "hello {you}"}]
    assert app.body_of({"text": "{a}"}) == (b"{a}", "text/plain")


def test_an_image_is_sent_as_it_is() -> None:
    app = infer([Sample(PNG, "image/png"), Sample(b"\xff\xd8\xff", "image/jpeg")])
    assert fields(app) == [("image", "image")]
    assert app.values_of(PNG, "image/png") == [{"image": Upload(PNG, "image/png")}]
    assert app.body_of({"image": Upload(PNG, "image/png")}) == (PNG, "image/png")


def test_other_bytes_are_a_file() -> None:
    app = infer([Sample(b"\x93NUMPY", "application/x-npy")])
    assert fields(app) == [("file", "file")]
    assert app.body_of({"file": Upload(b"\x93NUMPY2", "text/plain")}) == (b"\x93NUMPY2", "application/x-npy")


def test_an_image_in_json_is_bytes() -> None:
    app = infer(samples({"image": f"data:image/png;base64,{PNG_TEXT}", "top": 3}))
    (values,) = (
        app.values_of(json.dumps({"image": f"data:image/png;base64,{PNG_TEXT}", "top": 3}).encode()) or []
    )
    assert values == {"image": Upload(PNG, "image/png"), "top": 3}
    made = app.body_of({"image": Upload(b"\xff\xd8\xff", "image/jpeg"), "top": 1}).body
    assert json.loads(made) == {"image": "data:image/jpeg;base64,/9j/", "top": 1}


def test_what_all_accept_is_accepted() -> None:
    asked = [Sample(b"[1]", JSON, "text/csv"), Sample(b"[2]", JSON, "text/csv")]
    assert infer(asked).accept == "text/csv"
    assert infer([*asked, Sample(b"[3]", JSON)]).accept == ""


def test_without_requests_the_body_is_json() -> None:
    app = infer([], Source.REQUESTS)
    assert (fields(app), app.source) == ([("body", "json")], Source.NOTHING)
    assert app.body_of({"body": [1]}) == (b"[1]", JSON)


def test_a_body_that_is_not_what_its_type_says_has_no_form() -> None:
    app = infer([Sample(b"{", JSON)])
    assert fields(app) == [("body", "json")]


def test_a_raw_body_of_bytes_is_a_file() -> None:
    assert fields(raw("application/octet-stream", Source.EXAMPLES)) == [("body", "file")]


def test_a_title_alone_leaves_the_inputs_to_the_examples() -> None:
    app = completed(App(title="News", origins=("https://a",)), samples([["a"]]), Source.EXAMPLES)
    assert (app.title, app.origins, fields(app), app.source) == (
        "News",
        ("https://a",),
        [("text", "long text")],
        Source.EXAMPLES,
    )


@pytest.mark.parametrize("value", [[["a"]], ["a"], {"t": "a"}, [{"t": "a"}], "a"], ids=json.dumps)
def test_declared_inputs_go_where_the_examples_have_theirs(value: Any) -> None:
    declared = App(inputs=(Input("headline", Kind.LONG_TEXT, default="x"),))
    app = completed(declared, samples(value), Source.EXAMPLES)
    assert (app.inputs, app.source) == (declared.inputs, Source.CONFIG)
    assert app.values_of(json.dumps(value).encode(), JSON) == [{"headline": "a"}]


def test_declared_inputs_are_found_by_their_names_in_any_order() -> None:
    declared = App(inputs=(Input("b", Kind.NUMBER), Input("a", Kind.NUMBER)))
    app = completed(declared, samples([{"a": 1, "b": 2}]), Source.EXAMPLES)
    assert app.body_of({"a": 1, "b": 2}).body == b'[{"a": 1, "b": 2}]'


def test_declared_inputs_that_no_example_has_make_an_object() -> None:
    declared = App(inputs=(Input("a", Kind.NUMBER), Input("b")))
    app = completed(declared, samples([["x"]]), Source.EXAMPLES)
    assert app.body_of({"a": 1, "b": "x"}).body == b'{"a": 1, "b": "x"}'


def test_a_declared_body_stays() -> None:
    declared = App(inputs=(Input("a"),), template={"x": "{a}"}, accept="text/csv")
    assert completed(declared, samples([["x"]]), Source.EXAMPLES) == declared
