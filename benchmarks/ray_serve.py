"""Throughput of a handler as a Ray Serve application, against plain Ray Serve without us.

The other side is a deployment as one writes it by hand: it loads the same model by the same `model_fn` and
calls the same functions itself, with no toolkit, no context and no rules about types. Both sides are
applications of one Ray, asked in turns at its own port; wrk (Debian's package) sends the load on keep-alive
connections.

    python benchmarks/ray_serve.py --ray PYTHON [--rounds 10] [--seconds 3] [--json FILE]

PYTHON is one with ray[serve], torch and sagemaker-pytorch-inference.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from report import Report, Row, parser

from hotfire import ray_settings
from hotfire.ray_files import program

BODY = json.dumps([[0.1 * number for number in range(64)]])
CONNECTIONS = (1, 8)
REACH = 0.9
MARK = "HOTFIRE_BENCHMARK"
"""The variable by which the processes of a run are found again."""
HANDLER = """\
import json
import torch

def model_fn(model_dir):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4)]
    return torch.nn.Sequential(*layers).eval()

def input_fn(body, content_type):
    return torch.tensor(json.loads(body))

def predict_fn(data, model):
    with torch.inference_mode():
        return model(data)

def output_fn(prediction, accept):
    return json.dumps(prediction.tolist())
"""
BY_HAND = """\
from ray import serve
from starlette.responses import Response

@serve.deployment
class ByHand:
    def __init__(self):
        import inference
        self.functions = inference
        self.model = inference.model_fn(".")

    async def __call__(self, request):
        kind, accept = request.headers["content-type"], request.headers["accept"]
        data = self.functions.input_fn((await request.body()).decode(), kind)
        answer = self.functions.output_fn(self.functions.predict_fn(data, self.model), accept)
        return Response(answer, media_type=accept)

app = ByHand.bind()
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--ray", type=Path, required=True, help="a Python that has Ray")
    options.add_argument("--rounds", type=int, default=10)
    options.add_argument("--seconds", type=float, default=3.0)
    told = options.parse_args()
    sides = ("ours", "by-hand")
    rates: dict[tuple[str, int], list[float]] = {(side, count): [] for side in sides for count in CONNECTIONS}
    with serving(told.ray) as url:
        for side in sides:
            load(f"{url}/{side}", 8, 2.0)  # what is warm is compared
        for number in range(told.rounds):
            for count in CONNECTIONS:
                # Whoever is first may have the quieter moment: turn by turn it is the other.
                for side in sides if number % 2 else reversed(sides):
                    rates[side, count].append(load(f"{url}/{side}", count, told.seconds))
    report = Report("Requests a second of one replica under Ray Serve")
    for count in CONNECTIONS:
        ours, hand = rates["ours", count], rates["by-hand", count]
        ratio = [one / other for one, other in zip(ours, hand, strict=True)]
        report.add(Row(f"serving: ray, {count} at once", ours, "/s"))
        report.add(Row(f"by hand, {count} at once", hand, "/s"))
        report.add(Row(f"ratio, {count} at once", ratio, at_least=REACH))
    report.finish(told.json)


@contextlib.contextmanager
def serving(python: Path) -> Iterator[str]:
    """The address of a Ray Serve that has both sides."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    config = folder / "config.yaml"
    applications = written(folder)
    config.write_text(json.dumps({"applications": applications}))
    serve_port, ray_port, client_port = ports(3)
    environment = {**os.environ, "PYTHONPATH": str(folder / "model" / "code"), MARK: str(folder)}

    def run(name: str, *arguments: str) -> None:
        command = [str(python.with_name(name)), *arguments]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)

    where = [f"--port={ray_port}", f"--ray-client-server-port={client_port}", f"--temp-dir={folder}"]
    where += ["--min-worker-port=0", "--max-worker-port=0", "--node-ip-address=127.0.0.1", "--num-cpus=4"]
    where += ["--object-store-memory=100000000"]
    try:
        run("ray", "start", "--head", "--include-dashboard=False", "--disable-usage-stats", *where)
        environment["RAY_ADDRESS"] = f"127.0.0.1:{ray_port}"
        run("serve", "start", "--http-host=127.0.0.1", f"--http-port={serve_port}")
        run("serve", "run", "--non-blocking", str(config))
        url = f"http://127.0.0.1:{serve_port}"
        for one in applications:
            wait_for(f"{url}{one['route_prefix']}")
        yield url
    finally:
        end(str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def written(folder: Path) -> list[dict[str, Any]]:
    """Both applications; their code and the model are in the folder."""
    for entry in program():
        place = folder / "model" / entry.place
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(entry.source, place)
    (folder / "model" / "code" / "inference.py").write_text(HANDLER)
    (folder / "model" / "code" / "by_hand.py").write_text(BY_HAND)
    args = {"model_dir": str(folder / "model")}
    ours = ray_settings.application({"name": ray_settings.DEPLOYMENT}, name="ours", args=args)
    by_hand = {"name": "by-hand", "import_path": "by_hand:app"}
    return [{**one, "route_prefix": f"/{one['name']}"} for one in (ours, by_hand)]


def ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(url: str) -> None:
    """Wait for the first answer."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, BODY.encode(), headers), timeout=30):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def load(url: str, connections: int, seconds: float) -> float:
    """Requests a second."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            f"""\
wrk.method = "POST"
wrk.body = {json.dumps(BODY)}
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json"
done = function(summary, latency, requests)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %f %d\\n", summary.requests / summary.duration * 1e6, failed))
end
"""
        )
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", script.name, url]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, failed = next(line for line in printed.splitlines() if line.startswith("RESULT")).split()[1:]
    assert failed == "0", printed
    return float(rate)


def end(folder: str) -> None:
    """End what was started for this: Ray's programs outlive the one that started them."""
    mine = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == folder:
                mine.append(process)
    for process in mine:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(mine, timeout=30)


if __name__ == "__main__":
    main()
