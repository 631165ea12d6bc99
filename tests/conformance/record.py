"""Record the answers of AWS's stack: `python tests/conformance/record.py VENV [SETUP…]`.

VENV is a virtual environment with torchserve, torch, numpy and sagemaker-pytorch-inference; Java 17 is on the
machine. The stack listens on fixed ports and writes below /etc, so each container is run where nobody else
sees it: in namespaces of its own, for which this wants to be root on Linux.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from asks import Ask, Repeated, Setup
from setups import setups

HERE = Path(__file__).parent
PORT = 18190
PATIENCE = 200.0
"""Seconds; the stack itself gives up after 120."""
SECONDS_TO_START = 120.0
TRACEBACK = b"Traceback (most recent call last):"
LEFT_OUT = ("x-request-id", "pragma", "cache-control", "expires")
"""Headers that no answer is told from another by."""
START = "from sagemaker_pytorch_serving_container import serving; serving.main()"
SCRIPT = """
import sys, torch
class Double(torch.nn.Module):
    def forward(self, x):
        return x * 2 + 1
torch.jit.trace(Double(), torch.ones(2)).save(sys.argv[1])
"""
ENVIRONMENT = {
    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
    "SAGEMAKER_REGION": "us-east-1",
    "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
}


class Stack:
    """AWS's stack with a setup's model, started from a folder of its own."""

    def __init__(self, python: Path, folder: Path, environment: dict[str, str]) -> None:
        for name in ("work", "tmp"):
            (folder / name).mkdir()
        variables = {
            "PATH": f"{python.parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={folder / 'tmp'}",
            "SAGEMAKER_BASE_DIR": str(folder),
            "SAGEMAKER_BIND_TO_PORT": str(PORT),
            **environment,
        }
        self._said = folder / "log"
        self._log = self._said.open("wb")
        self._process = subprocess.Popen(
            [python, "-c", START],
            cwd=folder / "work",
            env=variables,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Wait until it answers at all; its worker may still be loading."""
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("AWS's stack did not come up; it said:\n" + self._said.read_text()[-4000:])
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            exchange(b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", "GET")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def close(self) -> None:
        """End it, whatever it does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()


def wire(ask: Ask) -> bytes:
    """A request, byte for byte."""
    if ask.raw is not None:
        return ask.raw
    lines = [f"{ask.method} {ask.path} HTTP/1.1", "Host: 127.0.0.1:8080"]
    lines += [f"{name}: {value}" for name, value in ask.headers]
    body = ask.body
    if isinstance(body, Repeated):
        body = body.prefix + body.unit * body.count + body.suffix
    chunked = any(name == "Transfer-Encoding" for name, _ in ask.headers)
    if body is not None and not chunked:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def exchange(data: bytes, method: str) -> dict[str, Any]:
    """Send a request; the answer as it is recorded."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE) as connection:
        with suppress(ConnectionError):  # it may answer before it has read all
            connection.sendall(data)
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        while response.status == 100:
            response.begin()
        headers = [[name, value] for name, value in response.getheaders() if name.lower() not in LEFT_OUT]
        body, traced, _ = response.read().partition(TRACEBACK)
        return {
            "status": response.status,
            "reason": response.reason[:100],
            "headers": headers,
            **written(body + traced),
        }


def written(body: bytes | Repeated | None) -> dict[str, Any]:
    """A body as it is recorded: as text, if it is text that can be read."""
    if body is None:
        return {}
    if isinstance(body, Repeated):
        parts = {
            part: base64.b64encode(getattr(body, part)).decode() for part in ("prefix", "unit", "suffix")
        }
        return {
            "body_repeat": {"count": body.count, **{f"{part}_base64": text for part, text in parts.items()}}
        }
    if len(body) > 100_000:
        return written(Repeated(body[:1], len(body)))
    with suppress(UnicodeDecodeError):
        text = body.decode()
        if text.isprintable() or "\n" in text:
            return {"body_text": text}
    return {"body_base64": base64.b64encode(body).decode()}


def recorded(ask: Ask) -> dict[str, Any]:
    """A case: the request, AWS's answer, and Hotfire's status where it is another on purpose."""
    request: dict[str, Any] = {"method": ask.method, "path": ask.path, "headers": list(ask.headers)}
    request |= written(ask.body)
    if ask.raw is not None:
        request = {
            "method": ask.raw.split(b" ")[0].decode(),
            "raw_base64": base64.b64encode(ask.raw).decode(),
        }
    case = {"name": ask.name, "request": request, "response": exchange(wire(ask), request["method"])}
    return case if ask.hotfire is None else {**case, "hotfire": {"status": ask.hotfire}}


def furnish(setup: Setup, python: Path, model: Path) -> dict[str, str]:
    """Lay a setup's files; their contents by place, as they are recorded."""
    if setup.handler:
        (model / setup.place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "handlers" / f"{setup.handler}.py", model / setup.place)
    for place in setup.files:
        (model / place).parent.mkdir(parents=True, exist_ok=True)
        (model / place).touch()
    if setup.scripted:
        (model / setup.scripted).parent.mkdir(exist_ok=True)
        subprocess.run([python, "-W", "ignore", "-c", SCRIPT, model / setup.scripted], check=True)
    files = sorted(file for file in model.rglob("*") if file.is_file())
    return {str(file.relative_to(model)): base64.b64encode(file.read_bytes()).decode() for file in files}


def record(setup: Setup, python: Path) -> None:
    """Ask a container all of a setup's requests and write down the answers."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        model.mkdir()
        files = furnish(setup, python, model)
        program = {"SAGEMAKER_PROGRAM": "inference.py"} if setup.handler else {}
        environment = {**program, **ENVIRONMENT, **setup.environment}
        stack = Stack(python, Path(folder), environment)
        try:
            stack.wait()
            cases = [recorded(ask) for ask in setup.asks]
        finally:
            stack.close()
    head = {"setup": setup.name, "env": environment, "model_files_base64": files}
    lines = ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases)
    text = json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + lines + "\n ]\n}\n"
    (HERE / f"{setup.name}.json").write_text(text)


def alone(arguments: list[str]) -> None:
    """Run this program in namespaces of its own."""
    with tempfile.NamedTemporaryFile() as settings:
        file = "/etc/sagemaker-ts.properties"
        Path(file).touch()
        script = f'ip link set lo up && mount --bind {settings.name} {file} && exec "$0" "$@"'
        spaces = ["--mount", "--pid", "--net", "--ipc", "--fork", "--mount-proc", "--kill-child"]
        command = ["unshare", *spaces, "sh", "-c", script, sys.executable, __file__, *arguments, "--here"]
        subprocess.run(command, check=True)


def main() -> None:
    """Record the setups that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("venv", type=Path)
    parser.add_argument("setups", nargs="*")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    python = given.venv.absolute() / "bin" / "python"
    for setup in setups():
        if given.setups and setup.name not in given.setups:
            continue
        if given.here:
            record(setup, python)
        else:
            sys.stderr.write(f"{setup.name}: {len(setup.asks)} requests\n")
            alone([str(given.venv), setup.name])


if __name__ == "__main__":
    main()
