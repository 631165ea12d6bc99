"""How long a deploy takes: from the command to an answer that shows the change.

The handler is one that only echoes, so what is measured is Hotfire. Every deploy changes one line of it, and
is followed by a request whose answer must show that line.

    python benchmarks/deploying.py [--rounds 10] [--megabytes 1024] [--json FILE]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import Report, Row, parser

from hotfire import DeployEnv

HANDLER = """\
import json

VERSION = {version}

def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    return VERSION

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""

CONFIG = """\
environments:
  local:
    model_name: benchmark
    source_dir: .
    entry_point: serve.py
    instance_type: local
    artifacts: [{artifacts}]
"""


class Project:
    """A project whose handler changes with every deploy."""

    def __init__(self, folder: Path, artifacts: str = "") -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        (folder / "config.yml").write_text(CONFIG.format(artifacts=artifacts))
        self._version = 0

    def edit(self) -> None:
        """Change the one line."""
        self._version += 1
        (self._folder / "serve.py").write_text(HANDLER.format(version=self._version))

    def deploy(self) -> float:
        """The command's wall time; its answer is looked at afterwards."""
        self.edit()
        seconds = self.run("deploy")
        runtime = DeployEnv(config=self._folder / "config.yml").runtime_client()
        answer = runtime.invoke_endpoint(EndpointName="benchmark", Body=b"[]", ContentType="application/json")
        assert answer["Body"].read() == str(self._version).encode()
        return seconds

    def run(self, *arguments: str) -> float:
        """The wall time of a command in the project."""
        return wall([sys.executable, "-m", "hotfire", *arguments], self._folder)


def wall(command: list[str], folder: Path) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=10, help="how often each is measured (10)")
    options.add_argument("--megabytes", type=int, default=1024, help="size of the weights (1024)")
    given = options.parse_args()
    report = Report("Deploying")
    with tempfile.TemporaryDirectory() as top:
        os.environ["HOTFIRE_HOME"] = str(Path(top, "home"))
        try:
            measure(report, Path(top), given.rounds, given.megabytes)
        finally:
            subprocess.run([sys.executable, "-m", "hotfire", "down"], check=False)
    report.finish(given.json)


def measure(report: Report, top: Path, rounds: int, megabytes: int) -> None:
    """Everything, what is compared in turns."""
    small = Project(top / "small")
    help_seconds = [wall([sys.executable, "-m", "hotfire", "--help"], top) for _ in range(rounds)]
    report.add(Row("hotfire --help", help_seconds, "s", at_most=0.2))
    small.deploy()
    report.add(Row("hotfire status", [small.run("status") for _ in range(rounds)], "s", at_most=0.5))
    report.add(Row("hotfire deploy, nothing changed", [small.run("deploy") for _ in range(rounds)], "s"))

    down, torch = [], []
    for _ in range(rounds):
        small.run("down")
        down.append(small.deploy())
        torch.append(wall([sys.executable, "-c", "import torch"], top))
    report.add(Row("import torch", torch, "s"))
    report.add(Row("deploy, region down", down, "s"))
    ratios = [one / other for one, other in zip(down, torch, strict=True)]
    report.add(Row("deploy, region down, against import torch", ratios, "x", at_most=2.0))
    small.run("delete", "--yes")

    large = Project(top / "large", artifacts="weights.bin")
    with (top / "large" / "weights.bin").open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))
    first = large.deploy()
    report.add(Row(f"the first deploy of {megabytes} MB", [first], "s"))
    large.run("delete", "--yes")

    # In turns, each its own endpoint: the two cannot be deployed under one name at once.
    one_line, with_weights = [], []
    for project, seconds in ((small, one_line), (large, with_weights)):
        project.deploy()
        seconds.extend(project.deploy() for _ in range(rounds))
        project.run("delete", "--yes")
    report.add(Row("deploy of a changed line", one_line, "s", at_most=1.0))
    report.add(Row(f"the same with {megabytes} MB unchanged", with_weights, "s"))
    more = [one - other for one, other in zip(with_weights, one_line, strict=True)]
    report.add(Row("what the weights add", more, "s", at_most=0.5))


if __name__ == "__main__":
    main()
