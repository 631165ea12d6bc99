"""How long `hotfire dev` takes from a save to verified examples, and what reloads cost who asks meanwhile.

The session runs in this process and watches real files; the examples' own time is taken off. The wide handler
is measured where transformers and pandas are installed.

    python benchmarks/developing.py [--saves 20] [--reloads 100] [--json FILE]
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue

import psutil
from report import Report, Row, parser

from hotfire import DeployEnv, address
from hotfire.dev import Result, Session
from hotfire.environment import load
from hotfire.errors import HotfireError

HANDLER = """\
{imports}
import json
import time

import torch


def model_fn(model_dir):
    begun = time.perf_counter()
    model = {model}
    print("model_fn", time.perf_counter() - begun, flush=True)
    return model


def input_fn(body, content_type):
    return json.loads(body)


def predict_fn(data, model):
    return {{"version": 0}}


def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
EXAMPLE = {"request": {"body": [1]}, "expect": {"status": 200}}
NAME = "developing"


class Watched:
    """Takes what the session says."""

    def __init__(self) -> None:
        self.results: Queue[tuple[float, Result]] = Queue()
        self.model_seconds = 0.0

    def serving(self, url: str, debug_port: int | None = None) -> None:
        """The endpoint is ours."""

    def began(self, reason: str) -> None:
        """A reload has begun."""

    def ended(self, result: Result) -> None:
        """A reload has ended."""
        self.results.put((time.perf_counter(), result))

    def printed(self, line: str) -> None:
        """The handler printed a line."""
        if line.startswith("model_fn "):
            self.model_seconds = float(line.split()[1])

    def noted(self, text: str) -> None:
        """Something beside the results."""

    def failed(self, error: HotfireError) -> None:
        """The project cannot be served."""
        raise error

    def refused(self, failure: object) -> None:
        """The handler failed on a client's request."""


class Developing:
    """A project under `hotfire dev`."""

    def __init__(self, folder: Path, session: Session, watched: Watched) -> None:
        self._handler = folder / "serve.py"
        self._session, self._watched = session, watched
        self._number = 0

    def save(self, edit: Callable[[str, int], str], *, kept: bool) -> float:
        """Save an edit; seconds until it was verified, without those of the examples."""
        self._number += 1
        text = edit(self._handler.read_text(), self._number)
        while not self._watched.results.empty():
            self._watched.results.get()
        new = self._handler.with_name("new")
        new.write_text(text)
        begun = time.perf_counter()
        new.replace(self._handler)
        ended, result = self._watched.results.get(timeout=120)
        assert not result.failure, result.trace
        assert result.kept is kept, result.reason
        return ended - begun - sum(tried.trial.answer.seconds for tried in result.tried)

    def load(self, edit: Callable[[str, int], str]) -> float:
        """Save what is a full reload; its seconds without those of `model_fn`."""
        seconds = self.save(edit, kept=False)
        return seconds - self._watched.model_seconds


def request_edit(text: str, number: int) -> str:
    """Another answer."""
    return re.sub(r'"version": \d+', f'"version": {number}', text)


def template_edit(text: str, number: int) -> str:
    """Another statement in the template's `predict_fn`."""
    if "_edit = " in text:
        return re.sub(r"_edit = \d+", f"_edit = {number}", text)
    return re.sub(r"(def predict_fn\([^\n]*\n)", rf"\1    _edit = {number}\n", text)


def load_edit(text: str, number: int) -> str:
    """Another statement in `model_fn`."""
    if "_load = " in text:
        return re.sub(r"_load = \d+", f"_load = {number}", text)
    return re.sub(r"(def model_fn\([^\n]*\n)", rf"\1    _load = {number}\n", text)


@contextmanager
def developing(folder: Path) -> Iterator[Developing]:
    """Run a session on a project."""
    region = address.find(Path(os.environ["HOTFIRE_HOME"]))
    assert region is not None
    watched = Watched()
    session = Session(lambda: load("local", config=folder / "config.yml"), region, watched)
    thread = threading.Thread(target=session.run)
    thread.start()
    try:
        _, first = watched.results.get(timeout=300)
        assert not first.failure, first.trace
        yield Developing(folder, session, watched)
    finally:
        session.stop()
        thread.join()


def project(folder: Path, model: str = "None", imports: str = "") -> Path:
    """A project of one handler and one example."""
    (folder / "examples").mkdir(parents=True)
    (folder / "examples" / "one.json").write_text(json.dumps(EXAMPLE))
    (folder / "serve.py").write_text(HANDLER.format(model=model, imports=imports))
    settings = {"model_name": NAME, "container_env": {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}}
    (folder / "config.yml").write_text(json.dumps({"environments": {"local": settings}}))
    return folder


def template(folder: Path) -> Path:
    """The template, trained."""
    subprocess.run([sys.executable, "-m", "hotfire", "new", str(folder)], check=True, capture_output=True)
    subprocess.run([sys.executable, "train.py"], cwd=folder, check=True, capture_output=True)
    return folder


def proportional_memory() -> float:
    """Megabytes of the region's processes, what they share counted once."""
    region = address.find(Path(os.environ["HOTFIRE_HOME"]))
    assert region is not None
    found = [psutil.Process(region.pid), *psutil.Process(region.pid).children(recursive=True)]
    total = 0
    for process in found:
        with suppress(psutil.NoSuchProcess):  # one of the version before, on its way out
            total += process.memory_full_info().pss
    return total / 1e6


def asked_meanwhile(folder: Path, reloads: int) -> tuple[int, int]:
    """Requests of 8 clients during reloads, and how many failed or were answered by the wrong version."""
    live, saved, done = [0], [0], threading.Event()

    def ask() -> tuple[int, int]:
        client = DeployEnv("local", config=folder / "config.yml").runtime_client()
        asked = wrong = 0
        while not done.is_set():
            before = live[0]
            try:
                answer = client.invoke_endpoint(
                    EndpointName=NAME, Body=b"[1]", ContentType="application/json"
                )
                version = json.loads(answer["Body"].read())["version"]
                wrong += not before <= version <= saved[0]
            except Exception:  # noqa: BLE001  # whatever it is, the request has failed
                wrong += 1
            asked += 1
        return asked, wrong

    with developing(folder) as session, ThreadPoolExecutor(8) as clients:
        asking = [clients.submit(ask) for _ in range(8)]
        try:
            for number in range(1, reloads + 1):
                saved[0] = number
                full = number % 4 == 0
                session.save(_both if full else request_edit, kept=not full)
                live[0] = number
        finally:
            done.set()
        totals = [future.result() for future in asking]
    return sum(asked for asked, _ in totals), sum(wrong for _, wrong in totals)


def _both(text: str, number: int) -> str:
    return load_edit(request_edit(text, number), number)


def small(report: Report, folder: Path, saves: int) -> None:
    """The template's model."""
    with developing(template(folder / "template")) as session:
        values = [session.save(template_edit, kept=True) for _ in range(saves)]
        report.add(Row("predict_fn, the template's model", values, "s", at_most=0.10))
        values = [session.load(load_edit) for _ in range(saves)]
        report.add(Row("model_fn, without its own time", values, "s", at_most=0.15))


def large(report: Report, folder: Path, saves: int) -> None:
    """A model of 1 GB."""
    with developing(project(folder / "large", "torch.ones(1 << 28)")) as session:
        session.save(request_edit, kept=True)
        before = proportional_memory()
        values = [session.save(request_edit, kept=True) for _ in range(saves)]
        report.add(Row("predict_fn, a model of 1 GB", values, "s", at_most=0.15))
        growth = proportional_memory() / before
        report.add(Row("proportional memory after these, to before", [growth], "x", at_most=1.1))


def wide(report: Report, folder: Path, saves: int) -> None:
    """A handler that imports much."""
    if not (importlib.util.find_spec("transformers") and importlib.util.find_spec("pandas")):
        print("transformers and pandas are not installed: what they cost is not measured")
        return
    imports = "import pandas\nimport transformers\nfrom transformers import BertModel"
    with developing(project(folder / "wide", imports=imports)) as session:
        first = session.load(load_edit)
        report.add(Row("model_fn beside transformers and pandas, the first time", [first], "s"))
        # Till what was learned is imported: that happens once, beside the work.
        while session.load(load_edit) > first / 3:
            pass
        values = [session.load(load_edit) for _ in range(saves)]
        report.add(Row("model_fn beside transformers and pandas", values, "s", at_most=0.25))


def main() -> None:
    """Measure, print and write."""
    options = parser(__doc__)
    options.add_argument("--saves", type=int, default=20)
    options.add_argument("--reloads", type=int, default=100)
    given = options.parse_args()
    report = Report("From a save to verified examples, without the examples' own time")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HOTFIRE_HOME"] = str(folder / "home")
        subprocess.run([sys.executable, "-m", "hotfire", "up"], check=True, capture_output=True)
        try:
            small(report, folder, given.saves)
            large(report, folder, given.saves)
            wide(report, folder, given.saves)
            asked, wrong = asked_meanwhile(project(folder / "asked"), given.reloads)
            report.add(Row(f"wrong or failed of {asked} requests", [wrong], "", at_most=0))
        finally:
            subprocess.run([sys.executable, "-m", "hotfire", "down"], check=True, capture_output=True)
    report.finish(given.json)


if __name__ == "__main__":
    main()
