"""A model that answers word by word: the words are at the client when the model has them."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from botocore.exceptions import EventStreamError

if TYPE_CHECKING:
    from conftest import Machine, Project

HANDLER = """\
import json, os, time

def model_fn(model_dir):
    return os.getpid()

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(wanted, model):
    return wanted

def output_fn(wanted, accept):
    if wanted == "whole":
        return "whole"
    return words(wanted)

def words(wanted):
    try:
        for number in range(wanted["count"]):
            if number == wanted.get("fails_at"):
                raise ValueError("no more words")
            if number == wanted.get("waits_at"):
                while not os.path.exists(wanted["flag"]): time.sleep(0.005)
            yield wanted.get("word", "word") * wanted.get("times", 1) + f" {os.getpid()} "
    finally:
        print("closed", flush=True)
"""


@pytest.fixture(scope="module")
def streamer(
    machine: Machine, new_project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    project = new_project(tmp_path_factory.mktemp("streamer"), f"streamer-{secrets.token_hex(3)}")
    project.configure(model_name=project.name, container_env={"SAGEMAKER_MODEL_SERVER_WORKERS": "2"})
    project.handler.write_text(HANDLER)
    project.deploy()
    yield project
    machine.hotfire("delete", "--yes", "--config", str(project.folder / "config.yml"))


@pytest.fixture(scope="module")
def runtime(machine: Machine, streamer: Project) -> Iterator[Any]:
    with machine.client("sagemaker-runtime", region_name="eu-west-1") as client:
        yield client


Begin = Callable[..., Any]


@pytest.fixture
def begin(runtime: Any, streamer: Project) -> Iterator[Begin]:
    """Asks for a stream; the answer's members. What is not read of it is dropped in the end."""
    begun: list[Any] = []

    def begin(wanted: object) -> Any:
        answer = runtime.invoke_endpoint_with_response_stream(
            EndpointName=streamer.name,
            Body=json.dumps(wanted),
            ContentType="application/json",
            Accept="text/plain",
        )
        begun.append(answer["Body"])
        return answer

    yield begin
    for body in begun:
        body.close()


def parts(answer: Any) -> Iterator[bytes]:
    for event in answer["Body"]:
        yield event["PayloadPart"]["Bytes"]


def log(project: Project) -> str:
    return project.hotfire("logs").stdout


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_words_come_as_the_model_makes_them(begin: Begin, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    answer = begin({"count": 3, "waits_at": 2, "flag": str(flag)})
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/plain", "AllTraffic")
    words = parts(answer)
    assert [next(words).split()[0] for _ in range(2)] == [b"word", b"word"]
    flag.touch()
    assert len(list(words)) == 1


def test_an_answer_that_is_whole_is_one_part(begin: Begin) -> None:
    assert list(parts(begin("whole"))) == [b"whole"]


def test_several_streams_go_side_by_side(begin: Begin, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    streams = [parts(begin({"count": 2, "waits_at": 1, "flag": str(flag)})) for _ in range(2)]
    workers = {next(stream).split()[1] for stream in streams}
    assert len(workers) == 2
    flag.touch()
    assert [len(list(stream)) for stream in streams] == [1, 1]


def test_more_streams_than_workers_wait_for_their_turn(begin: Begin) -> None:
    with ThreadPoolExecutor(6) as pool:
        counted = list(pool.map(lambda _: len(list(parts(begin({"count": 200})))), range(6)))
    assert counted == [200] * 6


def test_a_handler_that_fails_in_the_middle(begin: Begin, streamer: Project) -> None:
    words = parts(begin({"count": 3, "fails_at": 1}))
    next(words)
    with pytest.raises(EventStreamError) as caught:
        next(words)
    assert caught.value.response["Error"]["Code"] == "ModelStreamError"
    assert "ValueError: no more words" in log(streamer)


def test_a_handler_that_fails_at_once(begin: Begin, runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        begin({"count": 3, "fails_at": 0})
    assert caught.value.response["OriginalStatusCode"] == 500
    assert caught.value.response["OriginalMessage"].startswith("no more words\nTraceback")


def test_a_worker_that_is_killed_in_the_middle(begin: Begin, tmp_path: Path) -> None:
    words = parts(begin({"count": 3, "waits_at": 1, "flag": str(tmp_path / "never")}))
    os.kill(int(next(words).split()[1]), signal.SIGKILL)
    with pytest.raises(EventStreamError):
        next(words)
    assert list(parts(begin("whole"))) == [b"whole"]


def test_who_leaves_frees_the_worker(begin: Begin, streamer: Project) -> None:
    before = log(streamer).count("closed")
    for _ in range(4):  # more than there are workers
        answer = begin({"count": 10**9, "times": 1000})
        next(parts(answer))
        answer["Body"].close()
    assert list(parts(begin("whole"))) == [b"whole"]
    until(lambda: log(streamer).count("closed") == before + 4)


def test_who_does_not_read_costs_no_memory(begin: Begin, machine: Machine) -> None:
    region = psutil.Process(json.loads((machine.home / "region.json").read_text())["pid"])
    before = region.memory_info().rss
    answer = begin({"count": 10**9, "times": 1000})  # nobody reads it
    size = 0
    for part in parts(begin({"count": 1024, "times": 16 * 1024})):
        size += len(part)
    assert size > 64 * 1024 * 1024
    assert region.memory_info().rss - before < 32 * 1024 * 1024
    answer["Body"].close()


def test_the_command_shows_parts_as_they_come(streamer: Project) -> None:
    done = streamer.hotfire("invoke", "--stream", "-d", '{"count": 3}')
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[::2] == ["word"] * 3
    assert "3 parts" in done.stderr


def test_an_endpoint_that_is_asked_for_the_whole_answers_as_awss_does(
    runtime: Any, streamer: Project
) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(
            EndpointName=streamer.name, Body=b'{"count": 1}', ContentType="application/json"
        )
    assert caught.value.response["OriginalStatusCode"] == 503
    assert "only InvokeEndpointWithResponseStream takes it in parts" in log(streamer)


def test_an_endpoint_that_is_not_there(runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ValidationError, match="not found"):
        runtime.invoke_endpoint_with_response_stream(EndpointName="absent", Body=b"1")
