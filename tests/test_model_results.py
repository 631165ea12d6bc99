"""How answers are shown: as bars, text, table, image or JSON, by declaration or by their looks."""

import base64
import json
from typing import Any

import pytest

from hotfire.app_inputs import Input
from hotfire.app_schema import App, Output, Shown
from hotfire.console.results import Part, headline, results

JSON = "application/json"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
APP = App(inputs=(Input("text"),), template=[["{text}"]])


def only(value: Any, app: App = APP) -> Part:
    """The one part of the one answer."""
    ((result),) = results(app, json.dumps(value).encode(), JSON, [""])
    (part,) = result.parts
    return part


def bars(part: Part) -> list[tuple[str, float, str]]:
    return [(bar.label, bar.share, bar.words) for bar in part.bars]


@pytest.mark.parametrize(
    "value",
    [
        {"a": 0.25, "b": 0.75},
        [{"probabilities": {"a": 0.25, "b": 0.75}, "words": ["x"]}],
        {"labels": ["a", "b"], "scores": [0.25, 0.75]},
        [[{"label": "a", "score": 0.25}, {"label": "b", "score": 0.75}]],
    ],
    ids=json.dumps,
)
def test_probabilities_are_bars_the_highest_first(value: Any) -> None:
    assert bars(only(value)) == [("b", 75.0, "75.0 %"), ("a", 25.0, "25.0 %")]


def test_numbers_by_names_are_no_probabilities() -> None:
    part = only({"price": 250_000, "rooms": 3.5})
    assert (part.kind, part.rows) == (Shown.TABLE, [["price", "250000"], ["rooms", "3.5"]])
    assert only({"chance": 0.5}).kind is Shown.TABLE


def test_scores_that_are_declared_to_be_labels_are_bars_of_their_own_length() -> None:
    app = App(inputs=APP.inputs, template=APP.template, outputs=(Output(Shown.LABEL, label="Logits"),))
    part = only({"a": -4.0, "b": 2.0, "c": 1.0}, app)
    assert bars(part) == [("b", 50.0, "2"), ("c", 25.0, "1"), ("a", 0.0, "-4")]
    assert part.label == "Logits"


def test_of_many_labels_the_first_are_shown_at_once() -> None:
    part = only({f"label{n:03}": n / 40_000 for n in range(300)})
    assert (len(part.bars), len(part.more_bars), part.left) == (10, 200, 90)


def test_two_more_labels_are_no_reason_to_fold() -> None:
    part = only({str(n): n / 100 for n in range(12)})
    assert (len(part.bars), part.more_bars) == (12, ())


def test_not_a_number_is_no_bar() -> None:
    found = results(APP, b'{"a": NaN, "b": 0.5, "c": Infinity}', JSON, [""])
    assert found[0].parts[0].kind is Shown.TABLE
    declared = App(outputs=(Output(Shown.LABEL),))
    part = results(declared, b'{"a": NaN, "b": 0.5, "c": Infinity}', JSON, [""])[0].parts[0]
    assert [bar.label for bar in part.bars] == ["c", "b"]


def test_each_input_has_its_answer() -> None:
    body = json.dumps([{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}]).encode()
    first, second = results(APP, body, JSON, ["x", "y"])
    assert [(one.caption, one.parts[0].bars[0].label) for one in (first, second)] == [("x", "a"), ("y", "b")]


def test_answers_that_cannot_be_told_apart_are_one() -> None:
    (one,) = results(APP, b'{"a": 0.9, "b": 0.1}', JSON, ["x", "y"])
    assert (one.caption, bars(one.parts[0])[0][0]) == ("", "a")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("hello", "hello"),
        (3.5, "3.5"),
        (True, "true"),
        ([{"generated_text": "once"}], "once"),
        ({"t": "x"}, "x"),
    ],
)
def test_a_text_or_a_number_is_text(value: Any, text: str) -> None:
    part = only(value)
    assert (part.kind, part.text) == (Shown.TEXT, text)


def test_plain_text_is_text() -> None:
    (one,) = results(APP, b"hello\n<b>", "text/plain; charset=utf-8", [""])
    assert one.parts[0].text == "hello\n<b>"


def test_a_long_text_is_cut_and_counted() -> None:
    part = only("x" * 20_500)
    assert (len(part.text), part.left) == (20_000, 500)


def test_rows_are_a_table() -> None:
    part = only([{"a": 1, "b": "x"}, {"a": 2.123456789, "c": None}])
    assert (part.kind, part.head) == (Shown.TABLE, ["a", "b", "c"])
    assert part.rows == [["1", "x", ""], ["2.12346", "", "null"]]


def test_csv_is_a_table() -> None:
    (one,) = results(APP, b"1,2\n3,x\n", "text/csv", [""])
    assert one.parts[0].rows == [["1", "2"], ["3", "x"]]


def test_labels_are_cut_too() -> None:
    part = only({"x" * 5_000_000: 0.5, "y": 0.5})
    assert sorted(len(bar.label) for bar in part.bars) == [1, 501]
    assert len(only([{"n" * 1000: 1}, {"n" * 1000: 2}]).head[0]) == 301


def test_a_long_table_is_cut_and_counted() -> None:
    part = only([[n, "y" * 400] for n in range(70)])
    assert (len(part.rows), part.left, len(part.rows[0][1])) == (50, 20, 301)


def test_an_image_is_an_image() -> None:
    (one,) = results(APP, PNG, "image/png", [""])
    assert one.parts[0].text == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def test_an_image_in_json_is_one_by_its_bytes_whatever_it_says() -> None:
    text = base64.b64encode(PNG).decode()
    for value in (text, {"png": text}, f"data:image/svg+xml;base64,{text}"):
        assert only(value).text.startswith("data:image/png;base64,")


def test_what_could_run_is_no_image() -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    assert results(APP, svg, "image/svg+xml", [""]) == []
    address = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    assert only(address).kind is Shown.TEXT


def test_what_has_no_other_form_is_shown_as_it_came() -> None:
    assert results(APP, b'{"a": [1, [2]]}', JSON, [""]) == []
    assert results(APP, b"\xff\x00", "application/octet-stream", [""]) == []


def test_the_parts_that_are_declared() -> None:
    outputs = (
        Output(Shown.LABEL, "scores", "Category"),
        Output(Shown.TEXT, "said.0"),
        Output(Shown.TABLE, "rows"),
        Output(Shown.IMAGE, "png"),
        Output(Shown.JSON, "said"),
        Output(Shown.IMAGE, "absent"),
    )
    value = {
        "scores": {"a": 0.5, "b": 0.5},
        "said": ["hello"],
        "rows": [[1]],
        "png": base64.b64encode(PNG).decode(),
    }
    (result,) = results(App(outputs=outputs), json.dumps(value).encode(), JSON, [""])
    assert [str(one.kind) for one in result.parts] == ["label", "text", "table", "image", "json", "json"]
    assert (result.parts[0].label, result.parts[1].text, result.parts[5].text) == (
        "Category",
        "hello",
        "null",
    )


def test_the_headline_is_what_matters_most() -> None:
    body = json.dumps([{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}]).encode()
    assert headline(results(APP, body, JSON, ["x", "y"])) == "a 90.0 %; b 80.0 %"
    assert headline(results(APP, b'"hello"', JSON, [""])) == "hello"
    assert headline([]) == ""
