"""Under load an update loses no request, one that fails changes nothing, and a killed region comes back."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from conftest import Machine, Project

SECONDS = 60.0
CLIENTS = 4


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again; fail where it does not come."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Load:
    """Clients that ask an endpoint without a pause, never twice for one answer."""

    def __init__(self, client: Any, endpoint: str) -> None:
        self._client, self._endpoint = client, endpoint
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]
        self.answers: list[int] = []
        self.errors: list[str] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        self.wait_for_more()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int = 20) -> None:
        """Until so many more answers have come."""
        enough = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= enough)

    def _ask(self, number: int) -> None:
        turn = 0
        while not self._ended.is_set():
            turn += 1
            data = [number, turn]
            try:
                answer = self._client.invoke_endpoint(
                    EndpointName=self._endpoint, ContentType="application/json", Body=json.dumps(data)
                )
                value = json.loads(answer["Body"].read())
            except (ClientError, BotoCoreError) as error:
                self.errors.append(str(error))
                # Where nothing listens an answer costs nothing.
                time.sleep(0.01)
            else:
                assert value["data"] == data
                self.answers.append(value["answer"])


@contextmanager
def load(machine: Machine, project: Project) -> Iterator[Load]:
    """Requests for as long as the block goes on."""
    with machine.client("sagemaker-runtime", retries={"total_max_attempts": 1}) as client:
        asking = Load(client, project.name)
        asking.start()
        try:
            yield asking
        finally:
            asking.end()


@pytest.fixture
def deployed(project: Project) -> Project:
    project.deploy()
    return project


def test_an_update_loses_no_request(machine: Machine, deployed: Project) -> None:
    deployed.edit("    return {", "    import time; time.sleep(0.02)\n    return {")
    deployed.deploy()
    with load(machine, deployed) as asking:
        deployed.edit("ANSWER = 1", "ANSWER = 2")
        deployed.deploy()
        from_then_on = len(asking.answers) + CLIENTS
        asking.wait_for_more()
    assert asking.errors == []
    assert set(asking.answers) == {1, 2}
    assert set(asking.answers[from_then_on:]) == {2}


def test_an_update_that_fails_leaves_what_served(machine: Machine, deployed: Project) -> None:
    with load(machine, deployed) as asking:
        deployed.edit('    print("loaded"', '    raise RuntimeError("no weights")\n    print("loaded"')
        failed = deployed.hotfire("deploy")
        asking.wait_for_more()
    assert failed.returncode == 1
    assert "RuntimeError: no weights" in failed.stderr
    assert (asking.errors, set(asking.answers)) == ([], {1})
    assert deployed.told("status")["state"] == "InService"


def resources(machine: Machine) -> dict[str, list[Any]]:
    """All that the region has."""
    with machine.client() as client:
        return {
            "models": client.list_models()["Models"],
            "configs": client.list_endpoint_configs()["EndpointConfigs"],
            "endpoints": [one["EndpointArn"] for one in client.list_endpoints()["Endpoints"]],
        }


def kill_region(machine: Machine) -> None:
    """As by `kill -9`."""
    pid = machine.told("up")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: machine.is_gone(pid))


def await_service(machine: Machine, project: Project) -> None:
    with machine.client() as client:
        client.get_waiter("endpoint_in_service").wait(
            EndpointName=project.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )


def test_a_killed_region_leaves_no_process(machine: Machine, deployed: Project) -> None:
    with load(machine, deployed):
        assert len(machine.processes()) > CLIENTS // 2  # the region, a zygote, a holder, a worker
        kill_region(machine)
        assert machine.is_quiet()


def test_a_killed_region_comes_back_with_everything_and_serves(machine: Machine, deployed: Project) -> None:
    before = resources(machine)
    with load(machine, deployed):
        kill_region(machine)
    machine.told("up")
    assert resources(machine) == before
    await_service(machine, deployed)
    assert deployed.ask()["answer"] == 1
    assert deployed.told("deploy")["changed"] is False


def test_a_region_killed_during_an_update_comes_back_and_serves(machine: Machine, deployed: Project) -> None:
    loading = deployed.folder / "loading"
    deployed.edit("ANSWER = 1", "ANSWER = 2")
    deployed.edit(
        '    print("loaded"',
        f"    import time; open({str(loading)!r}, 'w'); time.sleep(1)\n    print('loaded'",
    )
    deploying = threading.Thread(target=deployed.hotfire, args=("deploy",))
    deploying.start()
    wait_until(loading.exists)
    kill_region(machine)
    deploying.join()
    machine.told("up")
    await_service(machine, deployed)
    assert deployed.ask()["answer"] in (1, 2)
    deployed.deploy()
    assert deployed.ask()["answer"] == 2


def test_a_region_that_is_stopped_answers_what_it_has_in_hand(machine: Machine, deployed: Project) -> None:
    begun = deployed.folder / "begun"
    deployed.edit("    return {", f"    import time; open({str(begun)!r}, 'w'); time.sleep(1)\n    return {{")
    # No example is sent by this deploy, so the file is of the request below.
    deployed.deploy()
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(deployed.ask()["answer"]))
    asking.start()
    wait_until(begun.exists)
    assert machine.hotfire("down").stdout == "The local region is stopped.\n"
    asking.join()
    assert answers == [1]
    machine.told("up")
    await_service(machine, deployed)
    assert deployed.ask()["answer"] == 1
