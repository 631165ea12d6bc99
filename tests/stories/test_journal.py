"""What is left of requests: they outlive a killed region, within limits, and only where they may be kept."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from hotfire.address import RegionFile

if TYPE_CHECKING:
    from conftest import Machine, Project

HANDLER = """\
import json

def model_fn(model_dir):
    return 0

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    if data == "unlucky":
        raise ValueError("no luck")
    return len(data) + model

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
SECRET = "nobody-is-to-find-this"


@pytest.fixture(scope="module")
def words(
    machine: Machine, new_project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A model, one that answers otherwise, and one of whose requests nothing is to be recorded."""
    project = new_project(tmp_path_factory.mktemp("words"), "words")
    project.write("serve.py", HANDLER)
    project.write("other.py", HANDLER.replace("return 0", "return 1"))
    environments: dict[str, dict[str, Any]] = {
        "local": {"model_name": "words"},
        "other": {"model_name": "other", "entry_point": "other.py", "instance_type": "local"},
        "quiet": {"model_name": "quiet", "instance_type": "local", "journal": False},
    }
    project.write("config.yml", json.dumps({"environments": environments}))
    for name in environments:
        done = project.hotfire("deploy", "--env", name)
        assert done.returncode == 0, done.stderr
    yield project
    for name in environments:
        project.hotfire("delete", "--yes", "--env", name)


def send(machine: Machine, endpoint: str, *bodies: str) -> None:
    """Send requests by boto3, whatever comes of them."""
    with machine.client("sagemaker-runtime") as client:
        for body in bodies:
            try:
                client.invoke_endpoint(
                    EndpointName=endpoint, ContentType="application/json", Body=json.dumps(body)
                )
            except client.exceptions.ModelError:
                continue


def region(machine: Machine) -> RegionFile:
    file = RegionFile.read(machine.home)
    assert file is not None
    return file


def recorded(project: Project, number: int = 50) -> list[bool]:
    """Whether each of the last requests is answered alike by the two models."""
    done = project.hotfire("parity", "local", "other", "--journal", str(number), "--json")
    return [one["passed"] for one in json.loads(done.stdout)["examples"]]


def files_with(machine: Machine, text: str) -> set[str]:
    """Which of the region's files hold a text."""
    found = (path for path in machine.home.rglob("*") if path.is_file())
    return {path.name.removesuffix("-wal") for path in found if text.encode() in path.read_bytes()}


def test_requests_are_sent_again_after_their_region_was_killed(machine: Machine, words: Project) -> None:
    send(machine, "words", "one", "unlucky", "three")
    assert recorded(words, 2) == [True, False]
    os.kill(region(machine).pid, signal.SIGKILL)
    assert machine.hotfire("up").returncode == 0
    # All were written before; the sides' own requests, which change the order, may have been lost.
    assert sorted(recorded(words)) == [False, False, True]


def test_what_differs_is_shown_for_each_request(machine: Machine, words: Project) -> None:
    send(machine, "words", "seven")
    done = words.hotfire("parity", "local", "other", "--journal", "1")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[2].strip() == "the answer: local 5, other 6 (+1)"
    assert lines[-1] == "0 of 1 requests are answered alike."


def test_nothing_is_left_of_what_is_not_to_be_recorded(machine: Machine, words: Project) -> None:
    send(machine, "quiet", SECRET, "unlucky")
    done = words.hotfire("parity", "quiet", "other", "--journal", "5")
    assert done.returncode == 1
    assert "no request to quiet is recorded that could be sent again" in done.stderr
    assert files_with(machine, SECRET) == set()
    # A story that would find it, if it were there.
    send(machine, "words", SECRET)
    recorded(words, 1)
    assert files_with(machine, SECRET) == {"requests.sqlite"}


def test_a_scraper_reads_what_came(machine: Machine, words: Project) -> None:
    before = _requests_of_words(machine)
    send(machine, "words", "a", "unlucky")
    after = _requests_of_words(machine)
    assert (after[0] - before[0], after[1] - before[1]) == (2, 1)


def _requests_of_words(machine: Machine) -> tuple[float, float]:
    """How many there were, and how many of them failed."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(f"{region(machine).url}/metrics", timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    totals = {
        sample.name: sample.value
        for family in families
        for sample in family.samples
        if sample.labels.get("endpoint") == "words"
    }
    return totals.get("hotfire_requests_total", 0), totals.get("hotfire_request_errors_total", 0)


def test_a_region_keeps_as_many_as_its_user_says(machine: Machine, words: Project) -> None:
    machine.hotfire("down")
    assert machine.hotfire("up", HOTFIRE_JOURNAL_REQUESTS="4").returncode == 0
    send(machine, "words", *"abcdefgh")
    # The sides' own requests are recorded, too: each is asked four times.
    assert len(recorded(words)) == 4
    machine.hotfire("down")
    refused = machine.hotfire("up", HOTFIRE_JOURNAL_REQUESTS="many")
    assert refused.returncode == 1
    assert "HOTFIRE_JOURNAL_REQUESTS is 'many', which is no whole number" in refused.stderr
    assert machine.hotfire("up").returncode == 0
