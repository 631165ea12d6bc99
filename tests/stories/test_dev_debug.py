"""Somebody looks into a handler: a debugger that attaches, `breakpoint()` in the terminal, a profile."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest

SECONDS = 30.0
HANDLER = """\
import json

def model_fn(model_dir):
    return 1

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    answer = {"version": 1, "data": data}
    return answer

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
LINE = 1 + HANDLER.splitlines().index("    return answer")
STOPPING = HANDLER.replace(
    "    return answer", "    if data == [0]:\n        breakpoint()\n    return answer"
)


class Terminal:
    """`hotfire dev` in a terminal of its own."""

    def __init__(self, project: Any, *options: str) -> None:
        self._end, other = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hotfire", "dev", *options],
            cwd=project.folder,
            env=project.machine.environment(TERM="dumb"),
            stdin=other,
            stdout=other,
            stderr=other,
        )
        os.close(other)
        self._said = ""

    def until(self, *words: str) -> str:
        """What is said up to the last of these words, which come in this order."""
        deadline, pattern = time.monotonic() + SECONDS, ".*?".join(map(re.escape, words))
        while not (found := re.search(pattern, self._said, re.DOTALL)):
            assert select.select([self._end], [], [], deadline - time.monotonic())[0], self._said
            self._said += os.read(self._end, 65536).decode()
        said, self._said = self._said[: found.end()], self._said[found.end() :]
        return said

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def close(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._end)


class Debugger:
    """A client of the Debug Adapter Protocol, as an editor has one."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self.seen: list[dict[str, Any]] = []

    def attach(self, file: str, line: int) -> None:
        self.ask("initialize", adapterID="test", pathFormat="path")
        self.send("attach")
        self.until(lambda one: one.get("event") == "initialized")
        set_ = self.ask("setBreakpoints", source={"path": file}, breakpoints=[{"line": line}])
        assert set_["breakpoints"][0]["verified"], set_
        self.ask("configurationDone")

    def ask(self, command: str, **arguments: Any) -> Any:
        number = self.send(command, **arguments)
        answer = self.until(lambda one: one.get("request_seq") == number and one["type"] == "response")
        assert answer["success"], answer
        return answer.get("body")

    def send(self, command: str, **arguments: Any) -> int:
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self._socket.sendall(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return self._number

    def until(self, wanted: Any) -> dict[str, Any]:
        for one in list(self.seen):
            if wanted(one):
                self.seen.remove(one)
                return one
        while True:
            length = 0
            while line := self._stream.readline().strip():
                length = int(line.split(b":")[1])
            assert length, self.seen
            message = json.loads(self._stream.read(length))
            if wanted(message):
                return message
            self.seen.append(message)

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


@pytest.fixture
def project(project: Any) -> Any:
    project.write("serve.py", HANDLER)
    project.write("examples/one.json", json.dumps({"request": {"body": [1]}, "expect": {"status": 200}}))
    return project


@contextmanager
def dev(project: Any, *options: str) -> Iterator[Terminal]:
    with closing(Terminal(project, *options)) as terminal:
        terminal.until("loaded", "one")
        yield terminal


def ask(project: Any, data: str) -> Any:
    done = project.hotfire("invoke", "-d", data)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_breakpoint_stops_in_the_terminal_while_others_are_answered(project: Any) -> None:
    project.configure(model_name="tiny", container_env={"SAGEMAKER_MODEL_SERVER_WORKERS": "1"})
    project.write("serve.py", STOPPING)
    with dev(project) as terminal, ThreadPoolExecutor() as pool:
        held = pool.submit(ask, project, "[0]")
        terminal.until("breakpoint: c goes on", "return answer", "(Pdb) ")
        assert ask(project, "[2]")["data"] == [2]
        terminal.type("p data, answer['version']\n")
        terminal.until("([0], 1)", "(Pdb) ")
        terminal.type("answer['data'] = 'seen'\n")
        terminal.until("(Pdb) ")
        terminal.type("c\n")
        assert held.result(SECONDS)["data"] == "seen"
        terminal.type("r")  # keys are keys again
        terminal.until("one")


def test_a_debugger_that_leaves_fails_the_request_alone(project: Any) -> None:
    project.write("serve.py", STOPPING)
    with dev(project) as terminal, ThreadPoolExecutor() as pool:
        held = pool.submit(project.hotfire, "invoke", "-d", "[0]")
        terminal.until("(Pdb) ")
        terminal.type("q\n")
        assert held.result(SECONDS).returncode == 1
        assert ask(project, "[2]")["data"] == [2]


def test_off_a_terminal_a_breakpoint_is_passed_over(project: Any) -> None:
    project.write("serve.py", STOPPING)
    with subprocess.Popen(
        [sys.executable, "-m", "hotfire", "dev"],
        cwd=project.folder,
        env=project.machine.environment(PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        assert any("loaded" in line for line in lines)
        assert ask(project, "[0]")["data"] == [0]
        assert any("breakpoint() in serve.py:12 passed over" in line for line in lines)
        process.send_signal(signal.SIGINT)
        process.stdout.read()


def test_a_debugger_attaches_holds_a_request_and_finds_the_next_worker(project: Any) -> None:
    project.configure(model_name="tiny", container_env={"SAGEMAKER_MODEL_SERVER_WORKERS": "1"})
    with dev_port(project) as (terminal, port), ThreadPoolExecutor() as pool:
        with closing(Debugger(port)) as debugger:
            debugger.attach(str(project.handler), LINE)
            held = pool.submit(ask, project, "[3]")
            stopped = debugger.until(lambda one: one.get("event") == "stopped")["body"]
            frame = debugger.ask("stackTrace", threadId=stopped["threadId"])["stackFrames"][0]
            assert (frame["source"]["path"], frame["line"]) == (str(project.handler), LINE)
            value = debugger.ask("evaluate", expression="data", frameId=frame["id"], context="watch")
            assert value["result"] == "[3]"
            assert ask(project, "[4]")["data"] == [4]
            debugger.ask("continue", threadId=stopped["threadId"])
            assert held.result(SECONDS)["data"] == [3]
            project.edit('"version": 1', '"version": 2')
            ended = debugger.until(lambda one: one.get("event") == "terminated")
            assert ended["body"] == {"restart": True}
        terminal.until("serve.py saved", "one")
        with closing(Debugger(port)) as debugger:
            debugger.attach(str(project.handler), LINE)
            held = pool.submit(ask, project, "[5]")
            stopped = debugger.until(lambda one: one.get("event") == "stopped")["body"]
            debugger.ask("continue", threadId=stopped["threadId"])
            assert held.result(SECONDS) == {"version": 2, "data": [5]}


@contextmanager
def dev_port(project: Any) -> Iterator[tuple[Terminal, int]]:
    """With a debugger's port, which the line for the editor names."""
    with closing(Terminal(project, "--debug", "--debug-port", "0")) as terminal:
        said = terminal.until('"port": ', "}")
        terminal.until("loaded", "one")
        yield terminal, int(re.findall(r'"port": (\d+)', said)[0])


def test_a_python_without_the_debugger_is_told_of_it(project: Any) -> None:
    python = project.write("python", f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    project.configure(model_name="tiny", python=str(python))
    done = project.hotfire("dev", "--debug")
    assert done.returncode == 1
    assert "debugpy is not installed in the project's Python" in done.stderr
    assert f"{python} -m pip install debugpy" in done.stderr


def test_a_profile_says_which_function_took_the_time(project: Any) -> None:
    slow = "def slow():\n    end = time.perf_counter() + 0.05\n    while time.perf_counter() < end: pass\n"
    text = HANDLER.replace("def model_fn", f"{slow}\ndef model_fn")
    text = text.replace("    answer =", "    slow()\n    answer =")
    project.write("serve.py", f"import time\n{text}")
    with closing(Terminal(project, "--profile")) as terminal:
        said = terminal.until(
            "input_fn", "predict_fn", "output_fn", "predict_fn", "serve.py:", "slow", "serve.py:"
        )
    (milliseconds,) = re.findall(r"(\d+\.\d+) ms +slow", said)
    assert float(milliseconds) > 25
