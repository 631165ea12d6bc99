"""`serving: ray`, under real Ray Serve, started and asked as AWS's image has it.

Most of it is the answers of AWS's own stack, recorded: once the adapter is asked at Ray Serve's port, once
the image, through the server that it has before that. docs/parity.md says what is not compared, and what the
image's server does to a request and to an answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import pairwise
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from comparing import is_same, send
from corpus import Case, Setup, cases

from hotfire import ray_settings
from hotfire.ray_files import program

CORPUS = "/corpus"
ELSEWHERE = ("addresses", "edges", "framed", "managed", "nested", "output_big_edge", "sized")
"""Setups about TorchServe's own addresses, HTTP's edges and sizes, or a model without a handler."""
FATAL = ("gone", "os_exit", "segfault", "terminated", "interrupted")
"""Requests that end the process at once."""
TOO_LARGE = 413
PARTS = {"returned:result_48": b"ab", "returned:result_57": b"x"}
"""Iterators, which AWS's stack refuses and Ray Serve streams."""
OTHERWISE = (
    *("asked:asked_58", "asked:asked_59", "asked:asked_61"),  # threads and flags of the process
    *("seen:upper_case", "seen:several_accepts", "seen:a_header_named_body", "context_args__lowercase_attr"),
    *("seen:trailers", "context_args__huge_header_9000", "output_types__big"),
)
"""What a process is, how the names of headers are spelled, HTTP's edges and sizes."""


def is_asked(case: Case) -> bool:
    """Whether it is about what an adapter is for."""
    setup = case.setup.name
    return (
        setup not in ELSEWHERE
        and not setup.startswith(("fail_", "timeout_"))
        and case.method == "POST"
        and case.path.partition("?")[0] == "/invocations"
        and case.status not in (None, TOO_LARGE)
        and not case.name.endswith(FATAL)
        and case.name not in OTHERWISE
    )


CASES = [case for case in cases() if is_asked(case)]

CONFIG = """\
environments:
  production:
    model_name: news
    aws_role: role
    instance_type: ml.g4dn.xlarge
    model_data_path: file://model.tar.gz
    artifacts: [weights.txt]
    serving: ray
    ray: {num_replicas: 2, num_gpus: 0.5}
"""
HANDLER = """\
import asyncio, json, os, time

def model_fn(model_dir):
    print("model_fn was given", model_dir, flush=True)
    return open(os.path.join(model_dir, "weights.txt")).read()

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(asked, model):
    return globals()[asked](model)

def output_fn(answer, accept, context):
    context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", str(given(context)))
    context.set_response_header(0, "X-Own", "1")
    return answer if hasattr(answer, "__next__") else (json.dumps(answer), accept)

def given(context):
    return context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")

def facts(model):
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {"model": model, "pid": os.getpid(), "gpu": gpu, "cwd": os.getcwd()}

def loop(model):
    return asyncio.run(asyncio.sleep(0, "a loop of its own"))

def slow(model):
    begun = time.time()
    time.sleep(0.3)
    return [os.getpid(), begun, time.time()]

def parts(model):
    yield "one"
    while not os.path.exists("go"):
        time.sleep(0.01)
    yield "two"

def broken(model):
    yield "one"
    raise ValueError("in the middle")

def end(model):
    raise SystemExit(3)
"""
BROKEN = """\
def model_fn(model_dir):
    raise RuntimeError("the weights are not there")
"""


@pytest.fixture(scope="module")
def image(ray_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The image, over what `hotfire pack` writes."""
    folder = tmp_path_factory.mktemp("news")
    (folder / "config.yml").write_text(CONFIG)
    (folder / "serve.py").write_text(HANDLER)
    (folder / "weights.txt").write_text("learned")
    pack = [sys.executable, "-m", "hotfire", "pack", "--env", "production"]
    done = subprocess.run(pack, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    with tarfile.open(folder / "model.tar.gz") as archive:
        archive.extractall(folder / "model", filter="data")
    started = run_path(str(Path(__file__).parent / "ray_serve" / "image.py"))["Image"]
    with closing(started(ray_python, folder / "model", {"SAGEMAKER_PROGRAM": "serve.py"})) as image:
        yield image


@dataclass
class Corpus:
    """The application that is one setup after another."""

    image: Any
    folder: Path
    port: int
    now: Setup | None = None

    def become(self, setup: Setup) -> None:
        """Serve this one from now on."""
        if setup is self.now:
            return
        self.now = setup
        model = self.folder / setup.name / "model"
        files = {entry.place: entry.source.read_bytes() for entry in program()}
        for place, content in {**files, "config.yaml": b"", **setup.files}.items():
            file = model / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if setup.name == "cwd_and_files":
            # What this handler names by its place in the container lies elsewhere here.
            handler = model / "code" / "inference.py"
            handler.write_text(handler.read_text().replace("/opt/ml/model", str(model)))
        told = json.dumps({"model_dir": str(model), "environment": dict(setup.environment)}).encode()
        address = f"http://127.0.0.1:{self.image.serve_port}{CORPUS}/become"
        urllib.request.urlopen(urllib.request.Request(address, told), timeout=60).close()


@pytest.fixture(scope="module")
def corpus(image: Any, deployed: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The application that has the recorded setups, and a server before it as the image has it."""
    assert deployed["corpus"]["status"] == "RUNNING", deployed
    return Corpus(image, tmp_path_factory.mktemp("setups"), image.proxy(CORPUS))


@pytest.fixture(scope="module")
def deployed(image: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of the applications that are deployed beside the image's own, at paths of their names."""
    many = {"name": "corpus", "route_prefix": CORPUS, "import_path": "many:app"}
    quick = {"name": ray_settings.DEPLOYMENT, "health_check_period_s": 0.2}
    folder = tmp_path_factory.mktemp("models")
    others = [model("ending", HANDLER, quick, folder), model("broken", BROKEN, quick, folder)]
    states: dict[str, Any] = image.deploy([many, *others], ["corpus", "ending", "broken"])
    return states


def model(name: str, handler: str, options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """An application of Serve's that has this handler."""
    inside = folder / name / "code"
    inside.mkdir(parents=True)
    (inside / "serve.py").write_text(handler)
    (inside.parent / "weights.txt").write_text(name)
    args = {"model_dir": str(inside.parent), "environment": {"SAGEMAKER_PROGRAM": "serve.py"}}
    return ray_settings.application(options, name=name, route_prefix=f"/{name}", args=args)


@dataclass(frozen=True)
class Told:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


def ask(port: int, what: str, path: str = "/invocations", **headers: str) -> Told:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        answer = asked(connection, what, path, **headers)
        return Told(answer.status, {name.lower(): one for name, one in answer.getheaders()}, answer.read())


def asked(connection: HTTPConnection, what: str, path: str, **headers: str) -> HTTPResponse:
    """An answer that is on its way."""
    sent = {"Content-Type": "application/json", "Accept": "application/json"}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, json.dumps(what), sent | more)
    return connection.getresponse()


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_packed_serves_in_the_image(image: Any) -> None:
    told = ask(image.port, "facts", X_Amzn_SageMaker_Custom_Attributes="trace=1", X_Mine="1")
    assert (told.status, told.headers["content-type"]) == (200, "application/json")
    assert told.headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert "x-own" not in told.headers
    assert told.value["model"] == "learned"
    assert Path(told.value["cwd"]).name == "model"


def test_the_image_is_well(image: Any) -> None:
    with closing(HTTPConnection("127.0.0.1", image.port, timeout=60)) as connection:
        connection.request("GET", "/ping")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")


def test_replicas_share_a_gpu_as_the_settings_say(image: Any) -> None:
    seen: dict[int, str] = {}

    def both() -> bool:
        told = ask(image.port, "facts").value
        seen[told["pid"]] = told["gpu"]
        return len(seen) == 2

    until(both)
    assert set(seen.values()) == {"0"}


def test_what_a_handler_prints_is_in_the_log(image: Any) -> None:
    until(lambda: "model_fn was given" in image.printed())


def test_a_handler_may_run_an_event_loop(image: Any) -> None:
    assert ask(image.port, "loop").value == "a loop of its own"


def test_a_replica_answers_one_request_at_a_time(image: Any) -> None:
    with ThreadPoolExecutor(6) as pool:
        told = [one.value for one in pool.map(lambda _: ask(image.port, "slow"), range(6))]
    for pid in {pid for pid, _, _ in told}:
        turns = sorted((begun, ended) for which, begun, ended in told if which == pid)
        assert all(ended <= begun for (_, ended), (begun, _) in pairwise(turns))


def test_parts_are_sent_as_they_come(image: Any) -> None:
    go = Path(ask(image.port, "facts").value["cwd"]) / "go"
    with closing(HTTPConnection("127.0.0.1", image.serve_port, timeout=60)) as connection:
        answer = asked(connection, "parts", "/")
        assert answer.read1() == b"one"
        go.touch()
        assert answer.read() == b"two"
    # Before the next request of that replica is begun.
    assert {ask(image.port, "facts").status for _ in range(4)} == {200}


def test_the_server_of_the_image_sends_the_parts_at_once(image: Any) -> None:
    (Path(ask(image.port, "facts").value["cwd"]) / "go").touch()
    assert ask(image.port, "parts").body == b"onetwo"


def test_a_client_that_leaves_in_the_middle_holds_nobody_up(image: Any) -> None:
    go = Path(ask(image.port, "facts").value["cwd"]) / "go"
    go.unlink(missing_ok=True)
    with closing(HTTPConnection("127.0.0.1", image.serve_port, timeout=60)) as connection:
        assert asked(connection, "parts", "/").read1() == b"one"
    go.touch()
    assert {ask(image.port, "facts").status for _ in range(4)} == {200}


def test_an_answer_that_fails_in_the_middle_has_no_end(image: Any) -> None:
    with closing(HTTPConnection("127.0.0.1", image.serve_port, timeout=60)) as connection:
        answer = asked(connection, "broken", "/")
        assert answer.read1() == b"one"
        with pytest.raises((HTTPException, ConnectionError)):
            answer.read()
    until(lambda: "ValueError: in the middle" in image.printed())


def test_a_replica_whose_handler_ends_it_is_replaced(image: Any, deployed: Mapping[str, Any]) -> None:
    assert deployed["ending"]["status"] == "RUNNING", deployed
    first = ask(image.serve_port, "facts", "/ending").value["pid"]
    told = ask(image.serve_port, "end", "/ending")
    assert (told.status, told.value["message"]) == (500, "Worker died.")

    def replaced() -> bool:
        told = ask(image.serve_port, "facts", "/ending")
        return told.status == 200 and told.value["pid"] != first

    until(replaced)


def test_a_handler_that_cannot_load_says_so(image: Any, deployed: Mapping[str, Any]) -> None:
    told = deployed["broken"]
    assert told["status"] == "DEPLOY_FAILED"
    assert "RuntimeError: the weights are not there" in told["message"]
    assert 'serve.py", line 2, in model_fn' in told["message"]
    assert ask(image.serve_port, "facts", "/broken").status == 503
    until(lambda: "RuntimeError: the weights are not there" in image.printed())


def told(case: Case, body: bytes) -> bytes:
    """A body that tells what a handler saw, without what is Ray Serve's affair.

    It has the names of all headers in small letters, and lies beside the adapter.
    """
    if case.setup.name not in ("context_args", "cwd_and_files", "forms", "seen") or not body.startswith(b"{"):
        return body
    answer = json.loads(body)
    for key in ("headers", "hdrs"):
        if key in answer:
            answer[key] = {name.lower(): value for name, value in answer[key].items()}
    for key in ("ls", "code_ls"):
        if key in answer:
            answer[key] = [name for name in answer[key] if name not in ("config.yaml", "hotfire_worker")]
    return json.dumps(answer).encode()


def passes_the_proxy(case: Case) -> bool:
    """Whether a handler is told all of it: there is no query, and no header but those that are passed on."""
    names = [
        line.partition(b":")[0].lower() for line in case.sent.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    ]
    others = set(names) - {b"host", b"content-length", b"content-type", b"accept"}
    return (
        case.setup.name not in ("context_args", "forms", "seen")
        and case.path == "/invocations"
        and names.count(b"content-type") == names.count(b"accept") == 1
        and b" \r\n" not in case.sent  # which httpx refuses to pass on
        and not [name for name in others if not name.startswith(b"x-amzn-sagemaker-")]
    )


def from_the_proxy(case: Case) -> str:
    """The content type that an answer has there: there always is one, and text has a charset."""
    head = case.sent.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    asked = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}
    given = case.headers.get("content-type", asked["accept"])
    return f"{given}; charset=utf-8" if given.startswith("text/") and "charset=" not in given else given


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_as_aws_does(case: Case, corpus: Corpus) -> None:
    corpus.become(case.setup)
    adapter = send(corpus.image.serve_port, replace(case, sent=at(CORPUS, case)))
    check(case, case.headers.get("content-type"), *adapter)
    own = [name for name in case.headers if name.startswith("x-") and name != "x-request-id"]
    assert {name: adapter[1].get(name) for name in own} == {name: case.headers[name] for name in own}
    if passes_the_proxy(case):
        image = send(corpus.port, case)
        check(case, from_the_proxy(case), *image)
        own = [name for name in own if name.startswith("x-amzn-sagemaker-")]
        assert {name: image[1].get(name) for name in own} == {name: case.headers[name] for name in own}


def at(prefix: str, case: Case) -> bytes:
    """The request at Ray Serve's own port."""
    return case.sent.replace(b"/invocations", f"{prefix}/".encode(), 1)


def check(case: Case, content_type: str | None, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Hold one answer against the recorded one."""
    if case.name in PARTS:
        assert (status, body) == (200, PARTS[case.name])
    elif case.hotfire is not None:
        assert status == case.hotfire["status"]
    else:
        assert (status, headers.get("content-type")) == (case.status, content_type)
        recorded = replace(case, body=told(case, case.body))
        assert is_same(recorded, told(case, body)), (body, case.body)
