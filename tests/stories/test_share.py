"""A user shows a model to the people in the network, who see its page and nothing else, while that lasts."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from hotfire.address import Address, find

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from conftest import Machine, Project

NETWORK = "127.0.0.2"
"""An address that stands for the one that the network has."""
SCREENS = {"desk": (1280, 800), "phone": (360, 640)}
HANDLER = """\
import json

def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return [row[0] for row in json.loads(body)]

def predict_fn(texts, model):
    if "nonsense" in texts:
        raise ValueError("in secret.py")
    return [{"words": len(text.split())} for text in texts]

def output_fn(answers, accept):
    return json.dumps(answers)
"""
EXAMPLE = {"request": {"body": [["a b c"]], "content_type": "application/json"}, "expect": {}}


@dataclass(frozen=True)
class Sharing:
    """A command that shares a model, and what it said."""

    process: subprocess.Popen[str]
    link: str
    key: str

    @property
    def url(self) -> str:
        """Where it is."""
        return self.link.partition("/?")[0]

    def is_over(self) -> bool:
        """Whether nothing answers there any more, after a moment if need be."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                asked(f"{self.url}/api/models")
            except OSError:  # urllib's own, or the connection's
                return True
            time.sleep(0.02)
        return False


@pytest.fixture(scope="module")
def region(
    machine: Machine, new_project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory
) -> Address:
    """A region with two models, of which one is to be shared."""
    for name in ("news", "private"):
        project: Project = new_project(tmp_path_factory.mktemp(name), name)
        project.configure(model_name=name, app={"title": f"The {name}"})
        project.write("serve.py", HANDLER)
        project.write("examples/words.json", json.dumps(EXAMPLE))
        project.deploy()
    found = find(machine.home)
    assert found is not None
    return found


@pytest.fixture
def share(machine: Machine, region: Address) -> Iterator[Callable[..., Sharing]]:
    """`share(*options)`: what `hotfire share MODEL` says."""
    begun: list[subprocess.Popen[str]] = []

    def share(*options: str, model: tuple[str, ...] = ("news",)) -> Sharing:
        command = [sys.executable, "-m", "hotfire", "share", *model, "--host", NETWORK, "--json", *options]
        begun.append(machine.started(command))
        assert begun[-1].stdout is not None
        told = json.loads(begun[-1].stdout.readline())
        return Sharing(begun[-1], told["links"][0], told["key"])

    yield share
    for process in begun:
        process.kill()
        process.communicate()


def asked(url: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    """The answer to a GET, or to a POST. Redirections are followed."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, named), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def predicted(sharing: Sharing, **headers: str) -> tuple[int, Any]:
    given = {"Content-Type": "application/json", **headers}
    status, text = asked(f"{sharing.url}/api/models/news/predict", b'"a b"', **given)
    return status, json.loads(text)


@pytest.mark.parametrize("screen", SCREENS)
def test_whoever_has_the_link_tries_the_model(
    share: Callable[..., Sharing],
    window: Callable[..., Any],
    axe: Callable[[Page], list[str]],
    screen: str,
) -> None:
    shared = share()
    width, height = SCREENS[screen]
    visit = window(shared, enter=False, viewport={"width": width, "height": height})
    visit.page.goto(shared.link)
    assert visit.page.url == f"{shared.url}/e/news"
    visit.page.get_by_role("textbox").first.fill("one two three four")
    visit.page.locator("#send").click()
    answer = visit.page.locator("#raw-answer")
    answer.wait_for(state="attached")
    assert json.loads(str(answer.text_content())) == [{"words": 4}]
    assert not visit.is_wider()
    assert axe(visit.page) == []


def test_a_visitor_finds_no_way_to_anything_else(
    share: Callable[..., Sharing], window: Callable[..., Any]
) -> None:
    shared = share()
    page = window(shared, enter=False).page
    page.goto(shared.link)
    seen, coming = set(), ["/e/news"]
    while coming:
        path = coming.pop()
        seen.add(path)
        page.goto(shared.url + path)
        links = page.locator("a[href]").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        found = {urlsplit(link).path for link in links} - {""}
        coming += [one for one in found - seen if not one.startswith(("/api/", "/static/"))]
    assert seen <= {"/e/news", "/e/news/api", "/e/news/api/input.json"}
    assert "private" not in page.content()


FORBIDDEN = [
    "/requests",
    "/e/private",
    "/e/private/api",
    "/e/news/requests",
    "/e/news/logs",
    "/e/news/charts",
    "/e/news/dev",
    "/requests/1",
    "/api",
    "/api/models/private",
    "/api/models/private/openapi.json",
    "/live?page=/e/private",
    "/live?page=/requests",
    "/live?page=/",
    "/e/news/../private",
    "/e/private%2f..%2fnews",
    "//requests",
    "/metrics",
    "/_hotfire/hello?nonce=1",
    "/_hotfire/keys",
    "/sagemaker-us-east-1-000000000000/",
]


def cookie_of(shared: Sharing) -> str:
    """What a browser that has entered sends."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(Stay).open(shared.link, timeout=30)
    with caught.value as answer:
        return str(answer.headers["set-cookie"]).partition(";")[0]


def test_a_visitor_reaches_no_other_page_and_no_other_api(
    share: Callable[..., Sharing], region: Address
) -> None:
    shared = share()
    cookie = cookie_of(shared)
    assert asked(f"{shared.url}/e/news", Cookie=cookie)[0] == 200
    for path in FORBIDDEN:
        for headers in (
            {},
            {"Cookie": cookie},
            {"X-Api-Key": shared.key},
            {"Authorization": region.key.bearer},
        ):
            status, text = asked(shared.url + path, **headers)
            assert status in (401, 403, 404), (path, headers)
            assert "words" not in text


def test_the_regions_own_key_opens_nothing_there(
    share: Callable[..., Sharing], machine: Machine, region: Address
) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    shared = share()
    for service, call, params in (
        ("sagemaker", "list_endpoints", {}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "news", "Body": b'[["a"]]'}),
        ("s3", "list_buckets", {}),
    ):
        client = boto3.client(
            service,
            endpoint_url=shared.url,
            region_name="us-east-1",
            aws_access_key_id=region.key.access_key,
            aws_secret_access_key=region.key.secret_key,
            config=Config(retries={"total_max_attempts": 1}),
        )
        with pytest.raises(ClientError) as caught:
            getattr(client, call)(**params)
        client.close()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404, 405)


def test_the_key_in_the_link_asks_the_models_api(share: Callable[..., Sharing]) -> None:
    shared = share()
    assert predicted(shared)[0] == 401
    assert predicted(shared, X_Api_Key="hotfire_guess")[0] == 401
    assert predicted(shared, X_Api_Key=shared.key)[1]["prediction"] == {"words": 2}
    models = json.loads(asked(f"{shared.url}/api/models", X_Api_Key=shared.key)[1])["models"]
    assert [model["name"] for model in models] == ["news"]


def test_the_key_in_the_link_opens_nothing_of_the_region_itself(
    share: Callable[..., Sharing], region: Address
) -> None:
    shared = share()
    assert asked(f"{region.url}/api/models", X_Api_Key=shared.key)[0] == 401
    assert asked(f"{region.url}/e/news", Cookie=cookie_of(shared))[0] == 403


def test_without_the_link_nothing_is_seen(share: Callable[..., Sharing]) -> None:
    shared = share()
    for path in ("/", "/e/news", "/?entry=hotfire_guess", "/e/news?entry="):
        status, text = asked(shared.url + path)
        assert (status, "hotfire status" in text) == (403, False)
    assert asked(f"{shared.url}/e/news", Host="evil.example")[0] == 403
    assert asked(f"{shared.url}/e/news", Cookie="hotfire-1=x; hotfire=y")[0] == 403


def test_a_page_elsewhere_may_lead_there_but_not_ask(share: Callable[..., Sharing]) -> None:
    shared = share()
    cookie = cookie_of(shared)
    followed = {"Cookie": cookie, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert asked(f"{shared.url}/e/news", **followed)[0] == 200
    assert asked(f"{shared.url}/e/news", Cookie=cookie, Sec_Fetch_Site="cross-site")[0] == 403
    assert asked(f"{shared.url}/e/news", b"text=a", Cookie=cookie, Origin="https://evil.example")[0] == 403


def test_a_visitor_is_not_told_what_the_handler_is_made_of(
    share: Callable[..., Sharing], window: Callable[..., Any]
) -> None:
    shared = share()
    page = window(shared, enter=False).page
    page.goto(shared.link)
    page.get_by_role("textbox").first.fill("nonsense")
    page.locator("#send").click()
    page.get_by_text("500").first.wait_for()
    assert "secret.py" not in page.content()
    assert "Traceback" not in page.content()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_is_over_however_the_command_ends(share: Callable[..., Sharing], number: signal.Signals) -> None:
    shared = share()
    assert predicted(shared, X_Api_Key=shared.key)[0] == 200
    shared.process.send_signal(number)
    assert shared.is_over()
    assert shared.process.wait(30) == (0 if number == signal.SIGINT else -number)


def test_it_is_over_while_somebody_follows_the_page(share: Callable[..., Sharing]) -> None:
    shared = share()
    request = urllib.request.Request(f"{shared.url}/live?page=/e/news", headers={"Cookie": cookie_of(shared)})
    with urllib.request.urlopen(request, timeout=30) as events:
        assert events.readline() == b"retry: 500\n"
        shared.process.kill()
        events.read()
    assert shared.is_over()


def test_it_is_over_while_somebody_sends_and_sends(share: Callable[..., Sharing], machine: Machine) -> None:
    shared = share()
    where = urlsplit(shared.url)
    with socket.create_connection((str(where.hostname), where.port), timeout=30) as visitor:
        lines = ["POST /api/models/news/predict HTTP/1.1", f"Host: {where.netloc}", "Content-Length: 9"]
        visitor.sendall("\r\n".join([*lines, "Expect: 100-continue", "", ""]).encode())
        # Which says that it is waited for.
        assert b" 100 " in visitor.recv(1000)
        shared.process.kill()
        assert b" 503 " in visitor.recv(1000)
    assert shared.is_over()


def test_what_was_shared_before_opens_nothing_that_is_shared_after(share: Callable[..., Sharing]) -> None:
    before = share()
    port = str(urlsplit(before.url).port)
    cookie = cookie_of(before)
    before.process.kill()
    assert before.is_over()
    after = share("--port", port)
    assert after.url == before.url
    assert predicted(after, X_Api_Key=before.key)[0] == 401
    assert asked(f"{after.url}/e/news", Cookie=cookie)[0] == 403


def test_it_ends_by_itself_when_its_time_is_over(share: Callable[..., Sharing]) -> None:
    shared = share("--for", "1s")
    assert shared.process.wait(30) == 0
    assert shared.is_over()


def test_without_a_name_it_is_the_projects_model(
    share: Callable[..., Sharing], machine: Machine, region: Address, tmp_path: Path
) -> None:
    (tmp_path / "config.yml").write_text("environments: {local: {model_name: private}}")
    (tmp_path / "serve.py").write_text(HANDLER)
    shared = share("--config", str(tmp_path / "config.yml"), model=())
    models = json.loads(asked(f"{shared.url}/api/models", X_Api_Key=shared.key)[1])["models"]
    assert [model["name"] for model in models] == ["private"]


def test_a_port_that_is_taken_is_told(share: Callable[..., Sharing], machine: Machine) -> None:
    port = str(urlsplit(share().url).port)
    done = machine.hotfire("share", "news", "--host", NETWORK, "--port", port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"Error: port {port} of {NETWORK} is in use by another program",
        "  → Name another: `--port N`.",
    ]


def test_a_model_that_is_not_there_is_told(machine: Machine, region: Address) -> None:
    done = machine.hotfire("share", "absent")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no endpoint 'absent' in the local region" in done.stderr


def test_the_end_of_the_region_is_the_end_of_it(share: Callable[..., Sharing], machine: Machine) -> None:
    shared = share()
    assert machine.hotfire("down").returncode == 0
    assert shared.process.wait(30) == 0
    assert shared.is_over()
    machine.told("up")
