"""Example requests: loaded, checked, recorded, accepted."""

import json
import math
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotfire import examples
from hotfire.comparison import Difference
from hotfire.errors import ProjectError
from hotfire.examples import Answer, Example, ExampleRequest, Expectation, Verdict

REQUEST = {"body": [["a"]]}
PROBABLE = [
    {"probabilities": {"World": 0.9, "Sports": 0.1}},
    {"probabilities": {"World": 0.2, "Sports": 0.8}},
]


def write(folder: Path, document: Any, name: str = "one") -> Path:
    file = folder / f"{name}.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    return file


def example(folder: Path, **expect: Any) -> Example:
    return examples.read(write(folder, {"request": REQUEST, "expect": expect}))


def refused(folder: Path, document: Any) -> ProjectError:
    with pytest.raises(ProjectError) as caught:
        examples.read(write(folder, document))
    return caught.value


def answer(value: Any, status: int = 200, content_type: str = "application/json") -> Answer:
    return Answer(status, content_type, json.dumps(value).encode())


def check(folder: Path, given: Answer, **expect: Any) -> Verdict:
    return examples.check(example(folder, **expect), given)


def body_of(folder: Path, **request: Any) -> bytes:
    return examples.read(write(folder, {"request": request})).request.body


def document(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def test_a_folders_examples_are_sorted_by_name(tmp_path: Path) -> None:
    for name in ("b", "a-1", "a"):
        write(tmp_path, {"request": REQUEST}, name)
    write(tmp_path, "no example", ".hidden")
    (tmp_path / "bodies").mkdir()
    (tmp_path / "README.md").touch()
    assert [one.name for one in examples.load(tmp_path)] == ["a", "a-1", "b"]


def test_without_a_folder_there_are_no_examples(tmp_path: Path) -> None:
    assert examples.load(tmp_path / "absent") == []


def test_an_example_with_a_body_alone_has_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, {"request": {"body": "x"}})
    assert examples.load(tmp_path) == [Example("one", file, ExampleRequest(b"x"), Expectation())]


def test_every_member_is_read(tmp_path: Path) -> None:
    request = {
        "body": "x",
        "content_type": "text/csv",
        "accept": "application/json",
        "custom_attributes": "trace=1",
        "target_model": "m.tar.gz",
        "target_variant": "B",
        "target_container_hostname": "second",
        "inference_id": "i",
        "inference_component_name": "c",
        "session_id": "s",
    }
    expect = {
        "status": 201,
        "content_type": "text/csv",
        "schema": {"type": "string"},
        "top": ["a", 1],
        "value": None,
        "tolerance": 0.5,
        "strict": True,
    }
    file = write(tmp_path, {"request": request, "expect": expect})
    kinds = frozenset({"status", "content_type", "schema", "top", "value"})
    assert examples.read(file) == Example(
        "one",
        file,
        ExampleRequest(**(request | {"body": b"x"})),
        Expectation(**(expect | {"top": ("a", "1"), "kinds": kinds})),
    )


def test_a_request_gives_the_arguments_of_boto3() -> None:
    request = ExampleRequest(b"x", "text/csv", target_variant="B")
    assert request.parameters() == {"Body": b"x", "ContentType": "text/csv", "TargetVariant": "B"}


def test_boto3_knows_every_parameter() -> None:
    from botocore.loaders import Loader

    shapes = Loader().load_service_model("sagemaker-runtime", "service-2")["shapes"]
    names = [name for name in ExampleRequest.__dataclass_fields__ if name != "body"]
    request = ExampleRequest(b"x", **dict.fromkeys(names, "y"))
    assert request.parameters().keys() < shapes["InvokeEndpointInput"]["members"].keys()
    assert len(request.parameters()) == len(names) + 1


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ([["a", "ü"], [1, 2.5, None]], '[["a","ü"],[1,2.5,null]]'),
        ({"b": 1, "a": {"c": []}}, '{"b":1,"a":{"c":[]}}'),
        ("just, text", "just, text"),
        ('"quoted"', '"quoted"'),
        ("", ""),
        (None, "null"),
        (False, "false"),
    ],
)
def test_a_body_is_sent_as_text_or_as_compact_json(tmp_path: Path, body: Any, sent: str) -> None:
    assert body_of(tmp_path, body=body) == sent.encode()


def test_a_body_may_be_bytes(tmp_path: Path) -> None:
    assert body_of(tmp_path, body_base64="AP8=") == b"\x00\xff"


def test_a_body_may_be_a_file_beside_the_example(tmp_path: Path) -> None:
    (tmp_path / "bodies").mkdir()
    (tmp_path / "bodies" / "cat.jpg").write_bytes(b"\xff\xd8")
    assert body_of(tmp_path, body_file="bodies/cat.jpg") == b"\xff\xd8"


def test_broken_json_is_reported_with_its_place(tmp_path: Path) -> None:
    error = refused(tmp_path, '{\n  "request": {,}\n}')
    assert error.message.startswith(f"{tmp_path / 'one.json'}:2:15: this is not valid JSON: ")


@pytest.mark.parametrize(
    ("written", "message", "advice"),
    [
        ([], "an example must be an object, not []", 'Write {"request": {…}}.'),
        ({}, "there is no `request`", None),
        ({"reqest": {}}, "the member `reqest` is not known", "Did you mean `request`?"),
        ({"request": {"body": 1, "acept": "x"}}, "the member `request.acept` is not known", None),
        (
            {"request": {"body": 1, "acept": "x"}},
            "the member `request.acept`",
            "Did you mean `request.accept`?",
        ),
        ({"request": {"body": 1, "zzz": "x"}}, "the member `request.zzz`", None),
        ({"request": REQUEST, "expect": {"stauts": 1}}, "`expect.stauts`", "Did you mean `expect.status`?"),
        (
            {"request": {}},
            "`request` must have one body, and has 0",
            "Give one of body, body_base64, body_file.",
        ),
        ({"request": {"body": 1, "body_file": "x"}}, "`request` must have one body, and has 2", None),
        ({"request": {"body": 1, "accept": 1}}, "`request.accept` must be text, not 1", None),
        ({"request": {"body_file": 1}}, "`request.body_file` must be text, not 1", None),
        ({"request": {"body_file": "none"}}, "none cannot be read: No such file or directory", None),
        ({"request": {"body_base64": "?"}}, "`request.body_base64` is not base64", None),
        ({"request": REQUEST, "expect": []}, "`expect` must be an object, not []", None),
        (
            {"request": REQUEST, "expect": {"status": "200"}},
            '`expect.status` must be a whole number, not "200"',
            None,
        ),
        (
            {"request": REQUEST, "expect": {"status": True}},
            "`expect.status` must be a whole number, not true",
            None,
        ),
        (
            {"request": REQUEST, "expect": {"tolerance": -1}},
            "must be a finite number of 0 or more, not -1",
            None,
        ),
        (
            {"request": REQUEST, "expect": {"tolerance": float("inf")}},
            "must be a finite number of 0 or more, not inf",
            None,
        ),
        ({"request": REQUEST, "expect": {"strict": 1}}, "`expect.strict` must be true or false, not 1", None),
        ({"request": REQUEST, "expect": {"schema": "x"}}, "`expect.schema` must be a JSON Schema", None),
        (
            {"request": REQUEST, "expect": {"top": {}}},
            "`expect.top` must be a label or a list of labels",
            None,
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, written: Any, message: str, advice: str | None) -> None:
    error = refused(tmp_path, written)
    assert error.message.startswith(f"{tmp_path / 'one.json'}: ")
    assert message in error.message
    assert advice is None or error.advice == advice


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(b'{"\xff"}')
    with pytest.raises(ProjectError, match=r"one\.json: this is not UTF-8 text"):
        examples.load(tmp_path)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (Answer(200, "application/json", b'{"a": 1}'), {"a": 1}),
        (Answer(200, "application/problem+json; charset=utf-8", b"[1]"), [1]),
        (Answer(200, "text/csv", b"1,2\n"), "1,2\n"),
        (Answer(200, "application/json", b"no json"), "no json"),
        (Answer(200, "application/x-npy", b"\xff"), {"base64": "/w=="}),
        (Answer(200, "", b""), ""),
    ],
)
def test_the_value_of_an_answer(given: Answer, value: Any) -> None:
    assert given.value == value


def test_an_answer_as_expected_passes(tmp_path: Path) -> None:
    verdict = check(tmp_path, answer(PROBABLE), status=200, top=["World", "Sports"], value=PROBABLE)
    assert verdict == Verdict("one")
    assert verdict.passed


def test_an_error_fails_and_shows_the_body(tmp_path: Path) -> None:
    verdict = check(tmp_path, answer({"error": "no"}, 500), top="World")
    assert verdict.errors == ('status 500, expected 200: {"error": "no"}',)


def test_of_a_traceback_the_end_is_shown_with_its_place_in_the_handler(tmp_path: Path) -> None:
    trace = (
        "oops\nTraceback (most recent call last):\n"
        '  File "/site-packages/sagemaker_inference/transformer.py", line 150, in transform\n    result = 1\n'
        '  File "/homes/1/model/code/serve.py", line 36, in predict_fn\n    raise ValueError("oops")\n'
        "ValueError: oops\n"
    )
    said = Answer(500, "text/plain", trace.encode())
    assert check(tmp_path, said).errors == (
        "status 500, expected 200: ValueError: oops (serve.py:36, in predict_fn)",
    )


def test_an_expected_error_passes(tmp_path: Path) -> None:
    assert check(tmp_path, answer("no", 400), status=400).passed


def test_an_answer_that_should_have_been_an_error_fails(tmp_path: Path) -> None:
    assert check(tmp_path, answer(1), status=400).errors == ("status 200, expected 400: 1",)


def test_a_schema_that_is_not_met_fails_at_each_place(tmp_path: Path) -> None:
    schema = {"type": "array", "items": {"required": ["a"], "properties": {"a": {"type": "number"}}}}
    assert check(tmp_path, answer([{"a": "x"}, {}, {"a": 1}]), schema=schema).errors == (
        "schema: $[0].a: 'x' is not of type 'number'",
        "schema: $[1]: 'a' is a required property",
    )


def test_a_schema_that_is_none_fails(tmp_path: Path) -> None:
    (error,) = check(tmp_path, answer(1), schema={"type": "nmber"}).errors
    assert error.startswith("`expect.schema` is not a JSON Schema: 'nmber'")


def test_a_schema_is_never_fetched(tmp_path: Path) -> None:
    (error,) = check(tmp_path, answer(1), schema={"$ref": "http://127.0.0.1:9/schema.json"}).errors
    assert error.startswith("`expect.schema` refers to what it does not hold: ")


def test_the_schema_false_refuses_everything(tmp_path: Path) -> None:
    assert not check(tmp_path, answer(1), schema=False).passed


@pytest.mark.parametrize(
    ("value", "top", "errors"),
    [
        (PROBABLE[:1], "World", ()),
        (PROBABLE[:1], "Sports", ("top: 'World' is the most probable, expected 'Sports'",)),
        (PROBABLE, ["World", "World"], ("top: of input 1 'Sports' is the most probable, expected 'World'",)),
        (PROBABLE, ["World"], ("top: 2 inputs were answered, expected 1",)),
        (
            PROBABLE,
            "World",
            ("top: 2 inputs were answered: expect a list of labels, as ['World', 'Sports']",),
        ),
        ([[0.1, 0.9]], 1, ()),
        ("text", "World", ('top: no labels with their probabilities can be found in "text"',)),
        ({}, ["World"], ("top: no labels with their probabilities can be found in {}",)),
    ],
)
def test_the_top_label_counts(tmp_path: Path, value: Any, top: Any, errors: tuple[str, ...]) -> None:
    assert check(tmp_path, answer(value), top=top).errors == errors


def test_a_changed_value_is_shown_and_fails_nothing(tmp_path: Path) -> None:
    verdict = check(tmp_path, answer({"a": 0.75}), value={"a": 0.5})
    assert verdict == Verdict("one", (), (Difference("a", "changed", 0.5, 0.75, 0.25),))
    assert verdict.passed


def test_a_changed_content_type_is_shown_and_fails_nothing(tmp_path: Path) -> None:
    verdict = check(tmp_path, answer(1, content_type="text/plain"), content_type="application/json")
    assert verdict.differences == (Difference("content_type", "changed", "application/json", "text/plain"),)
    assert verdict.passed


def test_spaces_and_case_of_a_content_type_do_not_matter(tmp_path: Path) -> None:
    given = answer(1, content_type="Text/CSV; charset=utf-8")
    assert check(tmp_path, given, content_type="text/csv;charset=UTF-8").differences == ()


def test_a_strict_example_fails_by_any_difference(tmp_path: Path) -> None:
    verdict = check(tmp_path, answer({"a": 0.75}), value={"a": 0.5}, strict=True)
    assert verdict.errors == ("a was 0.5, now 0.75 (+0.25) (the example is strict)",)


def test_the_examples_tolerance_counts(tmp_path: Path) -> None:
    assert check(tmp_path, answer(0.75), value=0.5, tolerance=0.3).differences == ()


def test_a_value_may_be_null(tmp_path: Path) -> None:
    assert check(tmp_path, answer(None), value=None).differences == ()
    assert len(check(tmp_path, answer(1), value=None).differences) == 1


def test_nan_is_the_same_as_nan(tmp_path: Path) -> None:
    assert check(tmp_path, answer([math.nan]), value=[math.nan]).differences == ()


def test_a_verdict_keeps_the_time(tmp_path: Path) -> None:
    assert examples.check(example(tmp_path), Answer(200, "", b"", 0.25)).seconds == 0.25


def test_a_recorded_example_is_what_was_sent_and_answered(tmp_path: Path) -> None:
    request = ExampleRequest(b'[["A b"], ["\xc3\xbc"]]', accept="application/json")
    file = examples.record(tmp_path / "new", "A b", request, answer(PROBABLE))
    assert file == tmp_path / "new" / "A b.json"
    assert document(file) == {
        "request": {"body": [["A b"], ["ü"]], "accept": "application/json"},
        "expect": {"content_type": "application/json", "value": PROBABLE},
    }
    assert examples.check(examples.read(file), answer(PROBABLE)) == Verdict("A b")


@pytest.mark.parametrize(
    "request_",
    [
        ExampleRequest(b"1,2\n3,4\n", "text/csv"),
        ExampleRequest(b"\xff\x00", "application/octet-stream"),
        ExampleRequest(b'{"broken"'),
        ExampleRequest(b'"a text"'),
        ExampleRequest(b"[1,2.5,null,NaN]"),
        ExampleRequest(b""),
        ExampleRequest(b'["a"]', "text/plain"),
        ExampleRequest(b"x", "text/plain", "a/b", "c", "d", "e", "f", "g", "h", "i"),
    ],
)
def test_a_recorded_request_is_sent_as_the_same_again(tmp_path: Path, request_: ExampleRequest) -> None:
    file = examples.record(tmp_path, "one", request_, answer(1))
    assert examples.read(file).request == request_


def test_a_recorded_error_expects_its_status(tmp_path: Path) -> None:
    file = examples.record(tmp_path, "one", ExampleRequest(b"x"), answer("no", 400))
    assert document(file)["expect"]["status"] == 400


def test_recording_replaces_nothing(tmp_path: Path) -> None:
    file = write(tmp_path, "mine")
    with pytest.raises(ProjectError, match=r"one\.json is there already"):
        examples.record(tmp_path, "one", ExampleRequest(b"x"), answer(1))
    assert file.read_text() == "mine"


@pytest.mark.parametrize("name", ["", "../one", "a/b", ".hidden", "a\nb"])
def test_a_name_that_is_no_files_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProjectError, match="cannot be an example's name"):
        examples.record(tmp_path, name, ExampleRequest(b"x"), answer(1))
    assert list(tmp_path.iterdir()) == []


def test_an_example_is_written_in_one_form_with_nothing_beside_it(tmp_path: Path) -> None:
    file = examples.record(tmp_path, "one", ExampleRequest(b'"\xc3\xbc"'), answer("ü"))
    assert file.read_text("utf-8") == (
        "{\n"
        '  "request": {\n    "body": "\\"ü\\""\n  },\n'
        '  "expect": {\n    "content_type": "application/json",\n    "value": "ü"\n  }\n'
        "}\n"
    )
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("expect", "given", "accepted"),
    [
        ({}, answer([1]), {"value": [1]}),
        ({"tolerance": 0.5}, answer([1]), {"tolerance": 0.5, "value": [1]}),
        ({"value": 1}, answer(2), {"value": 2}),
        ({"status": 400}, answer(1), {"status": 200}),
        ({"status": 200, "value": 1}, answer("no", 400), {"status": 400, "value": "no"}),
        ({"value": 1}, answer("no", 400), {"value": "no", "status": 400}),
        ({"content_type": "text/csv"}, answer(1), {"content_type": "application/json"}),
        ({"top": "Sports"}, answer(PROBABLE[:1]), {"top": "World"}),
        ({"top": ["Sports", "Sports"]}, answer(PROBABLE), {"top": ["World", "Sports"]}),
        ({"schema": {"type": "object"}}, answer([1]), {"schema": {"type": "object"}}),
    ],
)
def test_accepting_keeps_the_kinds_of_expectation(
    tmp_path: Path, expect: Any, given: Answer, accepted: Any
) -> None:
    one = example(tmp_path, **expect)
    assert examples.accept(one, given) is (accepted != expect)
    assert document(one.path) == {"request": REQUEST, "expect": accepted}


def test_an_accepted_answer_is_expected(tmp_path: Path) -> None:
    one = example(tmp_path, value=[1], top=["World"], status=200)
    examples.accept(one, answer(PROBABLE))
    assert examples.check(examples.read(one.path), answer(PROBABLE)) == Verdict("one")


def test_a_value_within_the_tolerance_is_left_as_it_is(tmp_path: Path) -> None:
    one = example(tmp_path, value=0.5)
    before = one.path.read_text()
    assert examples.accept(one, answer(0.50001)) is False
    assert one.path.read_text() == before


def test_a_top_that_an_answer_has_not_cannot_be_accepted(tmp_path: Path) -> None:
    one = example(tmp_path, top="World")
    before = one.path.read_text()
    with pytest.raises(ProjectError, match=r"`expect\.top` cannot be accepted"):
        examples.accept(one, answer("text"))
    assert one.path.read_text() == before


def test_where_there_is_no_answer_none_is_accepted(tmp_path: Path) -> None:
    one = example(tmp_path)
    before = one.path.read_text()
    assert not examples.accept(one, replace(answer("timed out"), status=0))
    assert one.path.read_text() == before


@pytest.mark.parametrize(("status", "has_answer"), [(200, True), (500, False), (0, False)])
def test_another_status_than_the_expected_is_no_answer(tmp_path: Path, status: int, has_answer: bool) -> None:
    one = example(tmp_path, value=1)
    assert examples.check(one, replace(answer(2), status=status)).has_answer is has_answer


def test_accepting_keeps_the_files_mode(tmp_path: Path) -> None:
    one = example(tmp_path, value=1)
    one.path.chmod(0o640)
    examples.accept(one, answer(2))
    assert stat.S_IMODE(one.path.stat().st_mode) == 0o640


def test_an_example_that_cannot_be_written_is_named_by_its_own_file(tmp_path: Path) -> None:
    one = example(tmp_path, value=1)
    one.path.with_name(f".{one.path.name}.{os.getpid()}.tmp").mkdir()  # root may write everywhere
    with pytest.raises(ProjectError) as caught:
        examples.accept(one, answer(2))
    assert caught.value.message == f"{one.path} cannot be written: Is a directory"
    assert caught.value.advice == f"See that you may write in {tmp_path}."


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProjectError, match=r"the folder .*file/examples cannot be made: Not a directory"):
        examples.record(tmp_path / "file" / "examples", "one", ExampleRequest(b"{}"), answer(2))
