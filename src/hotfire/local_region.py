"""The local region as a destination: it keeps model data itself, has a page, and costs nothing.

The image of a container is pulled here, by the command: the user's credentials never reach the region.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread

from hotfire import container_images, project, wanted
from hotfire.address import REGION_NAME, Address, not_running
from hotfire.container_builds import Telling
from hotfire.container_engine import Engine
from hotfire.deploy_env import DeployEnv
from hotfire.deployment import Report
from hotfire.destination import Carriage, Pace, Placement
from hotfire.environment import Environment, variables_of_process
from hotfire.errors import RegionError
from hotfire.examples import Example
from hotfire.image_delivery import Delivery, telling
from hotfire.invocation import page_of
from hotfire.model_data import ModelData
from hotfire.refusals import refusal_of

_LONGEST_COPY = 3600.0


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image that is here, by the name under which it is asked for; whether Hotfire made it."""

    name: str
    is_ours: bool


def have_image(environment: Environment, say: Callable[[str], None]) -> LocalImage:
    """Have the image of an environment's containers here. Raises EngineError, ConfigError, DeployError."""
    if environment.builds_image:
        return LocalImage(_built(environment, Telling(say)), is_ours=True)
    name = _image_of(environment)
    engine = Engine.connect(variables_of_process())
    try:
        fitting = container_images.fitting(engine, name)
        container_images.obtain(engine, fitting, say, login=partial(_login, environment))
        return LocalImage(name, engine.is_ours(fitting))
    finally:
        engine.close()


def _image_of(environment: Environment) -> str:
    """Raises ConfigError."""
    return wanted.image(environment, environment.region or REGION_NAME)["Image"]


class LocalRegion:
    """The endpoint's place in the region at `address`. Raises RegionNotRunning without one."""

    pace = Pace(0.2, reads_log=False)
    charges = False

    def __init__(self, environment: Environment, address: Address | None) -> None:
        if address is None:
            raise not_running()
        self._environment, self._address = environment, address

    def introduction(self) -> str:
        """Nothing: it is here."""
        return ""

    def caller(self) -> str:
        """Nobody but this user."""
        return ""

    def prepare(self) -> None:
        """Let the region import torch for this project while we look at its files."""
        if self._environment.in_containers or self._environment.on_ray:
            return

        def warm() -> None:
            with suppress(RegionError):  # what is wrong there, the load will say better
                python = str(self._environment.python)
                self._address.call("POST", "/_hotfire/warm", {"python": python})

        Thread(target=warm, daemon=True).start()

    def locate(self, data: ModelData) -> Placement:
        """The tree that the region has, or will have, of these files."""
        tree = self._address.home / "model-data" / "trees" / data.sha256
        source = {"S3Uri": f"{tree.as_uri()}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        return Placement(source["S3Uri"], {"ModelDataSource": {"S3DataSource": source}})

    def put(self, data: ModelData, placement: Placement, report: Report, previous: str | None) -> None:
        """Have the region copy the files that it does not have, and have the image here."""
        if self._environment.in_containers and not self._environment.builds_image and not self._has_image():
            have_image(self._environment, report.call)
        manifest = {"sha256": data.sha256, "entries": data.manifest()}
        answer = self._address.call("POST", "/_hotfire/trees", manifest, timeout=_LONGEST_COPY)
        if answer["copied"]:
            report.call(f"copy {answer['copied']} of {len(data.entries)} files of the model data")

    def _has_image(self) -> bool:
        """The region is quick to tell: it has a connection to the engine. Raises ConfigError."""
        name = _image_of(self._environment)
        return bool(self._address.call("POST", "/_hotfire/image", {"image": name})["is_here"])

    def carriage(self, data: ModelData, report: Report, *, dry_run: bool) -> Carriage:
        """The image of one's own that containers of this machine are to be made of."""
        if not self._environment.builds_image:
            return Carriage()
        return Delivery(self._environment).planned(data.requirements, telling(report), dry_run=dry_run)

    def carry(self, data: ModelData, carriage: Carriage, report: Report) -> None:
        """Build it."""
        Delivery(self._environment).carry(data.requirements, carriage, telling(report))

    def remove_images(self) -> tuple[str, ...]:
        """Nothing: the engine's images are the user's."""
        return ()

    def brought(self) -> Mapping[str, bool]:
        """Nothing: the region finds by itself which trees nothing needs."""
        return {}

    def remove(self, urls: Iterable[str]) -> None:
        """Nothing."""

    def show(self, examples: Sequence[Example]) -> None:
        """Have the endpoint's page be what `app:` says, with these examples."""
        page = {"endpoint": self._environment.model_name, **page_of(self._environment.app, examples)}
        self._address.call("POST", "/_hotfire/examples", page)

    def page(self) -> str:
        """The endpoint's page."""
        return f"{self._address.url}/e/{self._environment.model_name}"


def _built(environment: Environment, tell: Telling) -> str:
    """The image of one's own, once it is here."""
    return Delivery(environment).brought(project.requirements(environment), tell)


def _login(environment: Environment, account: str, region_name: str) -> Mapping[str, str]:
    from botocore.exceptions import BotoCoreError, ClientError

    client = DeployEnv.of(environment).registry_client(region_name)
    try:
        return container_images.login_by(client, account)
    except (BotoCoreError, ClientError) as error:
        raise refusal_of(error, doing=f"log in to the registry of account {account}") from error
    finally:
        client.close()
