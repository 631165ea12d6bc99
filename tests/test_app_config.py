"""`app:` as config.yml may write it, and what is said of each mistake in it."""

import json
from pathlib import Path

import pytest

from hotfire.app_inputs import Input, Kind
from hotfire.app_schema import App, Output, Shown
from hotfire.environment import load
from hotfire.errors import ConfigError
from hotfire.examples import load as load_examples

HEAD = "environments:\n  local:\n    model_name: m\n    app:\n"


def read(folder: Path, *lines: str) -> App:
    (folder / "config.yml").write_text(HEAD + "".join(f"      {line}\n" for line in lines))
    app = load(start=folder).app
    assert app is not None
    return app


def mistake(folder: Path, *lines: str) -> str:
    """What is said, from its line on; the first line of `app` is 5."""
    with pytest.raises(ConfigError) as caught:
        read(folder, *lines)
    place, _, message = str(caught.value).partition(": ")
    return f"{place.removeprefix(str(folder / 'config.yml') + ':')}: {message} {caught.value.advice}".strip()


def test_all_keys(tmp_path: Path) -> None:
    app = read(
        tmp_path,
        "title: News",
        "description: Tells headlines apart.",
        "inputs:",
        "  - name: headline",
        "    type: Long Text",
        "    label: Headline",
        "    description: As in a newspaper.",
        "    default: Oil falls",
        "    examples: [Rain stops the tennis, 2.10]",
        "  - {name: top, type: number, min: 1, max: 9, step: 1, default: 3, required: false}",
        "  - {name: language, type: choice, choices: [en, de, 1, false], default: de}",
        "  - {name: explain, type: boolean}",
        "  - {name: options, type: JSON, nullable: true, required: false}",
        "  - {name: photo, type: image}",
        "body:",
        '  inputs: [{text: "{headline}"}]',
        '  parameters: {top: "{top}", language: "{language}", explain: "{explain}", options: "{options}"}',
        '  photo: "data:{photo.type};base64,{photo}"',
        "batch: false",
        "content_type: application/vnd.news+json",
        "accept: application/json",
        "outputs:",
        "  - {type: label, at: probabilities, label: Category}",
        "  - type: text",
        "origins: [https://News.example, 'http://localhost:3000']",
    )
    assert app == App(
        title="News",
        description="Tells headlines apart.",
        inputs=(
            Input(
                "headline",
                Kind.LONG_TEXT,
                label="Headline",
                description="As in a newspaper.",
                default="Oil falls",
                examples=("Rain stops the tennis", "2.10"),
            ),
            Input("top", Kind.NUMBER, min=1, max=9, step=1, default=3, required=False),
            Input("language", Kind.CHOICE, choices=("en", "de", 1, False), default="de"),
            Input("explain", Kind.BOOLEAN, default=False),
            Input("options", Kind.JSON, nullable=True, required=False),
            Input("photo", Kind.IMAGE),
        ),
        template={
            "inputs": [{"text": "{headline}"}],
            "parameters": {
                "top": "{top}",
                "language": "{language}",
                "explain": "{explain}",
                "options": "{options}",
            },
            "photo": "data:{photo.type};base64,{photo}",
        },
        batch=False,
        content_type="application/vnd.news+json",
        accept="application/json",
        outputs=(Output(Shown.LABEL, "probabilities", "Category"), Output(Shown.TEXT)),
        origins=("https://news.example", "http://localhost:3000"),
    )
    assert App.of_json(app.as_json()) == app


def test_no_app(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("environments:\n  local:\n    model_name: m\n")
    assert load(start=tmp_path).app is None


def test_a_title_is_enough(tmp_path: Path) -> None:
    assert read(tmp_path, "title: News") == App(title="News")


@pytest.mark.parametrize(
    "body", ['[["{text}"]]', """'[["{text}"]]'""", '\n        - - "{text}"'], ids=["flow", "json", "block"]
)
def test_a_body_may_be_yaml_or_json(tmp_path: Path, body: str) -> None:
    app = read(tmp_path, "inputs: [{name: text}]", f"body: {body}")
    assert app.body_of({"text": "a"}) == (b'[["a"]]', "application/json")


def test_without_a_body_the_inputs_are_an_objects_members(tmp_path: Path) -> None:
    app = read(tmp_path, "inputs:", "  - name: a", "  - {name: b, type: number}")
    assert app.body_of({"a": "x", "b": 2}) == (b'{"a": "x", "b": 2}', "application/json")


def test_a_row_of_csv(tmp_path: Path) -> None:
    app = read(
        tmp_path,
        "inputs: [{name: a, type: number}, {name: b}]",
        'body: ["{a}", "{b}"]',
        "content_type: text/csv",
    )
    assert app.body_of([{"a": 1, "b": "x, y"}, {"a": 2, "b": "z"}]).body == b'1,"x, y"\n2,z\n'


def test_a_table_of_csv_with_names(tmp_path: Path) -> None:
    app = read(
        tmp_path, "inputs: [{name: a, type: number}]", 'body: [[A], ["{a}"]]', "content_type: text/csv"
    )
    assert app.body_of([{"a": 1}, {"a": 2}]).body == b"A\n1\n2\n"


def test_a_line_of_json(tmp_path: Path) -> None:
    app = read(tmp_path, "inputs: [{name: a}]", 'body: {t: "{a}"}', "content_type: application/jsonlines")
    assert app.body_of([{"a": "x"}, {"a": "y"}]).body == b'{"t": "x"}\n{"t": "y"}\n'


def test_plain_text(tmp_path: Path) -> None:
    app = read(tmp_path, "inputs: [{name: q}]", "body: 'Q: {q} {{A}}'", "content_type: text/plain")
    assert app.body_of({"q": "why?"}) == (b"Q: why? {A}", "text/plain")


@pytest.mark.parametrize("lines", [(), ('body: "{photo}"',)])
def test_an_image_alone_is_the_body(tmp_path: Path, lines: tuple[str, ...]) -> None:
    app = read(tmp_path, "inputs: [{name: photo, type: image}]", *lines)
    assert app.body_of({"photo": "data:image/png;base64,AAAA"}) == (b"\0\0\0", "image/png")


def test_an_image_in_json_is_base64(tmp_path: Path) -> None:
    app = read(tmp_path, "inputs: [{name: photo, type: image}]", 'body: {image: "{photo}"}')
    assert app.body_of({"photo": "AAAA"}) == (b'{"image": "AAAA"}', "application/json")


@pytest.mark.parametrize("given", ["label", "Label"])
def test_one_output_by_its_word(tmp_path: Path, given: str) -> None:
    assert read(tmp_path, f"outputs: {given}").outputs == (Output(Shown.LABEL),)


def test_one_output_alone(tmp_path: Path) -> None:
    assert read(tmp_path, "outputs: {type: image, at: png}").outputs == (Output(Shown.IMAGE, "png"),)


INPUT = "inputs: [{name: a}]"

MISTAKES = [
    (["titel: x"], "5:14: app has no key 'titel' Did you mean 'title'?"),
    (["title: [x]"], "5:14: app.title must be text, not a list"),
    (["inputs: [a]"], "5:16: app.inputs must be a list of mappings, not 'a'"),
    (["inputs: a"], "5:15: app.inputs must be a mapping of keys to values, not 'a'"),
    (
        ["inputs:", "  - type: text"],
        "6:11: an input needs a `name` Add `name:`, by which `body` and programs call it.",
    ),
    (
        ["inputs:", "  - name: the text"],
        "6:17: 'the text' cannot be an input's name Use letters, digits, `_` and `-`; what people read is "
        "its `label`.",
    ),
    (["inputs: [{name: a}, {name: a}]"], "5:27: the input 'a' is there twice Rename one."),
    (
        ["inputs: [{name: a, type: numbr}]"],
        "5:32: type must be text, long text, number, choice, boolean, image, file or json, not 'numbr' Did "
        "you mean 'number'?",
    ),
    (["inputs: [{name: a, kind: text}]"], "5:32: an input has no key 'kind' It has name, type,"),
    (
        ["inputs: [{name: a, min: 1}]"],
        "5:31: `min` is of inputs of the type number; this is text",
    ),
    (["inputs: [{name: a, type: number, min: x}]"], "5:45: app.inputs.0.min must be a number, not 'x'"),
    (
        ["inputs: [{name: a, type: number, step: 0}]"],
        "5:46: app.inputs.0.step must be a number above 0, not 0",
    ),
    (["inputs: [{name: a, type: number, min: 2, max: 1}]"], "5:45: min is 2, more than max, 1"),
    (
        ["inputs: [{name: a, type: number, min: 2, default: 1}]"],
        "5:57: default must be 2 or more, not 1",
    ),
    (
        ["inputs: [{name: a, type: choice}]"],
        "5:16: an input of the type choice needs `choices` Add `choices: ",
    ),
    (
        ["inputs: [{name: a, type: choice, choices: [x, x]}]"],
        "5:53: 'x' is there twice Delete one.",
    ),
    (
        ["inputs: [{name: a, type: choice, choices: [x], default: y}]"],
        '5:63: default must be one of "x", not "y"',
    ),
    (["inputs: [{name: a, choices: [x]}]"], "5:35: `choices` is of inputs of the type choice; this is text"),
    (["inputs: [{name: a, type: boolean, default: 1}]"], "5:50: default must be true or false, not 1"),
    (
        ["inputs: [{name: a, type: image, default: x}]"],
        "5:48: an input of the type image has no `default` The project's examples fill it.",
    ),
    (
        ["inputs: [{name: a, type: number, examples: [1, x]}]"],
        '5:54: an example must be a number, not "x"',
    ),
    (
        [INPUT, 'body: ["{b}"]'],
        "6:13: body has {b}, and there is no such input `{{` and `}}` are how to write",
    ),
    ([INPUT, 'body: ["{aa}"]'], "6:13: body has {aa}, and there is no such input Did you mean {a}?"),
    ([INPUT, 'body: ["{a.type} {a}"]'], "6:13: body has {a.type}, and there is no such input"),
    ([INPUT, "body: [a]"], "6:13: body has no {a} Each input must have its place."),
    ([INPUT, "body: {a}"], '6:13: body has {a} without quotes, which YAML reads as a mapping Write "{a}".'),
    (
        [INPUT, "body: [[{a}]]"],
        '6:13: body has {a} without quotes, which YAML reads as a mapping Write "{a}".',
    ),
    ([INPUT, "content_type: json"], "6:21: 'json' is no content type It is like `application/json`."),
    (
        ["body: [x]"],
        "5:13: app.body says how inputs make a request, and there are no `inputs` List them, or leave it to "
        "the examples.",
    ),
    (
        ["outputs: bars"],
        "5:16: outputs must be label, text, table, image or json, not 'bars'",
    ),
    (["outputs: [{at: x}]"], "5:17: an output needs a `type` It is label, text, table, image or json."),
    (["outputs: [{type: text, form: x}]"], "5:36: an output has no key 'form' It has type, at and label."),
    (
        ["origins: ['*']"],
        "5:17: '*' is no origin of a web page It is like `https://news.example` or `http://localhost:3000`",
    ),
    (["origins: https://a/b"], "5:16: 'https://a/b' is no origin of a web page"),
    (["batch: 1"], "5:14: app.batch must be true or false, not 1"),
]


@pytest.mark.parametrize(("lines", "said"), MISTAKES, ids=[one[1][:60] for one in MISTAKES])
def test_a_mistake_is_told_with_its_place(tmp_path: Path, lines: list[str], said: str) -> None:
    assert mistake(tmp_path, *lines).startswith(said)


def test_the_template_declares_an_app_that_makes_its_examples(repository: Path) -> None:
    project = repository / "src" / "hotfire" / "templates" / "text_classification"
    app = load(config=project / "config.yml").app
    examples = load_examples(project / "examples")
    assert app is not None
    for example in examples:
        values = app.values_of(example.request.body, example.request.content_type)
        assert values is not None
        assert json.loads(app.body_of(values).body) == json.loads(example.request.body)
    assert len(examples) == 5
