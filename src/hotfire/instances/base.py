"""What hosts a production variant: the protocol that every kind of instance keeps.

An instance behaves as the container at SageMaker would: it takes what reaches a container and gives
what a container answers, its failures included. What the service makes of an answer is not its affair.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from hotfire.errors import LoadFailed

LOAD_FAILED = "Failed"
"""The `status` that our server tells `/ping` of a model that cannot be loaded, with the `reason`."""

Output = Callable[[str, str], None]
"""Takes the id of the request in hand (empty if there is none) and a line that was printed meanwhile."""


@dataclass(frozen=True, slots=True)
class Container:
    """In what an instance is to be a container. `memory` in bytes; None is as much as the machine has.

    `sized_as` says whose memory and processors these are; `takes_versions`, whether the image is one in which
    a workshop can have several versions of a model.
    """

    image: str
    sized_as: str = ""
    memory: int | None = None
    processors: int | None = None
    gpus: bool = False
    takes_versions: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster that is to host an instance, by the address of its dashboard.

    `options` are those of Ray Serve's deployment; `replicas` is their number where they do not say it.
    """

    address: str
    options: Mapping[str, Any] = field(default_factory=dict)
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Spec:
    """What an instance is to host, in a container or on a cluster if one is named. Times in seconds.

    `project`, if it is given, is whose imports are learned, so that the next load is spared them.
    """

    name: str
    model_dir: Path
    environment: Mapping[str, str]
    python: Path
    startup_timeout: float
    project: str = ""
    endpoint: str = ""
    container: Container | None = None
    cluster: Cluster | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A module of the handler's with newer code, which a loaded model can go on with.

    `place` is its path in the model data; `names` are its functions that are new or changed, `removed` those
    that are gone.
    """

    place: str
    source: str
    names: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """An invocation as it reaches a container; `limit` is the longest that the service waits, in seconds.

    Of one that is `examined`, whoever sent it is told what is found about its failure, besides the answer; of
    one that is `profiled` too, where its time went.
    """

    id: str
    headers: Mapping[str, str]
    body: bytes
    limit: float = 60.0
    query: str = ""
    examined: bool = False
    profiled: bool = False


class Parts(Protocol):
    """The parts of an answer, none empty, as they come.

    To iterate raises `StreamBroken` where the answer breaks off, `DeadlineExceeded` past the request's limit.
    """

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """Want no more of it: whoever makes the parts is told, and is free for another request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the container answered, and how long each function of the handler took, in seconds.

    `rest` is what follows the body in an answer that comes in parts; whoever takes it closes it. `findings`
    are those about an examined request: `failure`, as `hotfire_worker.findings` has it, or `doubts`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    times: Mapping[str, float] = field(default_factory=dict)
    rest: Parts | None = None
    findings: Mapping[str, Any] | None = None


class Instance(Protocol):
    """One host of a variant."""

    @property
    def load(self) -> int:
        """How many requests it has in hand or waiting."""

    @property
    def pids(self) -> Sequence[int]:
        """The processes that answer, as far as they are this machine's."""

    async def start(self) -> None:
        """Load the model and be ready to answer; raises `LoadFailed`."""

    async def invoke(self, request: Request) -> Answer:
        """Answer a request; raises `DeadlineExceeded` past its limit, `QueueFull` when too many wait."""

    async def stream(self, request: Request) -> Answer:
        """Answer a request as `invoke` does, but in parts where the handler makes its answer so."""

    def successor(self, changes: Sequence[Change]) -> Instance | None:
        """An instance, to be started, of the same loaded model with newer code; None where that cannot be.

        `changes` are all those since the model was loaded. When it has started, this one is to be stopped.
        """

    async def stop(self) -> None:
        """End, after the requests in hand are answered."""


@runtime_checkable
class Debuggable(Protocol):
    """An instance whose worker a debugger can attach to."""

    async def debug(self) -> tuple[int, Path]:
        """Have debugpy listen in the worker that gets each request that it has time for.

        Its port, and the folder of the model; requests there may take their time from now on, and others are
        answered meanwhile. Raises InstanceError where it cannot.
        """


class Host(Protocol):
    """Makes instances of one kind."""

    def instance(self, spec: Spec, output: Output) -> Instance:
        """An instance that is not started yet."""

    async def close(self) -> None:
        """End whatever the host shares among its instances."""


@runtime_checkable
class Leasable(Protocol):
    """A host that has another way for what is served to a developer."""

    def workshop(self) -> Host:
        """A host for one lease, which is closed with it when its instances have stopped."""


def failed_load(failure: LoadFailed) -> Answer:
    """What every request is told of a model that cannot be loaded."""
    return Answer(500, {}, (f"{failure.message}\n{failure.trace}".rstrip() + "\n").encode())
