"""`hotfire status` and `logs`, on a deployer that is given what there is."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotfire.cli.root import run
from hotfire.deployment import LogEvent, Status

DEPLOYED = Status(
    "tiny",
    "InService",
    config="tiny-1-1",
    model="tiny-1",
    sha256="ab",
    working_sha256="ab",
    commit="c0ffee",
    variants=(
        {"VariantName": "AllTraffic", "InstanceType": "local", "CurrentInstanceCount": 2, "x": object()},
    ),
)


class FakeDeployer:
    """Tells what it is given."""

    def __init__(self, status: Status | None = None, events: Iterator[LogEvent] | None = None) -> None:
        self._status, self._events = status, events or iter(())
        self.asked: tuple[float | None, int | None, bool] | None = None

    def status(self) -> Status | None:
        return self._status

    def log_events(self, since: float | None, *, lines: int | None, follow: bool) -> Iterator[LogEvent]:
        self.asked = (since, lines, follow)
        return self._events


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yml").write_text("environments:\n  local:\n    model_name: tiny\n")
    monkeypatch.chdir(tmp_path)


def given(monkeypatch: pytest.MonkeyPatch, fake: FakeDeployer) -> None:
    def deployer(*_: Any) -> FakeDeployer:
        return fake

    monkeypatch.setattr("hotfire.cli.endpoint.deployer", deployer)


def lines_of_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **changed: Any
) -> list[str]:
    given(monkeypatch, FakeDeployer(replace(DEPLOYED, **changed)))
    assert run(["status"]) == 0
    return capsys.readouterr().out.splitlines()


def test_status_of_what_serves(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of_status(monkeypatch, capsys) == [
        "tiny in local: InService",
        "  model     tiny-1  (commit c0ffee)",
        "  config    tiny-1-1",
        "  hash      ab  (what the project's files are now)",
        "  variant   AllTraffic: 2 × local, weight 1",
    ]


def test_status_says_that_the_project_has_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of_status(monkeypatch, capsys, working_sha256="cd")
    assert lines[1].startswith("  changed   ")
    assert "  hash      ab" in lines


def test_status_says_for_how_long_it_is_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of_status(monkeypatch, capsys, modified=time.time() - 7205)
    assert lines[-1].endswith("  (2 h)")


def test_status_says_why_an_endpoint_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of_status(monkeypatch, capsys, state="Failed", reason="KeyError: 'a'")
    assert lines[:2] == ["tiny in local: Failed", "  reason    KeyError: 'a'"]


def test_status_says_why_an_update_did_not_come(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of_status(monkeypatch, capsys, reason="KeyError: 'a'")
    assert lines[:2] == ["tiny in local: InService", "  failed    KeyError: 'a'"]


def test_status_names_another_project(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "  project   /elsewhere" in lines_of_status(monkeypatch, capsys, owner="/elsewhere")


def test_status_of_nothing_names_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, FakeDeployer(Status("tiny")))
    assert run(["status"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "tiny is not deployed in local.",
        "  → `hotfire deploy` deploys it.",
    ]


def test_status_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given(monkeypatch, FakeDeployer(DEPLOYED))
    assert run(["status", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["endpoint"], value["state"], value["environment"]) == ("tiny", "InService", "local")
    assert value["variants"] == [
        {"VariantName": "AllTraffic", "InstanceType": "local", "CurrentInstanceCount": 2}
    ]


def test_status_without_a_region_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: the local region is not running",
        "  → Start it: `hotfire up`.",
    ]


def test_logs_are_lines_with_their_times(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, FakeDeployer(events=iter([LogEvent(1.5, "s", "one"), LogEvent(2.5, "s", "two")])))
    assert run(["logs"]) == 0
    clock = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(f"{clock}  one\n{clock}  two\n", capsys.readouterr().out)


def test_logs_for_programs_are_a_line_of_json_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, FakeDeployer(events=iter([LogEvent(1.5, "s", "one"), LogEvent(2.5, "s", "two")])))
    assert run(["logs", "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"time": 1.5, "stream": "s", "message": "one"},
        {"time": 2.5, "stream": "s", "message": "two"},
    ]


def interrupted() -> Iterator[LogEvent]:
    yield LogEvent(1.5, "s", "one")
    raise KeyboardInterrupt


def test_to_end_what_follows_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeDeployer(events=interrupted())
    given(monkeypatch, fake)
    assert run(["logs", "-f"]) == 0
    assert fake.asked == (None, 100, True)
    assert "Interrupted" not in capsys.readouterr().err


def test_to_end_a_list_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, FakeDeployer(events=interrupted()))
    assert run(["logs"]) == 130


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], (None, 100, False)),
        (["-n", "5"], (None, 5, False)),
        (["--lines", "0", "-f"], (None, 0, True)),
        (["--since", "1970-01-01T00:01:00Z"], (60.0, None, False)),
        (["--since", "1970-01-01T00:01:00Z", "-n", "5"], (60.0, 5, False)),
    ],
)
def test_the_last_lines_are_shown_or_all_since_a_time(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], asked: tuple[float | None, int | None, bool]
) -> None:
    fake = FakeDeployer()
    given(monkeypatch, fake)
    assert run(["logs", *arguments]) == 0
    assert fake.asked == asked


def test_a_time_that_is_none_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["logs", "--since", "yesterday"]) == 2
    assert "'yesterday' is no time: say 10m, 2h, 1d or 2026-11-22T10:00:00" in capsys.readouterr().err
