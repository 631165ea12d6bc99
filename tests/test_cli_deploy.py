"""`hotfire deploy`, `rollback` and `delete`, on a deployer that is given what comes of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotfire.cli.deployment import Progress
from hotfire.cli.output import Output
from hotfire.cli.root import run
from hotfire.comparison import Difference
from hotfire.deployment import Deployment
from hotfire.errors import DeployError
from hotfire.examples import Verdict
from hotfire.plan import Call, Plan
from hotfire.refusals import PERHAPS_LOCAL

PLAN = Plan(
    (Call("sagemaker", "CreateModel", {}, "create model tiny-1"),),
    (Call("sagemaker", "DeleteModel", {}, "delete model tiny-0"),),
)
DONE = Deployment("tiny", "tiny-1-1", "tiny-1", "ab", True, PLAN, "tiny-0-0", seconds=1.25)
UNCHANGED = replace(DONE, changed=False, plan=Plan(), previous=None)
GOOD = Verdict("good", seconds=0.01)
BAD = Verdict("bad", ('status 500, expected 200: "no"',), (Difference("a", "new", got=1),), 0.02)


class FakeDeployer:
    """Comes to what it is given, or raises it."""

    begins_by_uploading = begins_by_trying_out = False

    def __init__(self, result: Any, report: Progress) -> None:
        self._result, self._report = result, report
        self.under_way = self.is_update = False
        self.uploading, self.is_trying_out = self.begins_by_uploading, self.begins_by_trying_out
        self.asked: dict[str, Any] = {}
        self.is_deleted = self.went_on = False

    def check(self) -> None:
        pass

    def introduction(self) -> str:
        return "AWS account 123456789012, eu-west-1, as arn:me"

    def deploy(self, **asked: Any) -> Deployment:
        self.asked = asked
        if isinstance(self._result, Deployment) and not asked["dry_run"]:
            asked["agree"](self._result)
        self.went_on = True
        return self._come_out()

    def rollback(self) -> Deployment:
        return self._come_out()

    def delete(self) -> tuple[str, ...]:
        self.is_deleted = True
        return self._come_out()

    def _come_out(self) -> Any:
        self._report.call("create model tiny-1")
        if isinstance(self._result, BaseException):
            self.under_way = True
            raise self._result
        return self._result


Deploying = Callable[[Any], list[FakeDeployer]]


@pytest.fixture
def deploying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deploying:
    """A project in the working folder, whose deployments come to what is given."""
    (tmp_path / "config.yml").write_text("environments:\n  local:\n    model_name: tiny\n")
    monkeypatch.chdir(tmp_path)

    def comes_to(result: Any) -> list[FakeDeployer]:
        made: list[FakeDeployer] = []

        def deployer(output: Output, *_: Any, **__: Any) -> FakeDeployer:
            made.append(FakeDeployer(result, Progress(output)))
            return made[-1]

        monkeypatch.setattr("hotfire.cli.deploy.deployer", deployer)
        return made

    return comes_to


def test_a_deploy_tells_its_steps_its_examples_and_what_comes_next(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    deploying(replace(DONE, verdicts=(GOOD,)))
    assert run(["deploy"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Deploying tiny to local",
        "  create model tiny-1",
        "  ✓ good  10 ms",
        "tiny is in service after 1.2 s.",
        "",
        "  hotfire test   sends the examples again",
        "  hotfire logs   shows what the model prints",
    ]


def test_the_next_commands_name_the_environment(
    deploying: Deploying, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yml").write_text(
        "environments:\n  try:\n    model_name: tiny\n    instance_type: local\n"
    )
    deploying(DONE)
    run(["deploy", "--env", "try"])
    assert "  hotfire test --env try   sends the examples again" in capsys.readouterr().out


def test_a_failed_example_fails_the_deploy_and_names_the_way_back(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    deploying(replace(DONE, verdicts=(GOOD, BAD)))
    assert run(["deploy"]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[3:6] == [
        "  ✗ bad  20 ms",
        '      status 500, expected 200: "no"',
        "      a is new: 1",
    ]
    assert captured.err.splitlines() == [
        "Error: 1 of 2 examples failed",
        "  → `hotfire rollback` goes back to the version before.",
    ]


UNANSWERED = Verdict("bad", ("status 0, expected 200",), (), 60.0, has_answer=False)


def test_where_a_container_serves_its_last_exception_and_its_log_are_named(
    deploying: Deploying, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yml").write_text(
        "environments:\n  try:\n    model_name: tiny\n    instance_type: local_container\n"
    )
    cause = "ModuleNotFoundError: No module named 'nosuchthing'"
    deploying(replace(DONE, verdicts=(UNANSWERED,), previous=None, cause=cause))
    assert run(["deploy", "--env", "try"]) == 1
    _, printed, advice = capsys.readouterr().err.splitlines()
    assert printed == f"  The container printed: {cause}"
    assert advice.startswith("  → Add the line `nosuchthing` to the requirements.txt")
    assert advice.endswith(
        "Mend the handler, and `hotfire deploy --env try` again. "
        "`hotfire logs --env try` shows what the container printed."
    )


def test_where_a_container_serves_its_log_is_named_without_a_cause_too(
    deploying: Deploying, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yml").write_text(
        "environments:\n  local:\n    model_name: tiny\n    instance_type: local_container\n"
    )
    deploying(replace(DONE, verdicts=(BAD,)))
    assert run(["deploy"]) == 1
    assert capsys.readouterr().err.splitlines()[1:] == [
        "  → `hotfire rollback` goes back to the version before. "
        "`hotfire logs` shows what the container printed."
    ]


def test_of_a_first_version_there_is_no_way_back(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    deploying(replace(DONE, verdicts=(BAD,), previous=None))
    assert run(["deploy"]) == 1
    assert "rollback" not in capsys.readouterr().err


def test_an_unchanged_project_is_told_so(deploying: Deploying, capsys: pytest.CaptureFixture[str]) -> None:
    deploying(UNCHANGED)
    assert run(["deploy"]) == 0
    assert "tiny is up to date" in capsys.readouterr().out


def test_examples_of_an_unchanged_project_are_shown_and_fail_the_deploy(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    deploying(replace(UNCHANGED, verdicts=(GOOD, BAD)))
    assert run(["deploy"]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[2:5] == [
        "tiny is up to date: nothing has changed since it was deployed.",
        "  ✓ good  10 ms",
        "  ✗ bad  20 ms",
    ]
    assert captured.err.splitlines() == [
        "Error: 1 of 2 examples failed",
        "  → Mend the handler, and `hotfire deploy` again.",
    ]


def test_a_dry_run_shows_the_plan_and_exits_3(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    made = deploying(DONE)
    assert run(["deploy", "--dry-run"]) == 3
    asked = {name: made[0].asked[name] for name in ("dry_run", "adopt", "archive")}
    assert asked == {"dry_run": True, "adopt": False, "archive": None}
    assert capsys.readouterr().out.splitlines()[2:] == [
        "  would create model tiny-1",
        "  would delete model tiny-0",
        "2 to do.",
    ]


def test_a_dry_run_that_finds_nothing_exits_0(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    deploying(UNCHANGED)
    assert run(["deploy", "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith("tiny is as it should be.\n")


def test_a_deploy_for_programs(deploying: Deploying, capsys: pytest.CaptureFixture[str]) -> None:
    deploying(replace(DONE, verdicts=(BAD,)))
    assert run(["deploy", "--json"]) == 1
    captured = capsys.readouterr()
    value = json.loads(captured.out)
    assert (value["endpoint"], value["changed"], value["previous"]) == ("tiny", True, "tiny-0-0")
    assert value["calls"] == ["create model tiny-1", "delete model tiny-0"]
    assert value["examples"][0]["differences"] == [
        {"path": "a", "kind": "new", "expected": None, "got": 1, "change": None}
    ]
    assert "create model tiny-1" in captured.err


@pytest.mark.parametrize("command", ["deploy", "rollback"])
def test_an_interrupted_wait_says_what_goes_on(
    deploying: Deploying, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    deploying(KeyboardInterrupt())
    assert run([command]) == 130
    assert "`hotfire status` shows what comes of it" in capsys.readouterr().err


def test_a_wait_that_fails_says_what_goes_on(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    deploying(DeployError("nothing answers"))
    assert run(["deploy"]) == 1
    assert "The endpoint goes on changing: `hotfire status`" in capsys.readouterr().err


def test_a_local_region_that_ends_meanwhile_is_told_for_certain(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    deploying(DeployError("nothing answers", PERHAPS_LOCAL))
    assert run(["deploy"]) == 1
    err = capsys.readouterr().err
    assert "→ The local region has ended: `hotfire up` starts it again." in err
    assert "If that is" not in err


def test_a_rollback_says_what_serves(deploying: Deploying, capsys: pytest.CaptureFixture[str]) -> None:
    deploying(DONE)
    assert run(["rollback"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "tiny is in service after 1.2 s, as tiny-1-1"


def test_nobody_is_asked_off_a_terminal(deploying: Deploying, capsys: pytest.CaptureFixture[str]) -> None:
    made = deploying(("delete endpoint tiny",))
    assert run(["delete"]) == 2
    assert made == []
    assert "--yes" in capsys.readouterr().err


def test_delete_says_what_is_gone(deploying: Deploying, capsys: pytest.CaptureFixture[str]) -> None:
    deploying(("delete endpoint tiny",))
    assert run(["delete", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "tiny is deleted."


def test_to_delete_nothing_is_no_error(deploying: Deploying, capsys: pytest.CaptureFixture[str]) -> None:
    deploying(())
    assert run(["delete", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"endpoint": "tiny", "calls": []}


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_on_a_terminal_one_is_asked(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    made = deploying(("delete endpoint tiny",))
    monkeypatch.setattr(Output, "can_ask", property(lambda _: True))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer.strip())
    assert run(["delete"]) == code
    assert made[0].is_deleted == (code == 0)


AT_AWS = replace(
    DONE,
    plan=replace(PLAN, kept=("model tiny-2",)),
    before=("upload s3://models/tiny/ab/model.tar.gz",),
    after=("s3://models/tiny/cd/",),
    cost="2 × ml.m5.large, in place of 1 × ml.m5.large",
)


@pytest.fixture
def production(tmp_path: Path, deploying: Deploying) -> None:
    """The project's environment is at AWS."""
    (tmp_path / "serve.py").write_text("def model_fn(model_dir):\n    return 1\n")
    (tmp_path / "config.yml").write_text(
        "environments:\n  production:\n    model_name: tiny\n    instance_type: ml.m5.large\n"
    )


@pytest.mark.usefixtures("production")
def test_at_aws_the_account_is_named_first_and_the_plan_is_shown(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    deploying(AT_AWS)
    assert run(["deploy", "--env", "production", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[:7] == [
        "AWS account 123456789012, eu-west-1, as arn:me",
        "Deploying tiny to production",
        "  = model tiny-2",
        "  + upload s3://models/tiny/ab/model.tar.gz",
        "  + create model tiny-1",
        "  - delete model tiny-0",
        "  - delete s3://models/tiny/cd/",
    ]


@pytest.mark.usefixtures("production")
def test_off_a_terminal_what_costs_needs_a_yes(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    made = deploying(AT_AWS)
    assert run(["deploy", "--env", "production"]) == 2
    assert not made[0].went_on
    cost = "2 × ml.m5.large, in place of 1 × ml.m5.large"
    assert capsys.readouterr().err.splitlines()[-2:] == [
        f"Error: This is to be paid for: {cost}; and there is nobody here to be asked.",
        "  → Say by `--yes` that it is meant. Nothing was changed.",
    ]


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_on_a_terminal_what_costs_is_asked_for(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    made = deploying(AT_AWS)
    monkeypatch.setattr(Output, "can_ask", property(lambda _: True))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer)
    assert run(["deploy", "--env", "production"]) == code
    assert made[0].went_on == (code == 0)


@pytest.mark.usefixtures("production")
def test_at_aws_a_dry_run_names_what_is_to_be_paid_for(
    deploying: Deploying, capsys: pytest.CaptureFixture[str]
) -> None:
    deploying(AT_AWS)
    assert run(["deploy", "--env", "production", "--dry-run"]) == 3
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "To be paid for: 2 × ml.m5.large, in place of 1 × ml.m5.large.",
        "4 to do.",
    ]


def test_an_interrupted_upload_goes_on_with_the_next_deploy(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = deploying(KeyboardInterrupt())
    monkeypatch.setattr(FakeDeployer, "begins_by_uploading", True)
    assert run(["deploy"]) == 130
    assert made[0].went_on
    assert "the next `hotfire deploy` goes on from there" in capsys.readouterr().err


def test_an_interruption_among_the_examples_says_that_all_else_is_done(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deploying(KeyboardInterrupt())
    monkeypatch.setattr(FakeDeployer, "begins_by_trying_out", True)
    assert run(["deploy"]) == 130
    assert "It is deployed: `hotfire test` sends the examples again." in capsys.readouterr().err


def test_a_state_that_is_waited_for_is_told_once_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(Output())
    for seconds in range(3):
        progress.state("Creating", float(seconds))
    progress.state("InService", 3.0)
    assert capsys.readouterr().err.splitlines() == ["  Creating", "  InService"]


def test_a_long_wait_is_told_again_each_minute(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(Output())
    for seconds in range(0, 150, 5):
        progress.state("Creating", float(seconds))
    assert capsys.readouterr().err.splitlines() == ["  Creating", "  Creating 60 s", "  Creating 120 s"]


def test_on_a_terminal_the_next_line_overwrites_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Output, "is_watched", property(lambda _: True))
    progress = Progress(Output())
    progress.state("Creating", 0.1)
    progress.state("Creating", 20.1)
    progress.call("tag endpoint tiny")
    captured = capsys.readouterr()
    assert captured.err.replace("\x1b[K", "") == "\r  Creating …\r  Creating 20 s …\r"
    assert captured.out == "  tag endpoint tiny\n"
