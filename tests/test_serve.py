"""`hotfire serve`: one model, without a region, in a process of its own."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

ECHO = """\
import json, os, time
def model_fn(model_dir): return os.environ.get("SAGEMAKER_TEST", "")
def input_fn(body, content_type): return json.loads(body)
def predict_fn(data, model):
    if data == "slow":
        print("slow begins", flush=True)
        time.sleep(1)
    return [data, model]
def output_fn(prediction, accept): return json.dumps(prediction)
"""


PARTS = """\
import json, os, time
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept, context):
    wanted = json.loads(body)
    if wanted == "whole":
        return "whole"
    if wanted == "nothing":
        context.set_response_status(204)
    def parts():
        try:
            yield "one "
            while wanted["flag"] and not os.path.exists(wanted["flag"]): time.sleep(0.005)
            if wanted.get("fails"): raise ValueError("in the middle")
            yield "two"
        finally:
            print("closed", flush=True)
    return parts()
"""


@contextmanager
def serving(model: Path, *arguments: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The server's address, from the line on which it says that it serves."""
    environment = {**os.environ, "SAGEMAKER_MODEL_SERVER_WORKERS": "1", **variables}
    with subprocess.Popen(
        [sys.executable, "-m", "hotfire", "serve", str(model), "--port", "0", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "http://" in line:
                    yield line.split("at ")[-1].strip().removesuffix("/invocations"), process
                    return
            raise AssertionError("it ended without a word")
        finally:
            process.terminate()


def post(url: str, value: object) -> tuple[int, bytes]:
    request = urllib.request.Request(
        f"{url}/invocations", json.dumps(value).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "a model"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "inference.py").write_text(ECHO)
    return folder


def test_a_folder_is_served_with_the_variables_of_the_process(model: Path) -> None:
    with serving(model, SAGEMAKER_TEST="here") as (url, _):
        assert urllib.request.urlopen(f"{url}/ping", timeout=10).status == 200
        assert post(url, [1]) == (200, b'[[1], "here"]')


def test_an_archive_is_served(model: Path, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(model / "code" / "inference.py", "code/inference.py")
    with serving(archive) as (url, _):
        assert post(url, "x") == (200, b'["x", ""]')


def test_a_handler_called_serve_is_found(model: Path) -> None:
    (model / "code" / "inference.py").rename(model / "code" / "serve.py")
    with serving(model) as (url, _):
        assert post(url, 1) == (200, b'[1, ""]')


def test_what_the_handler_prints_is_printed(model: Path) -> None:
    with serving(model) as (url, process):
        post(url, "slow")
        assert process.stdout is not None
        assert process.stdout.readline() == "slow begins\n"


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A place for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing(model: Path, temporary: Path, number: signal.Signals) -> None:
    with serving(model, TMPDIR=str(temporary)) as (_, process):
        process.send_signal(number)
        assert process.wait(10) == 0
    assert list(temporary.iterdir()) == []


def test_a_signal_leaves_nothing_of_what_is_being_unpacked(model: Path, temporary: Path) -> None:
    (model / "weights").write_bytes(bytes(64 << 20))
    archive = model.parent / "model.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(model, ".")
    command = [sys.executable, "-m", "hotfire", "serve", str(archive), "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(temporary.glob("*/unpacked")):
            continue
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) >= 0
    assert list(temporary.iterdir()) == []


def test_what_is_to_be_ignored_does_not_end_it(model: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with serving(model) as (url, process):
            process.send_signal(signal.SIGHUP)
            assert post(url, 1) == (200, b'[1, ""]')
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_a_killed_server_left_is_cleared_up_by_the_next(model: Path, temporary: Path) -> None:
    variables = {"TMPDIR": str(temporary)}
    with serving(model, **variables) as (_, killed):
        killed.kill()
    (left,) = temporary.iterdir()
    with serving(model, **variables) as (url, _):
        (other,) = temporary.iterdir()
        assert other != left
        with serving(model, **variables):
            assert len(list(temporary.iterdir())) == 2
        assert post(url, 1) == (200, b'[1, ""]')


def test_sigterm_answers_what_is_in_hand_and_ends_all(model: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with serving(model) as (url, process), ThreadPoolExecutor() as pool:
        family = psutil.Process(process.pid).children(recursive=True)
        answer = pool.submit(post, url, "slow")
        assert process.stdout is not None
        assert process.stdout.readline() == "slow begins\n"
        process.send_signal(signal.SIGTERM)
        assert answer.result(10) == (200, b'["slow", ""]')
        assert process.wait(10) == 0
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []


def test_a_port_in_use_is_one_line(model: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "hotfire", "serve", str(model), "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"port {port} is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hotfire", "serve", str(tmp_path / "absent")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "absent" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_handler_that_cannot_load_is_told_to_every_request(model: Path) -> None:
    (model / "code" / "inference.py").write_text(
        "def model_fn(model_dir): raise ValueError('no such weights')\n"
    )
    environment = {**os.environ, "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "hotfire", "serve", str(model), "--port", str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "Every request is told so" in line:
                    break
            status, body = post(f"http://127.0.0.1:{port}", 1)
            assert status == 500
            assert b"no such weights" in body
            assert b"Traceback" in body
        finally:
            process.terminate()


@pytest.fixture
def parts(model: Path) -> Path:
    """A model that answers in parts."""
    (model / "code" / "inference.py").write_text(PARTS)
    return model


@contextmanager
def begin(url: str, value: object) -> Iterator[http.client.HTTPResponse]:
    """Send a request, and read no more than the answer's head; leave in the end."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    with closing(connection):
        connection.request("POST", "/invocations", json.dumps(value), {"Content-Type": "application/json"})
        yield connection.getresponse()


def test_parts_are_sent_in_chunks_as_they_come(parts: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with serving(parts, "--stream") as (url, _), begin(url, {"flag": str(flag)}) as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.headers["content-type"] == "application/json"
        assert answer.read1() == b"one "
        flag.touch()
        assert answer.read() == b"two"


def test_a_whole_answer_has_its_length(parts: Path) -> None:
    with serving(parts, "--stream") as (url, _), begin(url, "whole") as answer:
        assert (answer.headers["content-length"], answer.read()) == ("5", b"whole")


def test_an_answer_that_breaks_off_has_no_end(parts: Path) -> None:
    with serving(parts, "--stream") as (url, process), begin(url, {"flag": "", "fails": 1}) as answer:
        with pytest.raises(http.client.IncompleteRead) as caught:
            answer.read()
        assert caught.value.partial == b"one "
        assert process.stdout is not None
        assert process.stdout.readline() == "closed\n"
        assert process.stdout.readline() == "Traceback (most recent call last):\n"


def test_an_answer_without_a_body_has_no_parts(parts: Path) -> None:
    with serving(parts, "--stream") as (url, _), begin(url, "nothing") as answer:
        assert (answer.status, answer.read()) == (204, b"")


def test_who_leaves_in_the_middle_closes_the_generator(parts: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with serving(parts, "--stream") as (url, process):
        with begin(url, {"flag": str(flag)}) as answer:
            assert answer.read1() == b"one "
        flag.touch()
        assert process.stdout is not None
        assert process.stdout.readline() == "closed\n"


def test_nothing_streams_that_was_not_to(parts: Path) -> None:
    with serving(parts) as (url, _):
        status, body = post(url, {"flag": ""})
    assert status == 503
    assert b"Unsupported model output data type." in body
