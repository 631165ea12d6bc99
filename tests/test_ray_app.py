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
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPResponse
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
    return {"model": model, "pid": os.getpid(), "gpu": os.environ["CUDA_VISIBLE_DEVICES"], "cwd": os.getcwd()}

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
    """What became of the applications that are deployed beside the image's own."""
    many = {"name": "corpus", "route_prefix": CORPUS, "import_path": "many:app"}
    return image.deploy([many], ["corpus"])


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
    names = [line.partition(b":")[0].lower() for line in case.sent.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    others = set(names) - {b"host", b"content-length", b"content-type", b"accept"}
    return (
        case.setup.name not in ("context_args", "forms", "seen")
        and case.path == "/invocations"
        and names.count(b"content-type") == names.count(b"accept") == 1
        and not [name for name in others if not name.startswith(b"x-amzn-sagemaker-")]
    )


def from_the_proxy(case: Case) -> str:
    """The content type that an answer has there: there always is one, and text has a charset."""
    head = case.sent.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    asked = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}
    given = case.headers.get("content-type") or asked["accept"]
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
