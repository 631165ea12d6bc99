"""Throughput and latency of the template's model behind the local region, two headlines a request.

Against a loop in one process over the toolkit's own `Transformer.transform` (nothing of ours in it), over
the four functions alone, and, where `--aws` names a virtual environment with it, against AWS's stack:
TorchServe and the toolkit. The load comes from wrk (Debian's package `wrk`) on keep-alive connections.

    python benchmarks/serving.py [--rounds 10] [--seconds 3] [--aws VENV] [--json FILE]

VENV is made by: pip install torch torchserve==0.12.0 sagemaker-pytorch-inference 'setuptools<81' pyyaml
psutil requests packaging pillow. It needs Java, and root, since the toolkit writes to /etc.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from report import Report, Row, parser

from hotfire import DeployEnv
from hotfire.address import find
from hotfire.archive import unpack

BODY = json.dumps(
    [
        ["The Wimbledon tennis tournament starts next week!"],
        ["The Canadian President signed in the new federal law."],
    ]
)
ECHO = "def model_fn(model_dir): ...\ndef transform_fn(model, body, content_type, accept): return body\n"
BUSY = """\
import time

def model_fn(model_dir): ...

def transform_fn(model, body, content_type, accept):
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return body
"""
ONE_WORKER = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}


@dataclass(frozen=True)
class Load:
    """What wrk saw: requests a second, latencies in milliseconds, answers that were not 2xx."""

    rate: float
    p50: float
    p99: float
    errors: int


class Wrk:
    """The load generator."""

    def __init__(self, folder: Path, seconds: float, access_key: str) -> None:
        self._seconds = seconds
        self._script = folder / "request.lua"
        scope = f"{access_key}/20260101/us-east-1/sagemaker/aws4_request"
        credential = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        self._script.write_text(
            f"""\
wrk.method = "POST"
wrk.body = {json.dumps(BODY)}
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "{credential}"
done = function(summary, latency, requests)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %f %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
"""
        )

    def __call__(self, url: str, connections: int) -> Load:
        """Put the load on an address."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{self._seconds:g}s", "-s", str(self._script), url]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        line = next(line for line in printed.splitlines() if line.startswith("RESULT"))
        rate, p50, p99, errors = line.split()[1:]
        return Load(float(rate), float(p50), float(p99), int(errors))


def loop(model: Path, seconds: float, how: str) -> float:
    """Predictions a second of a loop in one process."""
    program = Path(__file__).with_name("loop.py")
    command = [sys.executable, str(program), str(model), BODY, str(seconds), how]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def hotfire(*arguments: str, folder: Path) -> None:
    """A command of Hotfire's."""
    subprocess.run(
        [sys.executable, "-m", "hotfire", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )


def template(folder: Path, *, deploy: bool = True) -> Path:
    """The template's project, trained."""
    project = folder / "template"
    hotfire("new", str(project), folder=folder)
    subprocess.run([sys.executable, "train.py"], cwd=project, check=True, stdout=subprocess.DEVNULL)
    config = project / "config.yml"
    variables = "".join(f"      {name}: '{value}'\n" for name, value in ONE_WORKER.items())
    text = config.read_text().replace("  local:\n", f"  local:\n    container_env:\n{variables}", 1)
    config.write_text(text)
    hotfire("pack", folder=project)
    if deploy:
        hotfire("deploy", folder=project)
    return project


def handler_project(folder: Path, name: str, source: str, workers: int) -> None:
    """A project of one handler, deployed."""
    project = folder / name
    project.mkdir()
    (project / "serve.py").write_text(source)
    (project / "config.yml").write_text(
        f"environments:\n  local:\n    model_name: {name}\n    container_env:\n"
        f"      SAGEMAKER_MODEL_SERVER_WORKERS: '{workers}'\n"
    )
    hotfire("deploy", folder=project)


@contextlib.contextmanager
def contract(command: list[str], port: int, environment: dict[str, str], folder: Path) -> Iterator[str]:
    """A server by the container's contract, from its first good answer on."""
    log = (folder / f"server-{port}.log").open("wb")
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}/invocations"
    try:
        _await_answer(url)
        yield url
    finally:
        log.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def _await_answer(url: str) -> None:
    request = urllib.request.Request(url, BODY.encode(), {"Content-Type": "application/json"})
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                answer.read()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def aws_stack(venv: Path, model: Path, folder: Path, threads: int) -> Iterator[str]:
    """AWS's own stack, as its image starts it, with one worker; 0 threads are as many as torch takes."""
    base = folder / "aws"
    shutil.copytree(model, base / "model")
    port = free_port()
    environment = {
        "PATH": f"{venv / 'bin'}:/usr/bin:/bin",
        "HOME": str(base),
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_PROGRAM": "serve.py",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        **({"OMP_NUM_THREADS": str(threads)} if threads else {}),
        **ONE_WORKER,
    }
    start = "from sagemaker_pytorch_serving_container import serving; serving.main()"
    with contract([str(venv / "bin" / "python"), "-c", start], port, environment, base) as url:
        yield url


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=10, help="how often each is measured, in turns (10)")
    options.add_argument("--seconds", type=float, default=3.0, help="how long each time (3)")
    options.add_argument("--aws", type=Path, help="a virtual environment with AWS's stack")
    options.add_argument("--aws-threads", type=int, default=1, help="its torch threads; 0: as it comes (1)")
    given = options.parse_args()
    report = Report("Serving the template's model, two headlines a request")
    with tempfile.TemporaryDirectory() as top, contextlib.ExitStack() as stack:
        folder = Path(top)
        os.environ["HOTFIRE_HOME"] = str(folder / "home")
        hotfire("up", folder=folder)
        stack.callback(hotfire, "down", folder=folder)
        project = template(folder)
        model = folder / "model"
        unpack(project / "build" / "model.tar.gz", model)
        for name, source, workers in (("echo", ECHO, 1), ("busy-1", BUSY, 1), ("busy-2", BUSY, 2)):
            handler_project(folder, name, source, workers)
        region = find(folder / "home")
        assert region is not None
        urls = {name: f"{region.url}/endpoints/{name}/invocations" for name in ("echo", "busy-1", "busy-2")}
        name = DeployEnv(config=project / "config.yml").setting("model_name")
        urls["region"] = f"{region.url}/endpoints/{name}/invocations"
        port = free_port()
        serve = [sys.executable, "-m", "hotfire", "serve", str(model), "--port", str(port)]
        urls["serve"] = stack.enter_context(contract(serve, port, {**os.environ, **ONE_WORKER}, folder))
        if given.aws:
            urls["aws"] = stack.enter_context(aws_stack(given.aws, model, folder, given.aws_threads))
        wrk = Wrk(folder, given.seconds, region.key.access_key)
        measure(report, urls, wrk, model, given.rounds, given.seconds)
    report.finish(given.json)


def measure(report: Report, urls: dict[str, str], wrk: Wrk, model: Path, rounds: int, seconds: float) -> None:
    """Everything, in turns."""
    loops: dict[str, list[float]] = {"transform": [], "plain": []}
    cases = [
        ("region", 8),
        ("serve", 8),
        ("region", 1),
        ("region", 64),
        ("echo", 1),
        ("busy-1", 8),
        ("busy-2", 8),
    ]
    if "aws" in urls:
        cases.insert(2, ("aws", 8))
    loads: dict[tuple[str, int], list[Load]] = {case: [] for case in cases}
    for number in range(rounds):
        for how, rates in loops.items():
            rates.append(loop(model, seconds, how))
        for case in cases:
            loads[case].append(wrk(urls[case[0]], case[1]))
        print(f"round {number + 1} of {rounds}", flush=True)

    tell(report, loops, loads)


def tell(report: Report, loops: dict[str, list[float]], loads: dict[tuple[str, int], list[Load]]) -> None:
    """What was measured, and the ratios of what was measured in one round."""

    def rates(name: str, connections: int) -> list[float]:
        return [load.rate for load in loads[name, connections]]

    def ratio(ours: list[float], theirs: list[float]) -> list[float]:
        return [one / other for one, other in zip(ours, theirs, strict=True)]

    errors = sum(load.errors for each in loads.values() for load in each)
    report.add(Row("answers that were errors", [errors], at_most=0))
    report.add(Row("loop over Transformer.transform", loops["transform"], "/s"))
    report.add(Row("loop over the four functions", loops["plain"], "/s"))
    report.add(Row("region, 8 connections", rates("region", 8), "/s"))
    report.add(Row("hotfire serve, 8 connections", rates("serve", 8), "/s"))
    report.add(
        Row("region against transform", ratio(rates("region", 8), loops["transform"]), "x", at_least=0.8)
    )
    report.add(Row("region against the four functions", ratio(rates("region", 8), loops["plain"]), "x"))
    if ("aws", 8) in loads:
        report.add(Row("AWS's stack, 8 connections", rates("aws", 8), "/s"))
        report.add(
            Row("region against AWS's stack", ratio(rates("region", 8), rates("aws", 8)), "x", at_least=3)
        )
        report.add(
            Row("serve against AWS's stack", ratio(rates("serve", 8), rates("aws", 8)), "x", at_least=3)
        )
    report.add(
        Row("64 connections against 8", ratio(rates("region", 64), rates("region", 8)), "x", at_least=0.9)
    )
    report.add(
        Row(
            "2 workers against 1, 2 ms each", ratio(rates("busy-2", 8), rates("busy-1", 8)), "x", at_least=1.3
        )
    )
    tell_latencies(report, loops, loads)


def tell_latencies(
    report: Report, loops: dict[str, list[float]], loads: dict[tuple[str, int], list[Load]]
) -> None:
    """What a request costs beside the model."""
    p50 = [load.p50 for load in loads["region", 1]]
    report.add(Row("p50 at 1 connection", p50, "ms"))
    transform = [1000 / rate for rate in loops["transform"]]
    echo = [load.p50 for load in loads["echo", 1]]
    added = [one - other - third for one, other, third in zip(p50, echo, transform, strict=True)]
    report.add(Row("p50 added over an echo's and transform", added, "ms", at_most=0.3))
    tails = [load.p99 / load.p50 for load in loads["region", 8]]
    report.add(Row("p99 against p50 at 8 connections", tails, "x", at_most=3))


if __name__ == "__main__":
    main()
