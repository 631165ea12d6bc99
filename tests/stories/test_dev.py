"""Somebody works on a handler with `hotfire dev` beside the editor."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Dev

SECONDS = 30.0

HANDLER = """\
import json

def model_fn(model_dir):
    print("loaded the model", flush=True)
    return 1

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    return {"version": 1, "data": data}

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
EXAMPLE = {"request": {"body": [1]}, "expect": {"status": 200, "value": {"version": 1, "data": [1]}}}


def until(get: Callable[[], str], is_there: Callable[[str], bool]) -> str:
    """What is got when it is there."""
    deadline = time.monotonic() + SECONDS
    while not is_there(got := get()):
        assert time.monotonic() < deadline, got
    return got


@pytest.fixture
def written(project: Any) -> Any:
    """The project with a handler that says when it loads, and one example."""
    project.write("serve.py", HANDLER)
    project.write("examples/one.json", json.dumps(EXAMPLE))
    return project


@pytest.fixture
def dev(written: Any) -> Iterator[Dev]:
    with closing(written.dev()) as dev:
        yield dev


def test_a_save_is_verified_and_the_model_kept(written: Any, dev: Dev) -> None:
    dev.until("✓", "one")
    written.edit('"data": data}', '"data": data[::-1]}')
    dev.until("kept the model: only predict_fn changed")
    dev.until("✓", "one")
    assert written.ask("[1, 2]") == {"version": 1, "data": [2, 1]}
    assert sum("loaded the model" in line for line in dev.said) == 1


def test_a_changed_answer_is_shown_field_by_field(written: Any, dev: Dev) -> None:
    written.edit('"version": 1', '"version": 2')
    dev.until("kept the model")
    dev.until("one")
    assert "version" in dev.until("1", "2")


def test_what_model_fn_reads_is_loaded_anew(written: Any, dev: Dev) -> None:
    written.edit("return 1", "return 2")
    dev.until("loaded the model")
    dev.until("full reload", "model_fn")


def test_a_broken_save_is_what_clients_are_told_until_it_is_mended(written: Any, dev: Dev) -> None:
    written.edit("def predict_fn(data, model):", "def predict_fn(data, model)")
    dev.until("SyntaxError: expected ':'")
    asked = written.hotfire("invoke", "-d", "[1]")
    assert asked.returncode == 1
    assert "expected ':'" in asked.stderr
    written.edit("def predict_fn(data, model)", "def predict_fn(data, model):")
    dev.until("✓", "one")
    assert written.ask() == {"version": 1, "data": [1]}


def test_an_example_that_is_saved_is_tried(written: Any, dev: Dev) -> None:
    written.write("examples/two.json", json.dumps({"request": {"body": [2]}, "expect": {"status": 200}}))
    dev.until("✓", "two")


def test_its_page_offers_the_examples(written: Any, dev: Dev) -> None:
    address = next(line for line in dev.said if "/e/" in line).split(" at ")[1]
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    page = until(lambda: opener.open(address).read().decode(), lambda page: "one" in page)
    assert "[1]" in page


def test_a_burst_of_saves_is_one(written: Any, dev: Dev) -> None:
    for number in range(500):
        written.write(f"package/module_{number}.py", f"VALUE = {number}\n")
    written.edit("import json\n", "import json\n\nfrom package.module_499 import VALUE\n")
    written.edit('"version": 1', '"version": VALUE')
    while written.ask("[1]")["version"] != 499:
        pass
    dev.until("499")
    reloads = [line for line in dev.said if "full reload" in line]
    assert len(reloads) <= 3


def test_a_file_that_replaces_another_is_seen(written: Any, dev: Dev) -> None:
    new = written.write("serve.py.new", HANDLER.replace('"version": 1', '"version": 3'))
    new.replace(written.handler)
    dev.until("kept the model")
    assert written.ask()["version"] == 3


def test_a_link_that_is_turned_to_another_folder_is_seen(written: Any) -> None:
    reads = "open(model_dir + '/version.txt').read()"
    written.write(
        "serve.py", HANDLER.replace("return 1", f"return {reads}").replace('"version": 1', '"version": model')
    )
    for name in ("first", "second"):
        written.write(f"experiments/{name}/version.txt", name)
    latest = written.folder / "experiments" / "latest"
    latest.symlink_to("first")
    written.configure(model_name=written.name, artifacts=["experiments/latest"])
    with closing(written.dev()) as dev:
        assert written.ask()["version"] == "first"
        turned = latest.with_name("turned")
        turned.symlink_to("second")
        turned.replace(latest)
        dev.until("full reload", "version.txt")
        assert written.ask()["version"] == "second"


def test_what_the_handler_writes_into_the_project_does_not_go_on_for_ever(written: Any) -> None:
    line = f"    open({str(written.folder / 'seen.txt')!r}, 'a').write('x')\n"
    written.configure(model_name=written.name, source_dir=".")
    written.write("seen.txt", "")
    written.write(
        "serve.py", HANDLER.replace("def predict_fn(data, model):\n", f"def predict_fn(data, model):\n{line}")
    )
    with closing(written.dev()) as dev:
        dev.until("seen.txt is written by the handler itself")
        written.edit('"version": 1', '"version": 2')
        dev.until("kept the model")


def test_no_request_fails_and_each_answer_is_of_the_version_then_live(written: Any, dev: Dev) -> None:
    live, saved, done = [1], [1], threading.Event()

    def ask(client: Any) -> list[tuple[int, int, int]]:
        answers = []
        while not done.is_set():
            before = live[0]
            answer = client.invoke_endpoint(EndpointName=written.name, Body=b"[1]")
            version = json.loads(answer["Body"].read())["version"]
            answers.append((before, version, saved[0]))
        return answers

    with written.machine.client("sagemaker-runtime") as client, ThreadPoolExecutor(8) as clients:
        asking = [clients.submit(ask, client) for _ in range(8)]
        try:
            for version in range(2, 22):
                saved[0] = version
                # Every third is a new load of the model; what it returns is not used.
                model = 1 + version // 3
                source = HANDLER.replace('"version": 1', f'"version": {version}').replace(
                    "return 1", f"return {model}"
                )
                written.write("serve.py", source)
                dev.until("kept the model" if version // 3 == (version - 1) // 3 else "full reload")
                live[0] = version
        finally:
            done.set()
        answers = [answer for future in asking for answer in future.result()]
    assert len(answers) > 100
    assert [answer for answer in answers if not answer[0] <= answer[1] <= answer[2]] == []


def test_what_is_deployed_answers_again_afterwards(written: Any) -> None:
    written.deploy()
    with closing(written.dev()) as dev:
        written.edit('"version": 1', '"version": 2')
        dev.until("kept the model")
        assert written.ask()["version"] == 2
        refused = written.hotfire("deploy")
        assert refused.returncode == 1
        assert "hotfire dev" in refused.stderr
        assert written.told("status")["developer"] == dev.pid
        assert f"`hotfire dev` (process {dev.pid}) answers" in written.hotfire("status").stdout
        dev.end()
    while written.ask()["version"] == 2:
        pass
    assert written.ask()["version"] == 1
    assert written.told("status")["developer"] is None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_of_it_is_left(written: Any, how: int) -> None:
    with closing(written.dev()) as dev:
        dev.end(how)
    while written.told("status")["state"] is not None:
        pass


def test_two_cannot_serve_one_endpoint(written: Any, dev: Dev) -> None:
    second = written.hotfire("dev")
    assert second.returncode == 1
    assert "serves the endpoint" in second.stderr


def test_without_keeping_weights_every_save_is_a_load(written: Any) -> None:
    with closing(written.dev("--no-keep-weights")) as dev:
        written.edit('"version": 1', '"version": 2')
        dev.until("full reload, as --no-keep-weights says")


def test_off_a_terminal_there_are_no_escape_codes(written: Any, dev: Dev) -> None:
    written.edit('"version": 1', '"version": 2')
    dev.until("kept the model")
    assert not any("\x1b" in line for line in dev.said)


def test_an_example_that_fails_is_told_by_the_users_own_line(written: Any, dev: Dev) -> None:
    written.edit('"data": data}', '"data": open("labels.txt").read()}')
    dev.until("✗", "one")
    dev.until("status 500, expected 200")
    dev.until("FileNotFoundError", "labels.txt")
    dev.until("serve.py:11 in predict_fn")
    dev.until("▸ 11 │", 'open("labels.txt")')
    dev.until("data", "= [1]")
    dev.until("sent: one · application/json", "3 bytes · [1]")
    dev.until("→ The handler runs in the model's folder", "labels.txt")
    dev.until("config.yml.")
    assert not any("Transform failed" in line or len(line) > 80 for line in dev.said[1:])


def test_a_clients_request_that_fails_is_told(written: Any, dev: Dev) -> None:
    written.write("body.txt", "not JSON")
    asked = written.hotfire("invoke", "-f", "body.txt", "--content-type", "application/json")
    assert asked.returncode == 1
    assert "JSONDecodeError" in asked.stderr + asked.stdout
    dev.until("a client's request failed")
    dev.until("JSONDecodeError")
    dev.until("serve.py:8 in input_fn")
    dev.until("sent: application/json", "8 bytes · not JSON")
    dev.until("→", "is not JSON at line 1")


def test_a_load_that_fails_is_told_by_the_users_own_line(written: Any, dev: Dev) -> None:
    written.edit("return 1", 'return open("weights.pt").read()')
    dev.until("✗", "full reload")
    dev.until("FileNotFoundError")
    dev.until("serve.py:5 in model_fn")
    dev.until("→", "weights.pt")
    assert not any("Traceback" in line for line in dev.said)


def test_a_model_in_training_mode_is_told(written: Any, dev: Dev) -> None:
    written.edit("return 1", "import torch; return torch.nn.Dropout()")
    dev.until("✓", "one")
    dev.until("!", "training mode")


def test_an_asynchronous_endpoint_is_developed_as_any_other(written: Any) -> None:
    """Its requests are queued, and answered by what lives when their turn comes, broken or not."""
    written.configure(
        model_name=written.name, **{"async": {"output": "file://out", "failure": "file://failed"}}
    )
    with closing(written.dev()) as dev:
        dev.until("✓", "one")
        assert written.ask() == {"version": 1, "data": [1]}
        dev.until("answered: file://")
        written.edit('"version": 1', '"version": 2')
        dev.until("kept the model")
        dev.until("one")
        assert written.ask() == {"version": 2, "data": [1]}
        written.edit("def predict_fn(data, model):", "def predict_fn(data, model)")
        dev.until("SyntaxError: expected ':'")
        asked = written.hotfire("invoke", "-d", "[1]")
        assert asked.returncode == 1
        assert "expected ':'" in asked.stderr
        dev.until("failed: Received server error (500)")
