"""What Hotfire adds to a container's own start, and how long a save takes into one that runs.

The image is one of `hotfire image`, which is here already. It is started by Docker alone and by `hotfire
deploy` in turns, with the same handler and variables, each time until the first right answer; then a session
of `hotfire dev` saves edits.

    python benchmarks/containers.py IMAGE [--rounds 10] [--saves 20] [--json FILE]
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
from developing import EXAMPLE, HANDLER, Developing, developing, load_edit, request_edit
from docker.types import Mount
from report import Report, Row, parser

from hotfire import DeployEnv

NAME = "containers"
LABEL = "hotfire.endpoint"
VARIABLES = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
SECONDS = 120.0


def project(folder: Path, image: str) -> Path:
    """A project of one handler, whose instances are containers."""
    folder.mkdir()
    (folder / "examples").mkdir()
    (folder / "examples" / "one.json").write_text(json.dumps(EXAMPLE))
    (folder / "serve.py").write_text(HANDLER.format(model="None", imports=""))
    settings = {
        "model_name": NAME,
        "instance_type": "local_container",
        "image": image,
        "container_env": VARIABLES,
    }
    (folder / "config.yml").write_text(json.dumps({"environments": {"local": settings}}))
    return folder


def own_start(client: Any, image: str, model: Path) -> float:
    """Seconds from `docker run IMAGE serve` to the first right answer."""
    begun = time.perf_counter()
    container = client.containers.run(
        image,
        ["serve"],
        detach=True,
        ports={"8080/tcp": ("127.0.0.1", None)},
        mounts=[Mount("/opt/ml/model", str(model), type="bind", read_only=True)],
        environment={**VARIABLES, "SAGEMAKER_PROGRAM": "serve.py"},
    )
    try:
        container.reload()
        port = int(container.ports["8080/tcp"][0]["HostPort"])
        wait_until(lambda: asked(port, "GET", "/ping")[0] == 200)
        status, body = asked(port, "POST", "/invocations")
        assert (status, "version" in json.loads(body)) == (200, True), body
        return time.perf_counter() - begun
    finally:
        container.remove(force=True)


def asked(port: int, method: str, path: str) -> tuple[int, bytes]:
    """What a container answers; 0 while it does not."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path, b"[1]", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def deployed(client: Any, folder: Path, runtime: Any, number: int) -> float:
    """Seconds from `hotfire deploy` of a changed line to the first right answer."""
    handler = folder / "serve.py"
    handler.write_text(request_edit(handler.read_text(), number))
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "hotfire", "deploy"], cwd=folder, check=True, capture_output=True)
    answer = runtime.invoke_endpoint(EndpointName=NAME, Body=b"[1]", ContentType="application/json")
    assert json.loads(answer["Body"].read()) == {"version": number}
    seconds = time.perf_counter() - begun
    # The one before ends beside the next measurement otherwise.
    wait_until(lambda: len(client.api.containers(all=True, filters={"label": f"{LABEL}={NAME}"})) == 1)
    return seconds


def wait_until(condition: Callable[[], bool]) -> None:
    """Look every few milliseconds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def starts(report: Report, image: str, folder: Path, rounds: int) -> None:
    """Both ways to a first right answer, in turns."""
    client = docker.from_env()
    model = folder / "model"
    (model / "code").mkdir(parents=True)
    (model / "code" / "serve.py").write_text(HANDLER.format(model="None", imports=""))
    deploying = project(folder / "deployed", image)
    runtime = DeployEnv("local", config=deploying / "config.yml").runtime_client()
    own_start(client, image, model)  # the image's files come from the disk
    subprocess.run([sys.executable, "-m", "hotfire", "deploy"], cwd=deploying, check=True)
    alone, by_deploy = [], []
    for number in range(1, rounds + 1):
        alone.append(own_start(client, image, model))
        by_deploy.append(deployed(client, deploying, runtime, number))
    report.add(Row("docker run to the first right answer", alone, "s"))
    report.add(Row("hotfire deploy to the first right answer", by_deploy, "s"))
    added = [ours - own for ours, own in zip(by_deploy, alone, strict=True)]
    report.add(Row("what hotfire deploy adds", added, "s", at_most=0.5))
    subprocess.run(
        [sys.executable, "-m", "hotfire", "delete", "--yes"], cwd=deploying, check=True, capture_output=True
    )
    client.close()


def saves(report: Report, image: str, folder: Path, count: int) -> None:
    """Edits that a container takes in, without the examples' own time."""
    session: Developing
    with developing(project(folder / "developed", image)) as session:
        values = [session.save(request_edit, kept=True) for _ in range(count)]
        report.add(Row("save of predict_fn to verified examples", values, "s", at_most=0.3))
        values = [session.save(load_edit, kept=False) for _ in range(count)]
        report.add(Row("save of model_fn to verified examples", values, "s", at_most=0.3))


def main() -> None:
    """Measure, print and write."""
    options = parser(__doc__)
    options.add_argument("image", help="one of `hotfire image`, by its name")
    options.add_argument("--rounds", type=int, default=10)
    options.add_argument("--saves", type=int, default=20)
    given = options.parse_args()
    report = Report("Containers: what a deploy adds to an image's own start, and a save into one that runs")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the image's user is another
        os.environ["HOTFIRE_HOME"] = str(folder / "home")
        subprocess.run([sys.executable, "-m", "hotfire", "up"], check=True, capture_output=True)
        try:
            starts(report, given.image, folder, given.rounds)
            saves(report, given.image, folder, given.saves)
        finally:
            subprocess.run([sys.executable, "-m", "hotfire", "down"], check=True, capture_output=True)
    report.finish(given.json)


if __name__ == "__main__":
    main()
