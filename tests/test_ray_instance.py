"""A Ray cluster for real: applications of Serve as instances, and what a dashboard may answer instead."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from hotfire.errors import ClusterAway, ClusterError, DeadlineExceeded, LoadFailed, QueueFull, StreamBroken
from hotfire.instances import ray_cluster
from hotfire.instances.base import Cluster, Request, Spec
from hotfire.instances.ray import RayInstance
from hotfire.instances.ray_cluster import RayCluster
from hotfire.instances.ray_files import RayFiles, Shelf
from hotfire.instances.ray_host import RayHost, clear
from hotfire.instances.ray_site import RaySite
from hotfire.instances.ray_state import Application, serving

pytestmark = pytest.mark.anyio

HANDLER = """
import json, os, time

def model_fn(model_dir):
    print("loaded", os.environ["MINE"], flush=True)
    return open(os.path.join(model_dir, "weights")).read()

def input_fn(body, content_type):
    return json.loads(body or b"null")

def predict_fn(data, model, context):
    if data == "fail":
        raise KeyError("age")
    if data == "sleep":
        time.sleep(1)
    if data == "exit":
        os._exit(1)
    context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", "seen")
    sent = context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")
    return {"data": data, "model": model, "sent": sent}

def parts(data):
    yield "one "
    time.sleep(0.3)
    if data == "break":
        raise ValueError("in the middle")
    yield "two"

def output_fn(prediction, accept):
    data = prediction["data"]
    return parts(data) if data in ("parts", "break") else json.dumps(prediction)
"""
SECONDS = 240.0


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("model"), HANDLER)


def written(folder: Path, handler: str) -> Path:
    (folder / "code").mkdir()
    (folder / "code" / "inference.py").write_text(handler)
    (folder / "weights").write_text("w")
    return folder


@pytest.fixture(scope="module")
def printed() -> list[str]:
    return []


@pytest.fixture(scope="module")
def spec(ray_cluster: Any, model: Path) -> Spec:
    options = {"name": "Model", "max_queued_requests": 2, "ray_actor_options": {"num_cpus": 0.5}}
    return Spec(
        "AllTraffic/i-1",
        model,
        {"MINE": "1", "SAGEMAKER_PROGRAM": "inference.py"},
        Path("/none"),
        SECONDS,
        endpoint="tiny",
        cluster=Cluster(ray_cluster.address, options),
    )


@pytest.fixture(scope="module")
async def host(ray_cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RayHost]:
    home = tmp_path_factory.mktemp("home")
    host = RayHost(home, {})
    yield host
    await host.close()
    assert ours(ray_cluster) == []
    assert json.loads((home / "ray.json").read_text())["ports"] == {}


@pytest.fixture(scope="module")
async def instance(host: RayHost, spec: Spec, printed: list[str]) -> AsyncIterator[RayInstance]:
    """One that serves; to bring it up takes its time."""
    instance = host.instance(spec, lambda request, line: printed.append(line))
    await instance.start()
    yield instance
    await instance.stop()


def ours(cluster: Any) -> list[str]:
    return sorted(name for name in cluster.applications() if name.startswith("hotfire-"))


def request(data: Any = None, limit: float = SECONDS, **headers: str) -> Request:
    return Request("r", {"Content-Type": "application/json", **headers}, json.dumps(data).encode(), limit)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not happened():
            await asyncio.sleep(0.05)


async def test_a_model_answers_and_prints(instance: RayInstance, printed: list[str]) -> None:
    answer = await instance.invoke(request([1], **{"X-Amzn-SageMaker-Custom-Attributes": "a=b"}))
    assert (answer.status, json.loads(answer.body)) == (200, {"data": [1], "model": "w", "sent": "a=b"})
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers["x-amzn-sagemaker-custom-attributes"] == "seen"
    assert headers["content-type"] == "application/json"
    assert "x-hotfire-replica" not in headers
    await until(lambda: "loaded 1" in printed)


async def test_what_a_handler_answers_by_an_error_is_passed_on(
    instance: RayInstance, printed: list[str]
) -> None:
    answer = await instance.invoke(request("fail"))
    assert answer.status == 500
    assert b"KeyError: 'age'" in answer.body


async def test_an_answer_in_parts(instance: RayInstance) -> None:
    answer = await instance.stream(request("parts"))
    assert (answer.status, answer.body, instance.load) == (200, b"one ", 1)
    assert answer.rest is not None
    assert [part async for part in answer.rest] == [b"two"]
    assert instance.load == 0
    assert (await instance.invoke(request("parts"))).body == b"one two"


async def test_an_answer_that_breaks_off(instance: RayInstance) -> None:
    answer = await instance.stream(request("break"))
    assert answer.rest is not None
    with pytest.raises(StreamBroken):
        await anext(answer.rest)
    assert instance.load == 0


async def test_an_answer_that_does_not_come_in_time(instance: RayInstance) -> None:
    with pytest.raises(DeadlineExceeded):
        await instance.invoke(request("sleep", limit=0.2))
    assert (await instance.invoke(request())).status == 200


async def test_a_full_queue_throttles(instance: RayInstance) -> None:
    asked = [asyncio.ensure_future(instance.invoke(request("sleep"))) for _ in range(30)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in done if isinstance(one, QueueFull)]
    answered = [one for one in done if not isinstance(one, BaseException)]
    assert refused
    assert {one.status for one in answered} == {200}
    assert len(refused) + len(answered) == 30


async def test_one_that_somebody_ends_is_made_anew(
    instance: RayInstance, host: RayHost, ray_cluster: Any, printed: list[str]
) -> None:
    (before,) = ours(ray_cluster)
    site = await host.site(ray_cluster.address)
    await site.delete(before)
    await until(lambda: "hotfire: the application is gone from the cluster" in printed)
    assert (await instance.invoke(request([2]))).status == 200
    (after,) = ours(ray_cluster)
    assert after != before


async def test_a_replica_that_ends_costs_what_it_had_in_hand(
    instance: RayInstance, printed: list[str]
) -> None:
    answer = await instance.invoke(request("exit"))
    assert (answer.status, json.loads(answer.body)["message"]) == (500, "Worker died.")
    assert any("a replica gave no answer: it has ended" in line for line in printed)
    async with asyncio.timeout(SECONDS):
        while (await instance.invoke(request())).status != 200:
            await asyncio.sleep(0.2)


async def test_a_handler_that_cannot_load(
    host: RayHost, spec: Spec, tmp_path: Path, ray_cluster: Any, printed: list[str]
) -> None:
    before = ours(ray_cluster)
    broken = written(
        tmp_path, HANDLER.replace("return open", 'raise ValueError("no weights")\n    return open')
    )
    instance = host.instance(replace(spec, model_dir=broken), lambda request, line: printed.append(line))
    with pytest.raises(LoadFailed) as failure:
        await instance.start()
    assert failure.value.message == "ValueError: no weights"
    assert failure.value.trace.startswith("Traceback (most recent call last):\n")
    assert 'raise ValueError("no weights")' in failure.value.trace
    assert "ray/serve" not in failure.value.trace
    await instance.stop()
    assert ours(ray_cluster) == before


async def test_what_a_killed_region_has_left_can_be_cleared(
    spec: Spec, ray_cluster: Any, tmp_path: Path
) -> None:
    before = set(ours(ray_cluster))
    left = RayHost(tmp_path, {})
    instance = left.instance(replace(spec, endpoint="left"), lambda request, line: None)
    await instance.start()
    assert [name for name in ours(ray_cluster) if "-left-" in name] != []
    await killed(left, instance)
    await asyncio.to_thread(clear, tmp_path, {})
    assert set(ours(ray_cluster)) == before


async def test_a_region_finds_its_applications_by_whatever_address(
    spec: Spec, ray_cluster: Any, tmp_path: Path, printed: list[str]
) -> None:
    addresses = [ray_cluster.address, f"{ray_cluster.address}/"]
    specs = [
        replace(
            spec, endpoint=f"found{n}", cluster=Cluster(address, {"ray_actor_options": {"num_cpus": 0.2}})
        )
        for n, address in enumerate(addresses)
    ]
    left = RayHost(tmp_path, {})
    instances = [left.instance(one, lambda request, line: None) for one in specs]
    await asyncio.gather(*(instance.start() for instance in instances))
    await killed(left, *instances)
    names = [name for name in ours(ray_cluster) if "-found" in name]

    said: list[str] = []
    host = RayHost(tmp_path, {})
    heirs = [host.instance(one, lambda request, line: said.append(line)) for one in specs]
    host.open()
    await asyncio.gather(*(heir.start() for heir in heirs))
    assert [name for name in ours(ray_cluster) if "-found" in name] == names
    assert (await heirs[0].invoke(request("fail"))).status == 500
    await until(lambda: any("KeyError" in line for line in said))
    # What was printed before is not printed again.
    assert "loaded 1" not in said
    assert said.count("hotfire: the application that was there serves on") == 2
    await asyncio.gather(*(heir.stop() for heir in heirs))
    assert [name for name in ours(ray_cluster) if "-found" in name] == []
    assert json.loads((tmp_path / "ray.json").read_text())["ports"] == {}
    await host.close()


async def killed(host: RayHost, *instances: RayInstance) -> None:
    """As after a kill: the listener is gone, nobody looks on, nothing is ended."""
    for instance in instances:
        assert instance._watching is not None
        instance._watching.cancel()
        await asyncio.wait([instance._watching])
        await settled(instance)
    for site in set(host._sites.values()):
        site.close()


async def settled(instance: RayInstance) -> None:
    """Leave no task and no connection of an instance that nobody stops."""
    tasks = [task for pair in instance._readers.values() for task in pair]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for connections in instance._ways.values():
        connections.close()


@contextmanager
def dashboard(
    answers: dict[str, tuple[int, str]], port: int = 0, ordered: list[str] | None = None
) -> Iterator[str]:
    """What answers so at each path, and 404 at others; its address. What it is sent is put into `ordered`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if ordered is not None and body:
                ordered.append(body.decode())
            status, text = answers.get(self.path, (404, ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def answering(job: str = "SUCCEEDED", printed: str = "", status: str = "DEPLOYING") -> dict[str, Any]:
    """A cluster whose jobs end so, and whose Serve has one deployment with something to say."""
    message = "1 replica takes long to be scheduled:\n it wants 1 GPU, of 0"
    deployments = {"Model": {"status": "UPDATING", "message": message, "replicas": []}}
    application = {"status": status, "message": "", "deployments": deployments}
    there = {"controller_info": {"node_id": "n"}, "applications": {"hotfire-x": application}}
    return {
        "/api/version": (200, '{"ray_version": "2.57.0", "session_name": "s"}'),
        "/api/serve/applications/": (200, json.dumps(there)),
        "/api/jobs/": (200, '{"submission_id": "j"}'),
        "/api/jobs/j": (200, json.dumps({"status": job, "message": "failed"})),
        "/api/jobs/j/logs": (200, json.dumps({"logs": printed})),
    }


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (
            "ModuleNotFoundError: No module named 'ray'\n",
            "jobs of the Ray cluster .* have no Python with Ray",
        ),
        ("/bin/sh: 1: python3: not found\n", "jobs of the Ray cluster .* have no Python with Ray"),
        ("urllib.error.URLError: <urlopen error timed out>", "does not reach this region at 127.0.0.1"),
        ("Traceback:\nValueError: a route\n", "could not do it: ValueError: a route"),
    ],
)
async def test_a_job_that_fails(tmp_path: Path, printed: str, said: str) -> None:
    with dashboard(answering("FAILED", printed)) as address:
        host = RayHost(tmp_path, {})
        with pytest.raises(LoadFailed, match=said):
            await waiting(host, tmp_path, address).start()
        await host.close()


async def test_a_head_node_that_takes_no_jobs_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = answering()
    answers["/api/jobs/"] = (500, "No available agent to submit job, please try again later.")
    with dashboard(answers) as address:

        async def until_it_does(seconds: float) -> None:
            answers["/api/jobs/"] = answering()["/api/jobs/"]

        monkeypatch.setattr(asyncio, "sleep", until_it_does)
        cluster = RayCluster(address)
        assert await cluster.submit("true") == "j"
        answers["/api/jobs/"] = (500, "please try again later.")
        monkeypatch.setattr(ray_cluster, "SECONDS_FOR_AN_AGENT", -1)
        with pytest.raises(ClusterError, match="with 500: please try again later"):
            await cluster.submit("true")
        cluster.close()


async def test_what_does_not_fit_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with dashboard(answering()) as address:
        host = RayHost(tmp_path, {})
        instance = waiting(host, tmp_path, address)
        monkeypatch.setattr("hotfire.instances.ray.new_name", lambda prefix: "hotfire-x")
        with pytest.raises(LoadFailed) as failure:
            await instance.start()
        await host.close()
    said = "the application was not up within 1 s: 1 replica takes long to be scheduled: it wants 1 GPU, of 0"
    assert failure.value.message == said


async def test_what_serve_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with dashboard(answering(status="DEPLOY_FAILED")) as address:
        host = RayHost(tmp_path, {})
        instance = waiting(host, tmp_path, address)
        monkeypatch.setattr("hotfire.instances.ray.new_name", lambda prefix: "hotfire-x")
        with pytest.raises(LoadFailed, match="1 replica takes long to be scheduled"):
            await instance.start()
        await host.close()


async def test_one_that_was_there_and_is_gone_is_made_anew(tmp_path: Path) -> None:
    answers = answering()
    with dashboard(answers) as address:
        first = RayHost(tmp_path, {})
        await first.site(address)
        prefix = waiting(first, tmp_path, address)._order.prefix
        await killed(first)
        answers["/api/serve/applications/"] = serves(f"{prefix}-aaaaaa")
        said: list[str] = []
        host = RayHost(tmp_path, {})
        instance = host.instance(
            Spec("AllTraffic/i-1", tmp_path, {}, Path("/none"), 2.0, cluster=Cluster(address)),
            lambda request, line: said.append(line),
        )
        host.open()
        starting = asyncio.ensure_future(instance.start())
        await until(lambda: bool(said))
        answers["/api/serve/applications/"] = serves()
        await until(lambda: len(said) > 1)
        gone = (
            "hotfire: the application that was there serves no more: the application is gone from the cluster"
        )
        # Why it is not up is told while it is waited for.
        assert said[:2] == ["hotfire: 1 replica takes long to be scheduled: it wants 1 GPU, of 0", gone]
        with pytest.raises(LoadFailed, match="was not up within 2 s"):
            await starting
        assert any(line.startswith(f"hotfire: the application {prefix}-") for line in said)
        await instance.stop()
        await host.close()


async def test_what_could_not_be_ended_is_when_the_cluster_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hotfire.instances.ray_host._SECONDS_UNTIL_BACK", 0.05)
    answers = answering()
    host = RayHost(tmp_path, {})
    with dashboard(answers) as address:
        await host.site(address)
    host.doom(address, "hotfire-x")
    await until(lambda: "applications may be left: no Ray cluster answers" in caplog.text)
    ordered: list[str] = []
    with dashboard(answers, urlsplit(address).port or 0, ordered):
        await until(lambda: bool(ordered))
        assert "delete s hotfire-x" in json.loads(ordered[0])["entrypoint"]
        await until(lambda: json.loads((tmp_path / "ray.json").read_text())["ports"] == {})
        await host.close()


async def test_a_cluster_that_is_away_is_remembered_while_something_may_be_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfire.instances.ray_host._SECONDS_UNTIL_BACK", 0.05)
    answers = answering()
    before = RayHost(tmp_path, {})
    with dashboard(answers) as address:
        await before.site(address)
        prefix = waiting(before, tmp_path, address)._order.prefix
        await killed(before)

    # The one that wanted what is left is deleted before the cluster is back.
    host = RayHost(tmp_path, {})
    instance = waiting(host, tmp_path, address)
    host.open()
    starting = asyncio.ensure_future(instance.start())
    await asyncio.sleep(0)
    await instance.stop()
    await asyncio.wait([starting])
    assert address in json.loads((tmp_path / "ray.json").read_text())["ports"]
    answers["/api/serve/applications/"] = serves(f"{prefix}-aaaaaa")
    ordered: list[str] = []
    with dashboard(answers, urlsplit(address).port or 0, ordered):
        await until(lambda: bool(ordered))
        assert f"{prefix}-aaaaaa" in json.loads(ordered[0])["entrypoint"]
        await until(lambda: json.loads((tmp_path / "ray.json").read_text())["ports"] == {})
        await host.close()


async def test_a_cluster_that_was_started_anew(tmp_path: Path) -> None:
    answers = answering()
    with dashboard(answers) as address:
        host = RayHost(tmp_path, {})
        before = await host.site(address)
        answers["/api/version"] = (200, '{"ray_version": "2.57.0", "session_name": "another"}')
        assert await host.site(address) is before
        assert before.session == "another"
        await host.close()


async def test_no_node_takes_requests(tmp_path: Path) -> None:
    with dashboard({}) as address:
        pass
    instance = waiting(RayHost(tmp_path, {}), tmp_path, address)
    instance._is_up()
    answer = await instance.invoke(request())
    said = f"No node of the Ray cluster at {address} takes requests: none is known."
    assert (answer.status, answer.body.decode()) == (500, said)


def test_a_process_that_ended_while_it_loaded() -> None:
    message = "A replica failed to start with exception. Retrying 5 more time(s). Error:\nActorDiedError()"
    failure = Application("x", "DEPLOYING", (message,)).failure()
    assert failure is not None
    assert failure.message.startswith("a replica's process ended while it loaded the model")


def serves(*names: str) -> tuple[int, str]:
    """What a dashboard tells of Serve with such applications."""
    answer = json.loads(answering()["/api/serve/applications/"][1])
    (application,) = answer["applications"].values()
    return 200, json.dumps({**answer, "applications": dict.fromkeys(names, application)})


def waiting(host: RayHost, folder: Path, address: str) -> RayInstance:
    """An instance that waits a second for its application to be up."""
    spec = Spec("AllTraffic/i-1", folder, {}, Path("/none"), 1.0, cluster=Cluster(address))
    return host.instance(spec, lambda request, line: None)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "is not the dashboard of a Ray cluster"),
        ({"/api/version": (200, "<html>")}, "is not the dashboard of a Ray cluster"),
        (
            {"/api/version": (200, '{"ray_version": "2.9.3"}')},
            "runs Ray 2.9.3; Hotfire needs 2.54 or newer",
        ),
        ({"/api/version": (401, "Unauthorized")}, "wants a token"),
    ],
)
async def test_what_answers_is_no_cluster_that_would_do(answers: Any, said: str) -> None:
    with dashboard(answers) as address:
        cluster = RayCluster(address)
        with pytest.raises(ClusterError, match=said) as failure:
            await cluster.session()
        cluster.close()
    assert failure.value.advice
    assert not isinstance(failure.value, ClusterAway)


async def test_a_cluster_without_serve() -> None:
    with dashboard({"/api/serve/applications/": (501, "Serve dependencies are not installed.")}) as address:
        cluster = RayCluster(address)
        with pytest.raises(ClusterError, match="has no Ray Serve"):
            await cluster.serving()
        cluster.close()


async def test_no_cluster(tmp_path: Path) -> None:
    with dashboard({}) as address:
        pass
    host = RayHost(tmp_path, {})
    spec = Spec("AllTraffic/i-1", tmp_path, {}, Path("/none"), SECONDS, cluster=Cluster(address))
    instance = host.instance(spec, lambda request, line: None)
    with pytest.raises(LoadFailed, match=f"no Ray cluster answers at {address}") as failure:
        await instance.start()
    assert "http://HEAD:8265" in failure.value.message
    await instance.stop()
    await host.close()


@pytest.mark.parametrize(
    ("listens", "address", "ways"),
    [
        ("0.0.0.0", "http://10.0.0.1:8265", {("10.0.0.1", 8000), ("10.0.0.2", 8000)}),
        ("127.0.0.1", "http://localhost:8265", {("127.0.0.1", 8000)}),
        ("127.0.0.1", "http://10.0.0.1:8265", None),
    ],
)
async def test_where_requests_go(listens: str, address: str, ways: Any) -> None:
    proxies = {name: {"node_ip": f"10.0.0.{name}", "status": "HEALTHY"} for name in "12"}
    proxies["3"] = {"node_ip": "10.0.0.3", "status": "UNHEALTHY"}
    told = {"http_options": {"host": listens, "port": 8000}, "proxies": proxies, "applications": {}}
    files = RayFiles("127.0.0.1", 0, "secret")
    site = RaySite(RayCluster(address), files, "session")
    try:
        if ways is None:
            with pytest.raises(ClusterError, match="listens on its nodes' loopback alone"):
                site.ways(serving(told))
        else:
            assert set(site.ways(serving(told))) == ways
    finally:
        site.close()


def test_only_who_knows_the_secret_fetches(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"w" * 100_000)
    files = RayFiles("127.0.0.1", 0, "secret")
    try:
        files.put("app", Shelf({"model/a b": tmp_path / "weights", "order": b"{}"}))
        url = files.url("app")
        with urlopen(f"{url}/model/a%20b", timeout=10) as answer:
            assert answer.read() == b"w" * 100_000
        for wrong in (f"{url}/other", url.replace("secret", "guess") + "/order", f"{url}/../order"):
            with pytest.raises(HTTPError, match="404") as refused:
                urlopen(wrong, timeout=10)
            refused.value.close()
        files.drop("app")
        with pytest.raises(HTTPError, match="404") as refused:
            urlopen(f"{url}/order", timeout=10)
        refused.value.close()
    finally:
        files.close()


def test_a_port_that_is_taken_is_another() -> None:
    first = RayFiles("127.0.0.1", 0, "secret")
    second = RayFiles("127.0.0.1", first.port, "secret")
    assert second.port not in (0, first.port)
    first.close()
    second.close()
