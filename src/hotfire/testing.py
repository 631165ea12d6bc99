"""A pytest plugin: a local region of the tests' own, and a process that is pointed at it.

pytest loads it wherever Hotfire is installed, so it imports little until a fixture is asked for.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotfire.address import Address
from hotfire.errors import DeployError, UsageError


class HotfireRegion:
    """A local region of one run of tests."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._clients: list[Any] = []

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.address.url

    @property
    def environment(self) -> dict[str, str]:
        """What points a program at it: every AWS client, Hotfire's commands and `DeployEnv`."""
        from hotfire.local import variables

        return {**variables(self.address), "HOTFIRE_HOME": str(self.address.home)}

    def client(self, service: str = "sagemaker-runtime", **options: Any) -> Any:
        """A boto3 client of it, with boto3's own options; it is closed with the region."""
        import boto3

        from hotfire.endpoint_session import of_region

        client = boto3.Session(botocore_session=of_region(self.address)).client(service, **options)
        self._clients.append(client)
        return client

    def deploy(self, project: str | Path, *, env: str = "local") -> str:
        """Deploy the project in a folder, as `hotfire deploy` does, and return its endpoint's name.

        Raises DeployError with what the command says, also if an example fails, and UsageError for an
        environment at AWS.
        """
        from hotfire.environment import load, variables_of_process

        folder = Path(project).resolve()
        environment = load(env, start=folder)
        if not environment.is_local:
            raise UsageError(f"the environment {env!r} is at AWS", "Tests deploy to the local region alone.")
        command = [sys.executable, "-m", "hotfire", "deploy", "--json", "--env", env]
        done = subprocess.run(
            [*command, "--config", str(environment.file)],
            cwd=folder,
            env=variables_of_process() | self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DeployError(f"{folder} was not deployed:\n{done.stderr.strip()}")
        return str(json.loads(done.stdout)["endpoint"])

    def close(self) -> None:
        """End it, with all that was deployed to it."""
        from hotfire.server import tether

        for client in self._clients:
            client.close()
        tether.stop(self.address)


@pytest.fixture(scope="session")
def hotfire_region() -> Iterator[HotfireRegion]:
    """A local region for this run of tests: a port and a home of its own, gone in the end."""
    from hotfire.server import tether

    region = HotfireRegion(tether.start())
    try:
        yield region
    finally:
        region.close()


@pytest.fixture
def hotfire_local(hotfire_region: HotfireRegion, monkeypatch: pytest.MonkeyPatch) -> Iterator[HotfireRegion]:
    """While a test runs, the AWS clients that this process makes are those of `hotfire_region`."""
    from hotfire.local import Redirection

    monkeypatch.setenv("HOTFIRE_HOME", str(hotfire_region.address.home))
    with Redirection(hotfire_region.address):
        yield hotfire_region
