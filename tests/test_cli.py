import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from hotfire import __version__
from hotfire.cli.failures import told
from hotfire.cli.output import Output
from hotfire.cli.root import COMMANDS, hotfire, run
from hotfire.errors import HotfireError, UsageError

OF_NO_PROJECT = ("new", "init", "serve", "up", "down", "env", "keys")
OF_SEVERAL_ENVIRONMENTS = ("parity",)
"""These name them by their arguments."""
HOTFIRE = (sys.executable, "-m", "hotfire")


def program(*arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [*HOTFIRE, *arguments] if code is None else [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def failing(error: BaseException) -> click.Command:
    @click.command("fails")
    def fails() -> None:
        raise error

    return fails


def test_help_names_every_command() -> None:
    listed = program("--help").stdout.partition("Commands:")[2]
    assert [
        line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "
    ] == list(COMMANDS)


def test_help_imports_no_command_and_none_of_what_commands_need() -> None:
    code = (
        "import sys\n"
        "import hotfire.__main__\n"
        "from hotfire.cli.root import run\n"
        "run(['--help'])\n"
        "sys.stderr.write(repr(sorted(sys.modules)))\n"
    )
    imported = set(eval(program(code=code).stderr))
    heavy = {"boto3", "botocore", "yaml", "psutil", "asyncio", "http.client", "hotfire.environment"}
    ours = {f"hotfire.cli.{module}" for module, _ in COMMANDS.values()}
    assert imported & (heavy | ours) == set()


def test_without_a_command_there_is_help() -> None:
    assert program().stdout == program("--help").stdout


def test_version() -> None:
    assert program("--version").stdout == f"hotfire {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_first_in_its_help_what_the_list_says(name: str) -> None:
    command = hotfire.get_command(click.Context(hotfire), name)
    assert command is not None
    assert (command.help or "").partition("\n")[0].startswith(COMMANDS[name][1].rstrip("."))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json(name: str) -> None:
    assert "--json" in options_of(name)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in OF_NO_PROJECT])
def test_every_command_of_a_project_takes_its_environment(name: str) -> None:
    wanted = {"--config"} if name in OF_SEVERAL_ENVIRONMENTS else {"--env", "--config"}
    assert wanted <= options_of(name)


def options_of(name: str) -> set[str]:
    command = hotfire.get_command(click.Context(hotfire), name)
    assert command is not None
    return {option for parameter in command.params for option in parameter.opts}


def test_an_unknown_command_is_told_with_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["depoly"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "Error: There is no command 'depoly'. Did you mean 'deploy'?",
        "  → `hotfire --help` says how it is used.",
    ]


def test_an_unknown_option_exits_2_and_names_the_commands_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["env", "--nothing"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "Error: No such option '--nothing'",
        "  → `hotfire env --help` says how it is used.",
    ]


def test_an_error_of_the_user_is_one_line_and_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(HotfireError("the moon is missing", "Look up."), Output()) == 1
    assert capsys.readouterr() == ("", "Error: the moon is missing\n  → Look up.\n")


def test_an_error_exits_by_its_own_code() -> None:
    assert told(UsageError("no"), Output()) == 2


def test_with_json_standard_output_has_the_error_too(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.as_json = True
    told(HotfireError("the moon is missing", "Look up."), output)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"error": {"message": "the moon is missing", "advice": "Look up."}}
    assert captured.err == "Error: the moon is missing\n  → Look up.\n"


def test_a_wrong_option_beside_json_is_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--port", "none", "--json"]) == 2
    assert "'none' is not a valid integer" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_what_the_system_refuses_is_no_bug_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/file")
    assert told(error, Output()) == 1
    assert capsys.readouterr().err == "Error: /disk/file: No space left on device\n"


def test_anything_else_is_a_bug_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError) as caught:
        broken()
    assert told(caught.value, Output()) == 70
    captured = capsys.readouterr().err
    assert "in broken" in captured
    assert "KeyError: 'inside'" in captured
    assert "This is a bug in Hotfire" in captured


def test_an_interrupt_says_what_goes_on_without_us(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.if_interrupted = "The update goes on."
    assert told(KeyboardInterrupt(), output) == 130
    assert capsys.readouterr().err == "\nError: Interrupted.\n  → The update goes on.\n"


def test_an_interrupt_before_there_is_a_command_is_quiet() -> None:
    code = (
        "import signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from hotfire.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = program(code=code)
    assert (done.returncode, done.stderr) == (130, "")


def run_with_closed_output(arguments: Sequence[str]) -> tuple[int, bytes]:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([*HOTFIRE, *arguments], stdout=write, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["env", "--unset"], ["env", "--json"]])
def test_a_reader_that_went_away_ends_it_in_silence(arguments: list[str]) -> None:
    code, err = run_with_closed_output(arguments)
    assert code == 128 + signal.SIGPIPE
    assert b"Traceback" not in err
    assert b"Exception" not in err


def test_a_terminal_that_lacks_a_letter_gets_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = program("down")
    assert (done.returncode, done.stdout) == (0, "The local region was not up.\n")
    assert "\\u2192" in program("env").stderr


def test_json_is_ascii_where_the_encoding_is_not_utf_8(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    home = tmp_path / "müll😀"
    monkeypatch.setenv("HOTFIRE_HOME", str(home))
    code = (
        "from hotfire.cli.output import Output\n"
        "output = Output()\n"
        "output.as_json = True\n"
        "output.result({'text': 'müll😀'})\n"
    )
    assert json.loads(program(code=code).stdout) == {"text": "müll😀"}
