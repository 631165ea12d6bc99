"""`hotfire parity`, on deployers that are given the answers."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from hotfire.cli.output import Output
from hotfire.cli.root import run
from hotfire.deployment import Status
from hotfire.environment import Environment
from hotfire.errors import DeployError, RegionNotRunning
from hotfire.examples import Answer, ExampleRequest

JSON = "application/json"
CONFIG = """\
environments:
  local: {model_name: tiny}
  candidate: {model_name: tiny-b, instance_type: local}
  third: {model_name: tiny-c, instance_type: local}
  production: {model_name: tiny, instance_type: ml.t2.medium, region: eu-west-1}
  twin: {model_name: tiny, instance_type: local}
"""


class FakeDeployer:
    """An endpoint that gives one answer to everything, or refuses everything."""

    def __init__(self, given: Answer | DeployError, status: Status) -> None:
        self._given, self._status = given, status
        self.requests: list[bytes] = []

    def ask(self, request: ExampleRequest) -> Answer:
        self.requests.append(request.body)
        if isinstance(self._given, DeployError):
            raise self._given
        return self._given

    def status(self) -> Status:
        return self._status


class Sides:
    """A project in the working folder, and what its environments answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.deployers: dict[str, FakeDeployer] = {}
        self.down: dict[str, RegionNotRunning] = {}
        (folder / "config.yml").write_text(CONFIG)

    def example(self, name: str, body: Any = 1, **expect: Any) -> None:
        file = self.folder / "examples" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"request": {"body": body}, "expect": expect}))

    def answers(
        self, name: str, value: Any, *, status: int = 200, content_type: str = JSON, seconds: float = 0.004
    ) -> None:
        answer = Answer(status, content_type, json.dumps(value).encode(), seconds)
        self.deployers[name] = FakeDeployer(answer, Status(name, "InService"))

    def refuses(self, name: str, error: DeployError, state: str | None) -> None:
        self.deployers[name] = FakeDeployer(error, Status(f"tiny-{name}", state))

    def deployer(self, _: object, environment: Environment) -> FakeDeployer:
        if environment.name in self.down:
            raise self.down[environment.name]
        return self.deployers[environment.name]


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sides:
    made = Sides(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hotfire.cli.parity.deployer", made.deployer)
    return made


def test_answers_that_are_alike(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.example("long")
    sides.example("short")
    sides.answers("local", [0.5])
    sides.answers("production", [0.50001], seconds=1.25)
    assert run(["parity", "local", "production"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "                 local   production",
        "  ✓ long   200    4 ms  200   1.2 s",
        "  ✓ short  200    4 ms  200   1.2 s",
        "2 of 2 examples are answered alike.",
    ]


def test_what_differs_is_shown_field_by_field(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.example("one")
    sides.answers("local", {"score": 0.9, "label": "a", "more": [1]})
    sides.answers(
        "candidate", {"score": 0.7, "label": "a", "new": None, "more": []}, content_type="text/x+json"
    )
    assert run(["parity", "local", "candidate"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "               local    candidate",
        "  ✗ one  200    4 ms  200    4 ms",
        '      content type: local "application/json", candidate "text/x+json"',
        "      score: local 0.9, candidate 0.7 (-0.2)",
        "      more[0]: local 1, candidate nothing",
        "      new: local nothing, candidate null",
        "0 of 1 examples are answered alike.",
    ]


def test_a_status_that_differs_is_shown_with_what_was_said(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.example("one")
    sides.answers("local", {"a": 1})
    sides.answers("candidate", "no\nTraceback (most recent call last):\nValueError: no", status=500)
    assert run(["parity", "local", "candidate"]) == 1
    assert capsys.readouterr().out.splitlines()[2:4] == [
        "      status: local 200, candidate 500",
        '      the answer: local {"a": 1}, candidate "no"',
    ]


def test_long_texts_are_shown_from_where_they_part(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.example("one")
    sides.answers("local", "word " * 40 + "and so on " * 20)
    sides.answers("candidate", "word " * 40 + "or so on " * 20)
    run(["parity", "local", "candidate"])
    shown = capsys.readouterr().out.splitlines()[2:5]
    assert shown[0] == "      the answer"
    assert shown[1].startswith("        local      …d word word and so on")
    assert shown[2].startswith("        candidate  …d word word or so on")
    assert all(len(line) <= 80 for line in shown)


def test_many_differences_are_counted(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.example("one")
    sides.answers("local", [0] * 25)
    sides.answers("candidate", [1] * 25)
    run(["parity", "local", "candidate"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:-1] == ["      [9]: local 0, candidate 1 (+1)", "      and 15 more, which --json tells"]


def test_no_line_is_longer_than_a_terminal(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.example("a-name-that-goes-on-and-on-for-longer-than-anybody-would-like-to-read-it-or-to-type")
    sides.answers("local", {"a-member-with-a-long-name" * 4: "x" * 300})
    for name in ("candidate", "third"):
        sides.answers(name, {"a-member-with-a-long-name" * 4: "y" * 300})
    sides.refuses("production", DeployError("a reason " * 20, "what to do " * 20), "InService")
    run(["parity", "local", "candidate", "third", "production"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80


def test_results_for_programs(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.example("one")
    sides.answers("local", [float("nan")])
    sides.answers("candidate", [0.5])
    assert run(["parity", "local", "candidate", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "passed": False,
        "sides": [{"name": "local", "error": None}, {"name": "candidate", "error": None}],
        "examples": [
            {
                "name": "one",
                "passed": False,
                "answers": {
                    name: {
                        "status": 200,
                        "content_type": JSON,
                        "body": [body],
                        "seconds": 0.004,
                        "steady": True,
                    }
                    for name, body in (("local", "nan"), ("candidate", 0.5))
                },
                "differences": [
                    {
                        "side": "candidate",
                        "what": "body",
                        "path": "[0]",
                        "kind": "changed",
                        "expected": "nan",
                        "got": 0.5,
                        "change": None,
                    }
                ],
            }
        ],
    }


def test_the_tolerance_and_the_number_of_requests_are_given(sides: Sides) -> None:
    sides.example("one")
    sides.answers("local", [0.5])
    sides.answers("candidate", [0.6])
    assert run(["parity", "local", "candidate", "--tolerance", "0.2", "--repeat", "1"]) == 0
    assert sides.deployers["local"].requests == [b"1", b"1"]


def test_examples_are_chosen_by_name(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abc":
        sides.example(name, name)
    sides.answers("local", 1)
    sides.answers("candidate", 1)
    assert run(["parity", "local", "candidate", "--example", "c", "--example", "a", "--repeat", "1"]) == 0
    assert sides.deployers["candidate"].requests == [b"c", b"c", b"a", b"a"]
    assert run(["parity", "local", "candidate", "--example", "d"]) == 1
    assert f"there is no example 'd' in {sides.folder / 'examples'}" in capsys.readouterr().err


def test_on_a_terminal_the_example_under_way_is_named(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Output, "is_watched", property(lambda _: True))
    for name in ("long", "short"):
        sides.example(name)
    sides.answers("local", 1)
    sides.answers("candidate", 1)
    run(["parity", "local", "candidate"])
    # What erases a line is left out where it is no terminal in truth.
    assert capsys.readouterr().err == "\r  long …\r\r  short …\r"


def test_no_examples_is_an_error(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.answers("local", 1)
    sides.answers("candidate", 1)
    assert run(["parity", "local", "candidate"]) == 1
    assert "there are no examples in" in capsys.readouterr().err


def test_a_side_that_is_not_deployed_is_told_with_what_to_do(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.example("one")
    sides.answers("local", 1)
    sides.refuses("candidate", DeployError("not found"), None)
    assert run(["parity", "local", "candidate"]) == 1
    assert capsys.readouterr() == (
        "",
        "Error: candidate cannot be reached: tiny-candidate is not deployed\n"
        "  → `hotfire deploy --env candidate` deploys it.\n",
    )


def test_a_side_whose_region_is_down_is_told_and_the_others_are_compared(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.example("one")
    sides.answers("local", 1)
    sides.answers("production", 1)
    sides.down["candidate"] = RegionNotRunning("the local region is not running", "Start it: `hotfire up`.")
    assert run(["parity", "local", "candidate", "production", "--json"]) == 1
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    error = {"message": "the local region is not running", "advice": "Start it: `hotfire up`."}
    assert [one["error"] for one in told["sides"]] == [None, error, None]
    assert (told["passed"], [one["passed"] for one in told["examples"]]) == (False, [True])
    assert captured.err.startswith("Error: candidate cannot be reached: the local region is not running\n")


def test_a_side_that_is_down_has_an_empty_column(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.example("one")
    sides.answers("local", 1)
    sides.answers("production", 1)
    sides.down["candidate"] = RegionNotRunning("the local region is not running")
    run(["parity", "local", "candidate", "production"])
    assert capsys.readouterr().out.splitlines()[1] == "  ✓ one  200    4 ms            -  200    4 ms"


def test_a_request_that_one_side_refuses_is_a_difference(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.example("one")
    sides.answers("local", 1)
    sides.refuses("candidate", DeployError("too long", "Cut it."), "InService")
    assert run(["parity", "local", "candidate"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "               local    candidate",
        "  ✗ one  200    4 ms      refused",
        "      candidate does not take this request: too long",
        "        → Cut it.",
        "0 of 1 examples are answered alike.",
    ]
    assert run(["parity", "local", "candidate", "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)["examples"]
    assert told["answers"]["candidate"] == {"error": {"message": "too long", "advice": "Cut it."}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "No side is named"),
        (["local"], "1 side is named"),
        (["local", "local"], "local is named twice."),
        (["http://localhost:1", "http://localhost:1/invocations"], "http://localhost:1 is named twice."),
        (["local", "ftp://x"], "ftp://x is no address of a container"),
        (["local", "candidate", "twin"], "The environments 'local' and 'twin' are one endpoint, tiny."),
        (["local", "candidate", "--repeat", "0"], "0 is not in the range"),
        (["local", "candidate", "--tolerance", "-1"], "-1.0 is not in the range"),
        (["local", "candidate", "--tolerance", "nan"], "nan is not a finite number of 0 or more"),
        (["local", "candidate", "--tolerance", "1e999"], "inf is not a finite number of 0 or more"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    sides: Sides, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.example("one")
    for name in ("local", "candidate", "twin"):
        sides.answers(name, 1)
    assert run(["parity", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert [one.requests for one in sides.deployers.values()] == [[], [], []]


def test_an_unknown_environment_is_told_before_anything_is_sent(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.example("one")
    sides.answers("local", 1)
    assert run(["parity", "local", "produktion"]) == 1
    assert "Did you mean 'production'?" in capsys.readouterr().err
    assert sides.deployers["local"].requests == []


@pytest.mark.parametrize("side", ["127.0.0.1:8080", "nosuch"])
def test_what_is_no_environment_is_told_how_a_container_is_named(
    sides: Sides, capsys: pytest.CaptureFixture[str], side: str
) -> None:
    assert run(["parity", "local", side]) == 1
    assert "→ Name one of them, or `http://127.0.0.1:8080` for a container." in capsys.readouterr().err


def test_bare_containers_are_sent_the_examples_of_the_environment_that_would_be_taken(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.example("one")
    assert run(["parity", "http://127.0.0.1:1", "http://127.0.0.1:2"]) == 1
    assert "http://127.0.0.1:2 cannot be reached: nothing listens there" in capsys.readouterr().err


class Recording:
    """A region that recorded requests, as the private API tells of it."""

    def __init__(self, *bodies: bytes, left_out: int = 0) -> None:
        self.asked: list[Any] = []
        headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Custom-Attributes": "a=1"}
        requests = [
            {"id": number, "time": 0, "headers": headers, "body": base64.b64encode(body).decode()}
            for number, body in enumerate(bodies, 1)
        ]
        self._told = {"requests": requests[::-1], "left_out": left_out}

    def call(self, method: str, path: str, body: Any) -> Any:
        self.asked.append((method, path, body))
        return self._told


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Recording:
    region = Recording(b"first", b"second", left_out=1)
    monkeypatch.setattr("hotfire.address.find", lambda home: region)
    return region


def test_recorded_requests_in_place_of_examples(
    sides: Sides, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.answers("local", [1])
    sides.answers("production", [1])
    assert run(["parity", "local", "production", "--journal", "5"]) == 0
    assert recording.asked == [("POST", "/_hotfire/requests", {"endpoint": "tiny", "limit": 5})]
    assert list(dict.fromkeys(sides.deployers["production"].requests)) == [b"first", b"second"]
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "2 of 2 requests are answered alike."
    assert captured.err.startswith("Note: 1 of the recorded requests cannot be sent again")


def test_recorded_requests_are_those_of_this_machine(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.answers("local", [1])
    sides.answers("production", [1])
    assert run(["parity", "production", "local", "--journal", "5"]) == 2
    assert "production is not in the local region, which alone records requests." in capsys.readouterr().err
    assert run(["parity", "local", "production", "--journal", "5", "--example", "one"]) == 2
    assert "--journal sends none of them" in capsys.readouterr().err


def test_nothing_that_could_be_sent_is_recorded(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hotfire.address.find", lambda home: Recording())
    sides.answers("local", [1])
    sides.answers("candidate", [1])
    assert run(["parity", "local", "candidate", "--journal", "5"]) == 1
    assert "no request to tiny is recorded that could be sent again" in capsys.readouterr().err


def test_no_region_has_recorded_anything(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hotfire.address.find", lambda home: None)
    sides.answers("local", [1])
    sides.answers("candidate", [1])
    assert run(["parity", "local", "candidate", "--journal", "5"]) == 1
    assert "the local region is not running" in capsys.readouterr().err
