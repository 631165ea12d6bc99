"""What processes cost: memory of each further worker, a fork, a death.

Private memory is `Private_Clean` + `Private_Dirty` of `smaps_rollup` after 100 requests to each worker. The
gap is the longest time between two answers to 8 clients while their one worker was killed with -9.

    python benchmarks/processes.py [--rounds 10] [--megabytes 1024] [--json FILE]
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from report import Report, Row, parser
from serving import BODY, template

from hotfire.archive import unpack
from hotfire.instances.base import Request, Spec
from hotfire.instances.holders import NoCensus
from hotfire.instances.process import ProcessHost, ProcessInstance
from hotfire.instances.zygotes import Zygotes

LARGE = """\
import torch

def model_fn(model_dir):
    return torch.load(f"{model_dir}/weights.pt", weights_only=True)

def transform_fn(model, body, content_type, accept):
    return str(float(model[::4096].sum()))
"""
HEADERS = {"Content-Type": "application/json"}


def private_megabytes(pid: int) -> float:
    """Memory that a process has alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


class Bench:
    """Instances over one zygote."""

    def __init__(self, folder: Path) -> None:
        self._zygotes = Zygotes(dict(os.environ), NoCensus())
        self._host = ProcessHost(self._zygotes, folder / "instances")

    async def instance(self, model: Path, program: str, workers: int) -> ProcessInstance:
        """A started instance."""
        variables = {"SAGEMAKER_PROGRAM": program, "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers)}
        spec = Spec(model.name, model, variables, Path(sys.executable), 120)
        instance = self._host.instance(spec, lambda request, line: None)
        await instance.start()
        return instance

    async def close(self) -> None:
        """End the zygote."""
        await self._host.close()


async def ask(instance: ProcessInstance, times: int) -> None:
    """Send requests, enough at once that every worker gets some."""
    request = Request("benchmark", HEADERS, BODY.encode())
    for _ in range(times // 4):
        answers = await asyncio.gather(*(instance.invoke(request) for _ in range(4)))
        assert {answer.status for answer in answers} == {200}


async def further_worker(bench: Bench, model: Path, program: str) -> float:
    """Private memory of the second of two workers, in MB."""
    instance = await bench.instance(model, program, workers=2)
    await ask(instance, 200)
    megabytes = max(private_megabytes(pid) for pid in instance.pids)
    await instance.stop()
    return megabytes


async def first_answer(bench: Bench, model: Path) -> float:
    """Seconds from the order to an answer, the zygote warm."""
    started = time.perf_counter()
    instance = await bench.instance(model, "serve.py", workers=1)
    await instance.invoke(Request("benchmark", HEADERS, BODY.encode()))
    seconds = time.perf_counter() - started
    await instance.stop()
    return seconds


async def death(bench: Bench, model: Path) -> tuple[int, float]:
    """A worker killed under 8 clients: requests that failed, the longest gap between answers in seconds."""
    instance = await bench.instance(model, "serve.py", workers=1)
    request = Request("benchmark", HEADERS, BODY.encode())
    failed, moments, until = 0, [time.perf_counter()], time.perf_counter() + 1.5

    async def client() -> None:
        nonlocal failed
        while time.perf_counter() < until:
            answer = await instance.invoke(request)
            failed += answer.status != 200
            if answer.status == 200:
                moments.append(time.perf_counter())

    clients = [asyncio.create_task(client()) for _ in range(8)]
    await asyncio.sleep(0.5)
    os.kill(instance.pids[0], signal.SIGKILL)
    await asyncio.gather(*clients)
    await instance.stop()
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    return failed, max(gaps)


async def measure(report: Report, folder: Path, model: Path, rounds: int, megabytes: int) -> None:
    """Everything."""
    import torch

    large = folder / "large"
    (large / "code").mkdir(parents=True)
    (large / "code" / "inference.py").write_text(LARGE)
    torch.save(torch.rand(megabytes * 1024 * 256), large / "weights.pt")
    bench = Bench(folder)
    await (await bench.instance(model, "serve.py", workers=1)).stop()
    seconds = [await first_answer(bench, model) for _ in range(rounds)]
    report.add(Row("fork to first answer, the zygote warm", seconds, "s", at_most=0.1))
    small = [await further_worker(bench, model, "serve.py") for _ in range(rounds)]
    report.add(Row("private memory of a worker, template's model", small, "MB", at_most=20))
    more = [await further_worker(bench, large, "inference.py") for _ in range(3)]
    report.add(Row(f"private memory of a worker, {megabytes} MB model", more, "MB", at_most=40))
    deaths = [await death(bench, model) for _ in range(rounds)]
    report.add(Row("worker killed: requests failed", [failed for failed, _ in deaths], "", at_most=1))
    report.add(Row("worker killed: gap", [gap for _, gap in deaths], "s", at_most=0.2))
    await bench.close()


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=10, help="how often each is measured (10)")
    options.add_argument("--megabytes", type=int, default=1024, help="size of the large model (1024)")
    given = options.parse_args()
    report = Report("Processes")
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        project = template(folder, deploy=False)
        model = folder / "model"
        unpack(project / "build" / "model.tar.gz", model)
        asyncio.run(measure(report, folder, model, given.rounds, given.megabytes))
    report.finish(given.json)


if __name__ == "__main__":
    main()
