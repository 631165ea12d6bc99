"""`hotfire test` and `invoke`, on a deployer that is given the answers."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hotfire.cli.output import Output
from hotfire.cli.root import run
from hotfire.deferred import MOST_INLINE, Deferred
from hotfire.deployment import Status, Trial
from hotfire.errors import DeployError
from hotfire.examples import Answer, ExampleRequest, check, load

JSON = "application/json"


class FakeDeployer:
    """An endpoint that gives one answer to everything."""

    def __init__(self, folder: Path, answer: Answer | None, status: Status) -> None:
        self._folder, self._answer, self._status = folder, answer, status
        self.requests: list[tuple[bytes, str, str | None]] = []

    def ask(self, request: ExampleRequest) -> Answer:
        self.requests.append((request.body, request.content_type, request.accept))
        return self._given()

    def stream(self, request: ExampleRequest) -> tuple[Answer, Iterator[bytes]]:
        """The answer's body comes word by word."""
        given = self.ask(request)
        if given.status != 200:
            return given, iter(())
        return replace(given, body=b""), (word + b" " for word in given.body.split())

    def hand_in(self, request: ExampleRequest, location: str | None) -> Deferred:
        self.requests.append((request.body, location or "", None))
        return Deferred("id-1", "s3://b/o.out", "s3://b/o-error.out", JSON, 0.0)

    def outcome(self, deferred: Deferred) -> Answer:
        assert deferred.inference_id == "id-1"
        return self._given()

    def run_examples(self) -> tuple[Trial, ...]:
        found = load(self._folder / "examples")
        return tuple(Trial(one, self._given(), check(one, self._given())) for one in found)

    def status(self) -> Status:
        return self._status

    def _given(self) -> Answer:
        if self._answer is None:
            raise DeployError("invoke tiny: not found. (ValidationError)")
        return self._answer


class Ask:
    """A project in the working folder, and the commands that ask its endpoint."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        self.deployer = FakeDeployer(folder, None, Status("tiny"))

    def answered(self, body: bytes, content_type: str = JSON, status: int = 200) -> None:
        self._use(FakeDeployer(self.folder, Answer(status, content_type, body, 0.004), Status("tiny")))

    def not_there(self, status: Status) -> None:
        self._use(FakeDeployer(self.folder, None, status))

    def example(self, name: str, **expect: Any) -> Path:
        file = self.folder / "examples" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"request": {"body": [1]}, "expect": expect}))
        return file

    def stdin(self, content: bytes) -> None:
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    def queue(self) -> None:
        """Let the endpoint be an asynchronous one."""
        (self.folder / "config.yml").write_text(
            "environments:\n  local:\n    model_name: tiny\n    async: {output: s3://b}\n"
        )

    def _use(self, fake: FakeDeployer) -> None:
        self.deployer = fake
        self._monkeypatch.setattr("hotfire.cli.ask.deployer", lambda *_: fake)


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    (tmp_path / "config.yml").write_text("environments:\n  local:\n    model_name: tiny\n")
    monkeypatch.chdir(tmp_path)
    made = Ask(tmp_path, monkeypatch)
    made.stdin(b"")
    return made


def test_an_answer_goes_to_standard_output_as_it_came(
    ask: Ask, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    ask.answered(b"\x93NUMPY\x00\xff", "application/x-npy")
    assert run(["invoke", "-d", "[1]"]) == 0
    assert capfdbinary.readouterr() == (b"\x93NUMPY\x00\xff", b"200 application/x-npy 4 ms\n")


def test_on_a_terminal_json_is_indented(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Output, "is_terminal", property(lambda _: True))
    ask.answered('{"ü": [1]}'.encode())
    run(["invoke", "-d", "[1]"])
    assert capsys.readouterr().out == '{\n  "ü": [\n    1\n  ]\n}\n'


def test_a_terminal_is_not_sent_bytes_that_are_no_text(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Output, "is_terminal", property(lambda _: True))
    ask.answered(b"\xff\xfe", "application/x-npy")
    run(["invoke", "-d", "[1]"])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2 bytes that are no text" in captured.err


def test_an_answer_for_programs(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.answered(b'{"a": 1}')
    assert run(["invoke", "-d", "[1]", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "status": 200,
        "content_type": JSON,
        "seconds": 0.004,
        "body": {"a": 1},
    }


def test_an_error_of_the_model_is_its_message_with_the_traceback(
    ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    ask.answered(b"no\nTraceback (most recent call last):\n  ...\n", status=500)
    assert run(["invoke", "-d", "[1]"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"500 {JSON} 4 ms\nno\nTraceback (most recent call last):\n")


def test_an_error_of_the_model_for_programs(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.answered(b'{"code": 500, "message": "no"}', status=500)
    assert run(["invoke", "-d", "[1]", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["body"] == {"code": 500, "message": "no"}


def test_data_is_sent_as_it_is_given(ask: Ask) -> None:
    ask.answered(b"{}")
    run(["invoke", "-d", "größe", "--content-type", "text/plain", "--accept", "text/csv"])
    assert ask.deployer.requests == [("größe".encode(), "text/plain", "text/csv")]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("a.json", JSON), ("a.CSV", "text/csv"), ("a.npy", "application/x-npy"), ("a", JSON)],
)
def test_a_files_name_says_its_content_type(ask: Ask, name: str, content_type: str) -> None:
    ask.answered(b"{}")
    (ask.folder / name).write_bytes(b"\x00\xff")
    run(["invoke", "-f", name])
    assert ask.deployer.requests == [(b"\x00\xff", content_type, None)]


def test_a_file_that_is_not_there_is_told(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["invoke", "-f", "absent.json"]) == 1
    assert "-f: absent.json cannot be read: No such file or directory" in capsys.readouterr().err


def test_standard_input_is_sent(ask: Ask) -> None:
    ask.answered(b"{}")
    ask.stdin(b"[2]")
    run(["invoke"])
    assert ask.deployer.requests == [(b"[2]", JSON, None)]


def test_an_empty_body_can_be_meant(ask: Ask) -> None:
    ask.answered(b"{}")
    run(["invoke", "-f", "-"])
    assert ask.deployer.requests == [(b"", JSON, None)]


def test_without_anything_else_the_first_example_is_sent(
    ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    ask.answered(b"{}")
    ask.example("b")
    ask.example("a")
    run(["invoke"])
    assert ask.deployer.requests == [(b"[1]", JSON, None)]
    assert capsys.readouterr().err.splitlines()[0] == "Sending the example a"


def test_nothing_to_send_is_bad_usage(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["invoke"]) == 2
    assert "-d DATA or -f FILE" in capsys.readouterr().err


def test_two_bodies_are_bad_usage(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["invoke", "-d", "1", "-f", "a"]) == 2


@pytest.mark.parametrize("command", [["invoke", "-d", "[1]"], ["test"]])
def test_where_nothing_is_deployed_the_command_is_named(
    ask: Ask, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    ask.example("a")
    ask.not_there(Status("tiny"))
    assert run(command) == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: tiny is not deployed",
        "  → `hotfire deploy` deploys it.",
    ]


def test_where_the_endpoint_failed_the_reason_is_told(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.not_there(Status("tiny", "Failed", "KeyError: 'a'"))
    assert run(["invoke", "-d", "[1]"]) == 1
    assert "Error: tiny is Failed: KeyError: 'a'" in capsys.readouterr().err


def test_what_else_failed_is_told_as_it_is(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.not_there(Status("tiny", "InService"))
    assert run(["invoke", "-d", "[1]"]) == 1
    assert "Error: invoke tiny: not found. (ValidationError)" in capsys.readouterr().err


def test_examples_that_pass(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.example("a", value={"x": 1})
    ask.example("b", value={"x": 2})
    ask.answered(b'{"x": 1}')
    assert run(["test"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  ✓ a  4 ms",
        "  ✓ b  4 ms",
        "      x was 2, now 1 (-1)",
        "2 of 2 examples pass.",
    ]


def test_an_example_that_fails(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.example("a", top="sport")
    ask.answered(b'{"sport": 0.2, "world": 0.8}')
    assert run(["test"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "  ✗ a  4 ms",
        "      top: 'world' is the most probable, expected 'sport'",
        "0 of 1 examples pass.",
    ]


def test_results_for_programs(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.example("a", status=200)
    ask.answered(b"no", status=500)
    assert run(["test", "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert (value["passed"], value["accepted"]) == (False, [])
    assert [(one["name"], one["passed"], one["status"]) for one in value["examples"]] == [("a", False, 500)]


def test_accepted_answers_are_shown_and_kept(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    file = ask.example("a", top="sport")
    ask.example("b")
    ask.answered(b'{"sport": 0.2, "world": 0.8}')
    assert run(["test", "--accept"]) == 0
    assert json.loads(file.read_text())["expect"] == {"top": "world"}
    out = capsys.readouterr().out
    assert "expected 'sport'" in out
    assert out.splitlines()[-1] == "Accepted: a, b."
    assert run(["test"]) == 0


def test_there_may_be_nothing_to_accept(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.example("a", value={"x": 1})
    ask.answered(b'{"x": 1}')
    assert run(["test", "--accept"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "There was nothing new to accept."


def test_results_are_written_as_junit(ask: Ask) -> None:
    ask.example("a", status=404)
    ask.answered(b"{}")
    assert run(["test", "--junit", "reports/hotfire.xml"]) == 1
    (suite,) = ElementTree.parse(ask.folder / "reports" / "hotfire.xml").getroot()
    assert (suite.attrib["name"], suite.attrib["failures"]) == ("tiny", "1")


def test_a_file_that_cannot_be_written_is_told(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.example("a")
    ask.answered(b"{}")
    (ask.folder / "reports").write_text("a file")
    assert run(["test", "--junit", "reports/hotfire.xml"]) == 1
    assert "--junit: reports/hotfire.xml cannot be written" in capsys.readouterr().err


def test_no_examples_is_an_error(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.answered(b"{}")
    assert run(["test"]) == 1
    assert f"there are no examples in {ask.folder / 'examples'}" in capsys.readouterr().err


def test_the_parts_of_a_stream_are_shown_as_they_come(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.answered(b"one two")
    assert run(["invoke", "--stream", "-d", "[1]"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "one two "
    assert captured.err.endswith("2 parts, the first 4 ms\n")


def test_a_stream_ends_its_line_on_a_terminal(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Output, "is_terminal", property(lambda _: True))
    ask.answered(b"one")
    run(["invoke", "--stream", "-d", "[1]"])
    assert capsys.readouterr().out == "one \n"


def test_a_stream_for_programs_is_one_value_at_its_end(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.answered(b"1 2")
    assert run(["invoke", "--stream", "-d", "[1]", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["body"], told["parts"], told["first_part_seconds"]) == ("1 2 ", 2, 0.004)


def test_an_error_in_place_of_a_stream_is_shown_as_any(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.answered(b"no\n", status=500)
    assert run(["invoke", "--stream", "-d", "[1]"]) == 1
    assert capsys.readouterr().err == f"500 {JSON} 4 ms\nno\n\n"


def test_a_queued_request_is_told_where_its_answer_will_be(
    ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    ask.queue()
    ask.answered(b"[1]")
    assert run(["invoke", "--async", "-d", "[1]", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "inference_id": "id-1",
        "output": "s3://b/o.out",
        "failure": "s3://b/o-error.out",
    }


def test_a_queued_request_can_be_waited_for(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask.queue()
    ask.answered(b"[1]")
    assert run(["invoke", "--async", "--wait", "-d", "[1]"]) == 0
    assert capsys.readouterr() == ("[1]", f"200 {JSON} 4 ms\n")


def test_a_request_that_failed_before_the_model_had_it_says_why(
    ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    ask.queue()
    ask.answered(b"There is no s3://b/x.", "text/plain", status=0)
    assert run(["invoke", "--async", "--wait", "--input", "s3://b/x"]) == 1
    assert capsys.readouterr().err == "Failed: text/plain 4 ms\nThere is no s3://b/x.\n"
    assert ask.deployer.requests == [(b"", "s3://b/x", None)]


def test_a_long_file_is_queued_by_its_address(ask: Ask) -> None:
    ask.queue()
    ask.answered(b"[1]")
    file = ask.folder / "long.json"
    file.write_bytes(b"x" * (MOST_INLINE + 1))
    run(["invoke", "--async", "-f", "long.json"])
    assert ask.deployer.requests[0][1] == f"file://{file}"


@pytest.mark.parametrize(
    ("arguments", "queues", "said"),
    [
        (["--stream", "--async"], False, "Both --stream and --async are given."),
        (["--wait"], True, "--input and --wait are for --async alone."),
        (["--async", "--input", "s3://b/x", "-d", "1"], True, "--input is given beside -d or -f."),
        (["--stream"], True, "tiny queues its requests"),
        (["--async"], False, "tiny answers at once"),
    ],
)
def test_what_does_not_go_together_is_refused(
    ask: Ask, arguments: list[str], queues: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ask.answered(b"[1]")
    if queues:
        ask.queue()
    assert run(["invoke", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert ask.deployer.requests == []
