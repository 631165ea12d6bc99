"""What processes print and what the region makes of it: both ends of one pipe."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hotfire.instances.output import OutputPipe
from hotfire_worker import output

Printed = list[tuple[str, str]]

PROGRAM = """\
import os, subprocess, sys, threading
sys.path.insert(0, {package!r})
from hotfire_worker import output
printed = output.redirect(int(sys.argv[1]))
"""


@pytest.fixture
def run() -> Callable[[str], Printed]:
    """Runs a program whose output is redirected, and says what the region was told of it."""
    package = str(Path(output.__file__).parent.parent)

    def run(program: str) -> Printed:
        return asyncio.run(_lines(PROGRAM.format(package=package) + program))

    return run


async def _lines(program: str) -> Printed:
    lines: Printed = []
    pipe = OutputPipe(lambda request, line: lines.append((request, line)))
    await pipe.open()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(pipe.write_end), pass_fds=[pipe.write_end]
    )
    await process.wait()
    await pipe.close()
    return lines


def test_a_line_belongs_to_the_request_in_hand(run: Callable[[str], Printed]) -> None:
    printed = run("print('load'); printed.tag = b'r1'; print('one'); printed.tag = b'r2'; print('two')")
    assert printed == [("", "load"), ("r1", "one"), ("r2", "two")]


def test_what_goes_to_stderr_is_told_too(run: Callable[[str], Printed]) -> None:
    assert run("printed.tag = b'r'; print('oh', file=sys.stderr)") == [("r", "oh")]


def test_bytes_go_through(run: Callable[[str], Printed]) -> None:
    assert run(r"sys.stdout.buffer.write('añb\n'.encode())") == [("", "añb")]


def test_a_line_is_told_when_it_ends(run: Callable[[str], Printed]) -> None:
    assert run("print('a', end=''); print('b', end='', flush=True); print('c')") == [("", "abc")]


def test_a_line_without_an_end_is_told_at_the_end_of_the_request(run: Callable[[str], Printed]) -> None:
    printed = run(
        "printed.tag = b'r1'; print('half', end=''); printed.finish(); printed.tag = b'r2'; print('next')"
    )
    assert printed == [("r1", "half"), ("r2", "next")]


def test_a_long_line_comes_whole(run: Callable[[str], Printed]) -> None:
    """Also one whose pieces end in the middle of a character."""
    ((request, line),) = run("printed.tag = b'r'; print('é' * 100_000)")
    assert (request, line == "é" * 100_000) == ("r", True)


def test_a_megabyte_in_one_line_is_told(run: Callable[[str], Printed]) -> None:
    printed = run("print('x' * 3_000_000)")
    assert sum(len(line) for _, line in printed) == 3_000_000


def test_long_lines_of_processes_that_print_at_once_do_not_mix(run: Callable[[str], Printed]) -> None:
    printed = run(
        "children = []\n"
        "for name in 'abcd':\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        printed.tag = name.encode()\n"
        "        for _ in range(20): print(name * 20_000)\n"
        "        os._exit(0)\n"
        "    children.append(pid)\n"
        "for pid in children: os.waitpid(pid, 0)\n"
    )
    assert sorted(printed) == [(name, name * 20_000) for name in "abcd" for _ in range(20)]


def test_lines_of_threads_that_print_at_once_are_all_told(run: Callable[[str], Printed]) -> None:
    printed = run(
        "sys.setswitchinterval(1e-6)\n"
        "def speak(name):\n"
        "    for n in range(2000): sys.stdout.write(f'{name}{n}\\n')\n"
        "threads = [threading.Thread(target=speak, args=(name,)) for name in 'abcd']\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    assert sorted(printed) == sorted(("", f"{name}{n}") for name in "abcd" for n in range(2000))


def test_a_program_that_the_handler_runs_prints_without_a_request(run: Callable[[str], Printed]) -> None:
    printed = run("printed.tag = b'r'; subprocess.run(['echo', 'from a program']); print('from Python')")
    assert printed == [("", "from a program"), ("r", "from Python")]


def test_a_program_that_ends_no_line_does_not_swallow_the_next_one(run: Callable[[str], Printed]) -> None:
    printed = run(
        "printed.tag = b'r'; subprocess.run(['printf', 'no end']); print('mine'); os.write(2, b'last')"
    )
    assert printed == [("", "no end"), ("r", "mine"), ("", "last")]


def test_bytes_that_are_no_utf_8_are_shown_as_such(run: Callable[[str], Printed]) -> None:
    assert run(r"os.write(1, b'a\xffb\n')") == [("", "a\ufffdb")]


def test_text_that_cannot_be_encoded_is_escaped(run: Callable[[str], Printed]) -> None:
    assert run(r"print('a\udc80')") == [("", "a\\udc80")]


def test_the_first_part_of_a_long_line_is_told_if_the_process_ends_before_the_rest() -> None:
    lines: Printed = []
    pipe = OutputPipe(lambda request, line: lines.append((request, line)))
    pipe.data_received(b"\x1er\x1fbegun\x1d\n")
    pipe.connection_lost(None)
    assert lines == [("r", "begun")]


def test_closing_does_not_wait_for_a_program_that_lives_on() -> None:
    async def scenario() -> Printed:
        lines: Printed = []
        before = sorted(file.name for file in Path("/proc/self/fd").iterdir())
        pipe = OutputPipe(lambda request, line: lines.append((request, line)))
        await pipe.open()
        command = ["sh", "-c", "echo here; exec sleep 100"]
        with subprocess.Popen(command, stdout=pipe.write_end) as program:
            await pipe.close()
            assert program.poll() is None
            program.kill()
        assert sorted(file.name for file in Path("/proc/self/fd").iterdir()) == before
        return lines

    assert asyncio.run(scenario()) == [("", "here")]
