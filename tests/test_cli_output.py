import json
import math
import os
import pty
import subprocess
import sys

import pytest

from hotfire.cli.output import Output, duration, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_499, "99.5 kB"),
        (99_500, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (2_500_000_000, "2.5 GB"),
        (25 * 10**15, "25000 TB"),
    ],
)
def test_sizes_are_rounded_for_people(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0123, "12 ms"), (0.9996, "1.0 s"), (12.34, "12.3 s")])
def test_times_are_rounded_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_without_json_a_result_for_programs_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.say("for people")
    output.result({"for": "programs"})
    assert capsys.readouterr() == ("for people\n", "")


def test_with_json_only_the_steps_are_told_to_people_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.as_json = True
    output.step("a step")
    output.say("the result for people")
    output.result({"for": "programs"})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"for": "programs"}
    assert captured.err == "a step\n"


def test_an_item_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.as_json = True
    output.item({"a": [1, 2]})
    output.item({"b": "ü"})
    assert capsys.readouterr().out.splitlines() == ['{"a": [1, 2]}', '{"b": "ü"}']


def test_what_json_does_not_have_becomes_text(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.as_json = True
    output.item({"loss": math.nan, "range": [-math.inf, 1.5]})
    assert json.loads(capsys.readouterr().out) == {"loss": "nan", "range": ["-inf", 1.5]}


def test_off_a_terminal_there_is_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.say(output.paint("fine", fg="green"))
    assert capsys.readouterr().out == "fine\n"


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> bytes:
    """What is printed in colour on a terminal."""
    for name, value in ({"TERM": "xterm"} | variables).items():
        monkeypatch.setenv(name, value)
    code = "from hotfire.cli.output import Output as O; o = O(); o.say(o.paint('fine', fg='green'))"
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as reader:
        try:
            subprocess.run([sys.executable, "-c", code], stdout=theirs, check=True)
            return reader.read(1000)
        finally:
            os.close(theirs)


def test_on_a_terminal_there_is_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert on_a_terminal(monkeypatch) == b"\x1b[32mfine\x1b[0m\r\n"


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_whoever_wants_no_colour_gets_none(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    assert on_a_terminal(monkeypatch, **variables) == b"fine\r\n"
