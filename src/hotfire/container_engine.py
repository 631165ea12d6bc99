"""The engine that runs containers: Docker's API. Its errors become ours here.

Every call takes its time: an event loop makes them on threads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from hotfire.errors import ContainerGone, EngineAway, EngineError, PortTaken

PORT = 8080
"""Where a container answers, by SageMaker's contract."""
MODEL_DIR = "/opt/ml/model"

IMAGE_LABEL = "hotfire.image"
"""Of an image: that Hotfire made it, and which version of Hotfire serves in it."""
HOME_LABEL = "hotfire.home"
ENDPOINT_LABEL = "hotfire.endpoint"
INSTANCE_LABEL = "hotfire.instance"
RECIPE_LABEL = "hotfire.recipe"

_PORT_KEY = f"{PORT}/tcp"
_NOT_HAD = "cannot be had"
_LOOPBACK = "127.0.0.1"
_KILLED = 137
_HERE = frozenset({None, "localhost", "127.0.0.1", "::1"})
_SECONDS_TO_ANSWER = 60
_MOST_CONNECTIONS = 100
_MOST_LOG = "16m"
"""What the engine keeps of a container's output; the region's own log has it all."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a container is made of. `memory` in bytes; None is as much as the machine has.

    `mounted_at` is where it has `model_dir`.
    """

    name: str
    image: str
    environment: Mapping[str, str]
    model_dir: Path
    memory: int | None = None
    processors: int | None = None
    gpus: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    mounted_at: str = MODEL_DIR


@dataclass(frozen=True, slots=True)
class Found:
    """A container that is there. `port` is where it answers on the loopback, None if it does not run."""

    id: str
    labels: Mapping[str, str]
    port: int | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a container ended. `memory` says how much it had, if there was a limit."""

    code: int
    lacked_memory: bool = False
    memory: str = ""

    def __str__(self) -> str:
        had = f"it had {self.memory}" if self.memory else ""
        if self.lacked_memory:
            return f"was killed for want of memory ({'; '.join(filter(None, ('OOMKilled', had)))})"
        if self.code == _KILLED and had:
            # Podman does not always say what for.
            return f"was killed by signal 9 (for want of memory, perhaps: {had})"
        if self.code > 128:
            return f"was killed by signal {self.code - 128}"
        return f"ended with exit code {self.code}"


class Engine:
    """What DOCKER_HOST, or else Docker's current context, names. Every method raises EngineError."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @classmethod
    def connect(cls, variables: Mapping[str, str]) -> Self:
        """The engine, once it has answered."""
        try:
            import docker
        except ImportError as error:
            message = "containers need the package `docker`, which is not installed with Hotfire"
            raise EngineError(message, 'pip install "hotfire[containers]"') from error
        _check_is_here(urlsplit(variables.get("DOCKER_HOST", "")).hostname)
        with engine_errors("the container engine"):
            try:
                client = docker.from_env(
                    environment=dict(variables),
                    timeout=_SECONDS_TO_ANSWER,
                    max_pool_size=_MOST_CONNECTIONS,
                )
            except (docker.errors.DockerException, ValueError) as error:
                raise _unreachable(variables, str(error)) from error
        try:
            _check_is_here(urlsplit(str(client.api.base_url)).hostname)
        except EngineError:
            client.close()
            raise
        return cls(client)

    @property
    def api(self) -> Any:
        """Docker's own client, for what builds and pushes images."""
        return self._client.api

    def architecture(self) -> str:
        """Of the machine on which containers run: `x86_64`, `aarch64`."""
        return str(self._info().get("Architecture", ""))

    def processors(self) -> int:
        """How many that machine has."""
        return int(self._info().get("NCPU", 1))

    def image_id(self, image: str) -> str | None:
        """The identity of an image that is here; None if it is not."""
        from docker.errors import ImageNotFound

        with engine_errors(f"the image {image}"):
            try:
                return str(self._client.images.get(image).id)
            except ImageNotFound:
                return None

    def is_ours(self, image: str) -> bool:
        """Whether an image that is here was made by Hotfire."""
        with engine_errors(f"the image {image}"):
            return IMAGE_LABEL in (self._client.images.get(image).labels or {})

    def pull(
        self, image: str, login: Mapping[str, str] | None = None, platform: str | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Have the engine fetch an image; what it tells meanwhile. `login`: `username` and `password`.

        Without one, what `docker login` has left is used; without a platform it is the engine's own.
        """
        doing = f"the image {image} {_NOT_HAD}"
        with engine_errors(doing):
            given = None if login is None else dict(login)
            told = self._client.api.pull(
                image, stream=True, decode=True, auth_config=given, platform=platform
            )
            yield from events(told, lambda reason: EngineError(*explained(doing, reason)))

    def create(self, recipe: Recipe) -> str:
        """Make a container; its id. It does not run yet."""
        from docker.types import DeviceRequest, LogConfig, Mount

        gpus = [DeviceRequest(count=-1, capabilities=[["gpu"]])] if recipe.gpus else None
        with engine_errors(f"no container of the image {recipe.image} can be made"):
            container = self._client.containers.create(
                recipe.image,
                ["serve"],
                name=recipe.name,
                labels=dict(recipe.labels),
                environment=dict(recipe.environment),
                mounts=[Mount(recipe.mounted_at, str(recipe.model_dir), type="bind", read_only=True)],
                ports={_PORT_KEY: (_LOOPBACK, None)},
                mem_limit=recipe.memory,
                # No more with swap than without: SageMaker's instances have none.
                memswap_limit=recipe.memory,
                nano_cpus=None if recipe.processors is None else recipe.processors * 1_000_000_000,
                device_requests=gpus,
                log_config=LogConfig(type="json-file", config={"max-size": _MOST_LOG}),
                # The user's own settings for proxies may hold a password.
                use_config_proxy=False,
            )
        return str(container.id)

    def start(self, container: str) -> int:
        """Let it run; the port of the loopback where it is to answer, 0 if it has ended already."""
        with engine_errors("the container cannot be started"):
            self._client.api.start(container)
            found = self._client.api.inspect_container(container)
        port = _port(found)
        if port is None and found["State"].get("Running"):
            raise EngineError("the engine gives the container no port of the loopback")
        return port or 0

    def output(self, container: str, *, only_new: bool = False) -> Iterator[bytes]:
        """What it prints, as it comes, until it ends."""
        with engine_errors("the output of the container cannot be read"):
            tail = 0 if only_new else "all"
            stream = self._client.api.logs(container, stream=True, follow=True, tail=tail)
            yield from stream

    def last_output(self, container: str, lines: int) -> bytes:
        """The last lines of what it has printed."""
        with engine_errors("the output of the container cannot be read"):
            return bytes(self._client.api.logs(container, tail=lines))

    def ending(self, container: str) -> Ending | None:
        """How it ended; None while it runs."""
        try:
            with engine_errors("the container's state cannot be read"):
                state = self._client.api.inspect_container(container)["State"]
        except ContainerGone:
            return Ending(_KILLED)
        if state.get("Running"):
            return None
        return Ending(int(state.get("ExitCode", 0)), bool(state.get("OOMKilled")))

    def remove(self, container: str, grace: int = 0) -> None:
        """SIGTERM, SIGKILL after so many seconds, and leave nothing of it; one that is gone is no error."""
        from docker.errors import APIError

        with contextlib.suppress(ContainerGone), engine_errors("the container cannot be removed"):
            if grace:
                self._client.api.stop(container, timeout=grace)
            try:
                self._client.api.remove_container(container, v=True, force=True)
            except APIError as error:
                if "already in progress" not in str(error.explanation):
                    raise
                self._client.api.wait(container, condition="removed")

    def of_region(self, home: Path) -> list[Found]:
        """All containers that the region of this home has made, in whatever state."""
        with engine_errors("the containers cannot be listed"):
            given = self._client.api.containers(all=True, filters={"label": f"{HOME_LABEL}={home}"})
        return [Found(one["Id"], one.get("Labels") or {}, _published(one)) for one in given]

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def _info(self) -> Mapping[str, Any]:
        with engine_errors("the container engine"):
            info: Mapping[str, Any] = self._client.info()
            return info


def _port(inspected: Mapping[str, Any]) -> int | None:
    bound = (inspected.get("NetworkSettings", {}).get("Ports") or {}).get(_PORT_KEY)
    return int(bound[0]["HostPort"]) if bound else None


def _published(listed: Mapping[str, Any]) -> int | None:
    """The port of a container that runs, as the list of them has it."""
    ports = listed.get("Ports") or ()
    found = (one.get("PublicPort") for one in ports if one.get("PrivatePort") == PORT)
    return next((int(port) for port in found if port), None) if listed.get("State") == "running" else None


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """The engine's errors, and those of the way to it, as ours."""
    import docker.errors
    import requests

    try:
        yield
    except docker.errors.APIError as error:
        reason = str(error.explanation or error)
        raise _kind(reason)(*explained(doing, reason)) from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        message = f"{doing}: the container engine does not answer any more ({error})"
        raise EngineAway(message, "See that it runs: `docker info`.") from error


def _kind(reason: str) -> type[EngineError]:
    """Told by what the engine says: of a container that is being removed Podman says it with a 500."""
    if _IS_GONE in reason.lower():
        return ContainerGone
    return PortTaken if any(sign in reason for sign in _PORT_IS_TAKEN) else EngineError


def events(
    told: Iterable[Mapping[str, Any]], failure: Callable[[str], EngineError]
) -> Iterator[Mapping[str, Any]]:
    """What the engine tells of its work; in the end the failure that an error among it makes.

    All of it is read even so: docker-py gives a connection back at the end of its stream alone.
    """
    reason = ""
    for event in told:
        if "error" in event:
            reason = str(event["error"])
        elif not reason:
            yield event
    if reason:
        raise failure(reason)


def _check_is_here(host: str | None) -> None:
    """Model data is a folder of this machine, and containers answer on its loopback."""
    if host not in _HERE:
        message = (
            f"the container engine at {host} is another machine's, which this machine's files are not on"
        )
        raise EngineError(message, "Let DOCKER_HOST name an engine on this machine.")


def _unreachable(variables: Mapping[str, str], reason: str) -> EngineError:
    host = variables.get("DOCKER_HOST") or "the usual place"
    if "Permission denied" in reason:
        message = f"this user may not use the container engine at {host}"
        advice = "Join its group (`sudo usermod -aG docker $USER`, then log in anew), or run it rootless."
        return EngineError(message, advice)
    advice = (
        "Start Docker (`sudo systemctl start docker`, or Docker Desktop); if its socket is elsewhere, or "
        "it is Podman's, name it in DOCKER_HOST before `hotfire up`."
    )
    return EngineAway(f"no container engine answers at {host}", advice)


_IS_GONE = "no such container"
_PORT_IS_TAKEN = ("port is already allocated", "address already in use")
_ADVICE: tuple[tuple[str, str, str], ...] = (
    (
        "no space left on device",
        "no space is left on the engine's disk",
        "`docker system df` shows what takes it, `docker image prune` frees some.",
    ),
    (
        'exec: "serve"',
        "it has no program `serve`, which SageMaker runs",
        "Give the image an executable `serve` on PATH, or an ENTRYPOINT that takes it as its argument.",
    ),
    (
        "could not select device driver",
        "the engine has no GPU to give",
        "Install NVIDIA's Container Toolkit, or use `instance_type: local_container`.",
    ),
    *(
        (sign, "the port that it was given is taken", "Try again; `docker ps` shows who has it.")
        for sign in _PORT_IS_TAKEN
    ),
    (
        "no such host",
        "its registry cannot be found from here",
        "See that the name is right and that this machine has a network; `docker images` lists what is here.",
    ),
    ("minimum memory limit", "its memory limit is below the engine's least", "Name a larger `sized_as`."),
)


def explained(doing: str, reason: str) -> tuple[str, str]:
    """A message and an advice for what the engine says."""
    for sign, meaning, advice in _ADVICE:
        if sign in reason:
            return f"{doing}: {meaning}", advice
    if doing.endswith(_NOT_HAD) and is_about_access(reason):
        return (
            f"{doing}: {reason}",
            "See that its name is right; `docker login` gives access to a private one.",
        )
    return f"{doing}: {reason}", ""


def is_about_access(reason: str) -> bool:
    """Whether a registry says that one may not have an image; what is private may be said not to be there."""
    signs = ("denied", "unauthorized", "no basic auth", "authentication", "not found", "forbidden")
    return any(sign in reason.lower() for sign in signs)
