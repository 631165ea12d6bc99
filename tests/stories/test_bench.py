"""Somebody asks how much an endpoint carries."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest


@pytest.fixture
def deployed(project: Any) -> Any:
    project.write("examples/one.json", json.dumps({"request": {"body": [1]}, "expect": {"status": 200}}))
    assert project.hotfire("deploy").returncode == 0
    return project


def test_a_load_is_measured_and_explained(deployed: Any) -> None:
    options = ["--connections", "1,4", "--duration", "500ms", "--rate", "50", "--latency", "1s"]
    done = deployed.hotfire("bench", *options, "--plot", "bench.html")
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "4 at once" in said
    assert "of memory at most" in said
    assert "For 50/s with p99 within 1.00 s:\n  1 × ml." in said
    assert "M/G/c" in said
    assert "<polyline" in (deployed.folder / "bench.html").read_text()


def test_the_numbers_are_there_for_programs(deployed: Any) -> None:
    done = deployed.hotfire("bench", "--connections", "2", "--duration", "500ms", "--examples", "--json")
    value = json.loads(done.stdout)
    (one,) = value["measurements"]
    assert (one["connections"], one["errors"], value["interrupted"]) == (2, {}, False)
    assert 0 < one["latency"]["p50"] <= one["latency"]["p99"] < 5
    assert one["throughput"] > 10
    assert all(worker["own"] <= worker["resident"] for worker in value["workers"])


def test_an_interrupt_shows_what_was_measured(deployed: Any) -> None:
    command = [sys.executable, "-m", "hotfire", "bench", "--connections", "1,2", "--duration", "1s", "--json"]
    with subprocess.Popen(
        command,
        cwd=deployed.folder,
        env=deployed.machine.environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            if "2 connections" in line:
                break
        process.send_signal(signal.SIGINT)
        value = json.loads(process.stdout.read())
        process.stderr.read()
    assert process.returncode == 130
    assert value["interrupted"]
    assert value["measurements"][0]["connections"] == 1


def test_what_is_not_deployed_has_no_load_put_on_it(project: Any) -> None:
    project.write("examples/one.json", json.dumps({"request": {"body": [1]}, "expect": {"status": 200}}))
    assert project.machine.hotfire("up").returncode == 0
    done = project.hotfire("bench")
    assert done.returncode == 1
    assert "is not deployed" in done.stderr


@pytest.mark.parametrize("option", [["--connections", "0"], ["--duration", "10"], ["--plot", "x.gif"]])
def test_an_option_that_makes_no_sense_is_refused(project: Any, option: list[str]) -> None:
    assert project.hotfire("bench", *option).returncode == 2
