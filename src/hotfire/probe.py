"""Measure a project's endpoint in the local region: what it answers, reads and needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil

from hotfire.deploy_env import SERVING, DeployEnv
from hotfire.environment import Environment, load
from hotfire.errors import DeployError
from hotfire.examples import Example
from hotfire.examples import load as load_examples
from hotfire.inventory import Inventory
from hotfire.invocation import invoke
from hotfire.model_data import ModelData
from hotfire.preflight.subject import Exchange, Measured
from hotfire.wanted import HASH_TAG

T = TypeVar("T")

LOCAL = "local"
MOST_EXAMPLES = 20
_NOTICED_SECONDS = 2.0
"""A worker that was there when the endpoint came into service is no younger than that."""


def probe(environment: Environment, data: ModelData, home: Path) -> Measured:
    """Send the examples to the local endpoint of the same project, and look at its processes.

    Raises RegionNotRunning, ConfigError without an environment `local`, and DeployError if what is deployed
    there is not this model data.
    """
    local = environment if environment.is_local else load(LOCAL, config=environment.file)
    env = DeployEnv.of(local)
    name = local.model_name
    modified = _in_service(Inventory(env.client_for("sagemaker")), name, data.sha256)
    processes = _processes(home, {entry.place for entry in data.entries})
    client = env.client_for("sagemaker-runtime")
    exchanges, read = [], []
    for example in load_examples(local.examples)[:MOST_EXAMPLES]:
        invoke(client, name, example.request)  # what a first request makes ready is not counted
        before = _bytes_read(processes)
        exchanges.append(_exchange(client, name, example))
        after = _bytes_read(processes)
        if before is not None and after is not None:
            read.append(after - before)
    workers = [process for process in processes if _parent(process) in processes] or processes
    return Measured(
        exchanges=tuple(exchanges),
        read=min(read, default=None),
        memory=max((_memory(process) for process in workers), default=None) or None,
        load=_load_seconds(workers, processes, modified),
    )


def _in_service(inventory: Inventory, name: str, sha256: str) -> float:
    """When the endpoint came into service with this model data."""
    advice = "`hotfire deploy` deploys to this machine; then measure."
    found = inventory.endpoint(name)
    if found is None or found["EndpointStatus"] not in SERVING:
        raise DeployError(f"{name} is not in service in the local region, so nothing can be measured", advice)
    if inventory.tags(found["EndpointArn"]).get(HASH_TAG) != sha256:
        message = f"what the local region serves as {name} is not what the project's files are now"
        raise DeployError(message, advice)
    return float(found["LastModifiedTime"].timestamp())


def _exchange(client: object, name: str, example: Example) -> Exchange:
    answer = invoke(client, name, example.request)
    return Exchange(example.name, len(example.request.body), len(answer.body), answer.seconds)


def _processes(home: Path, places: set[str]) -> list[psutil.Process]:
    """The processes of a region that work in a folder with just these files."""
    found = []
    for process in psutil.process_iter():
        folder = _asked(process.cwd)
        if folder and Path(folder).is_relative_to(home.resolve()) and _holds(Path(folder), places):
            found.append(process)
    return found


def _holds(folder: Path, places: Iterable[str]) -> bool:
    return all((folder / place).is_file() for place in places)


def _bytes_read(processes: Sequence[psutil.Process]) -> int | None:
    """What the processes have read from files so far; None where the system does not say."""
    counts = [_asked(partial(_read_chars, process)) for process in processes]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _read_chars(process: psutil.Process) -> int:
    return int(process.io_counters().read_chars)


def _memory(process: psutil.Process) -> int:
    return _asked(lambda: int(process.memory_info().rss)) or 0


def _parent(process: psutil.Process) -> psutil.Process | None:
    return _asked(process.parent)


def _load_seconds(
    workers: Sequence[psutil.Process], processes: Sequence[psutil.Process], modified: float
) -> float | None:
    """From the holder's start to that of its first worker, which is forked once the model is loaded."""
    seconds = []
    for worker in workers:
        holder = _parent(worker)
        began = _asked(worker.create_time) or 0.0
        if holder in processes and holder is not None and began <= modified + _NOTICED_SECONDS:
            seconds.append(began - (_asked(holder.create_time) or began))
    return min(seconds, default=None)


def _asked(ask: Callable[[], T]) -> T | None:
    """What the system says of a process; None if it is gone, another user's, or the system does not say."""
    try:
        return ask()
    except (psutil.Error, OSError, AttributeError, NotImplementedError):
        return None
