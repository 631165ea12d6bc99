"""The same requests to several environments: two of this machine, a bare container, and one that is down."""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine, Project

CLASSIFIER = """\
import io, json
import numpy as np

def model_fn(model_dir):
    return {"sport": 0.9, "world": 0.1, "nothing": float("nan")}

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    if data == "unknown":
        raise ValueError("no such word")
    return model

def output_fn(prediction, accept):
    if accept == "application/x-npy":
        file = io.BytesIO()
        np.save(file, np.array(list(prediction.values()), "f4"))
        return file.getvalue(), accept
    return json.dumps(prediction)
"""
EXAMPLES = {
    "array": {"body": '"word"', "accept": "application/x-npy"},
    "unknown": {"body": '"unknown"'},
    "word": {"body": '"word"'},
}


@pytest.fixture(scope="module")
def classifier(
    machine: Machine, new_project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A classifier; its candidate, which has learnt more; and one that nobody has deployed."""
    project = new_project(tmp_path_factory.mktemp("classifier"), f"words-{secrets.token_hex(3)}")
    project.write("serve.py", CLASSIFIER)
    # The same but for the numbers, the order of the members and a message.
    better = CLASSIFIER.replace('"sport": 0.9, "world": 0.1', '"world": 0.3, "sport": 0.7')
    project.write("better.py", better.replace("no such word", "unheard of"))
    project.write("close.py", CLASSIFIER.replace("0.9", "0.90001"))
    environments = {
        "local": {"model_name": project.name, "entry_point": "serve.py"},
        **{
            name: {
                "model_name": f"{project.name}-{name}",
                "entry_point": f"{name}.py",
                "instance_type": "local",
            }
            for name in ("better", "close")
        },
        "idea": {"model_name": f"{project.name}-idea", "instance_type": "local"},
    }
    project.write("config.yml", json.dumps({"environments": environments}))
    for name in ("local", "better", "close"):
        done = project.hotfire("deploy", "--env", name)
        assert done.returncode == 0, done.stderr
    for name, request in EXAMPLES.items():
        project.write(f"examples/{name}.json", json.dumps({"request": request}))
    yield project
    for name in ("local", "better", "close"):
        project.hotfire("delete", "--yes", "--env", name)


@pytest.fixture
def container(machine: Machine, classifier: Project) -> Iterator[str]:
    """The port at which `hotfire serve` serves what `hotfire pack` has packed."""
    assert classifier.hotfire("pack").returncode == 0
    archive = str(classifier.folder / "build" / "model.tar.gz")
    command = [sys.executable, "-m", "hotfire", "serve", archive, "--port", "0"]
    with machine.started(command, SAGEMAKER_PROGRAM="serve.py") as serving:
        assert serving.stdout is not None
        lines = (re.search(r"at (http://[\d.:]+)/invocations", line) for line in serving.stdout)
        try:
            yield next(line[1] for line in lines if line)
        finally:
            serving.terminate()


def shown(classifier: Project, *arguments: str) -> tuple[int, str, str]:
    """What is printed, without the times."""
    done = classifier.hotfire("parity", *arguments)
    return done.returncode, re.sub(r" +[\d.]+ m?s\b", " TIME", done.stdout), done.stderr


def test_a_version_that_answers_alike(classifier: Project) -> None:
    code, out, _ = shown(classifier, "local", "close")
    assert (code, out.splitlines()[-1]) == (0, "3 of 3 examples are answered alike.")
    code, out, _ = shown(classifier, "local", "close", "--tolerance", "0", "--example", "word")
    assert code == 1
    assert "sport: local 0.9, close 0.90001 (+1e-05)" in out


def test_a_version_that_answers_otherwise(classifier: Project) -> None:
    code, out, _ = shown(classifier, "local", "better")
    assert code == 1
    assert [line.strip() for line in out.splitlines()[1:]] == [
        "✗ array    200 TIME  200 TIME",
        "[0]: local 0.9, better 0.3 (-0.6)",
        "[1]: local 0.1, better 0.7 (+0.6)",
        "✗ unknown  500 TIME  500 TIME",
        'the answer: local "no such word", better "unheard of"',
        "✗ word     200 TIME  200 TIME",
        "sport: local 0.9, better 0.7 (-0.2)",
        "world: local 0.1, better 0.3 (+0.2)",
        "0 of 3 examples are answered alike.",
    ]


def test_an_endpoint_and_a_bare_container_of_the_same_model_answer_alike(
    classifier: Project, container: str
) -> None:
    told = classifier.told("parity", "local", container)
    assert told["passed"] is True
    (word,) = [one for one in told["examples"] if one["name"] == "word"]
    assert word["answers"][container]["body"] == {"sport": 0.9, "world": 0.1, "nothing": "nan"}
    assert [one["seconds"] > 0 for one in word["answers"].values()] == [True, True]


def test_a_side_that_is_down_is_told_and_the_rest_compared(classifier: Project, container: str) -> None:
    code, out, err = shown(classifier, "local", "idea", container)
    assert (code, out.splitlines()[-1]) == (1, "3 of 3 examples are answered alike.")
    assert err == (
        f"Error: idea cannot be reached: {classifier.name}-idea is not deployed\n"
        "  → `hotfire deploy --env idea` deploys it.\n"
    )


def test_where_nothing_answers_at_a_port(classifier: Project, container: str) -> None:
    from socket import create_server

    with create_server(("127.0.0.1", 0)) as listener:
        free = f"http://127.0.0.1:{listener.getsockname()[1]}"
    code, out, err = shown(classifier, free, "local")
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {free} cannot be reached: nothing listens there\n")


def test_an_endpoint_here_and_one_at_aws(project: Project, aws: Any) -> None:
    production = {
        "model_name": "words",
        "aws_role": "news",
        "instance_type": "ml.m5.large",
        "endpoint_url": aws.url,
        "region": "eu-west-1",
        "model_data_path": "s3://words-models/model.tar.gz",
    }
    environments = {"local": {"model_name": project.name}, "production": production}
    project.write("config.yml", json.dumps({"environments": environments}))
    project.deploy()
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    deployed = project.hotfire("deploy", "--env", "production", "--yes", **keys)
    assert deployed.returncode == 0, deployed.stderr
    project.write("examples/one.json", '{"request": {"body": [1]}}')
    done = project.hotfire("parity", "production", "local", **keys)
    # The imitation answers everything with the same word, of the same type.
    assert re.sub(r" +[\d.]+ m?s\b", " TIME", done.stdout).splitlines()[1:] == [
        "  ✗ one  200 TIME  200 TIME",
        '      content type: production "content_type", local "application/json"',
        '      the answer: production "body", local {"answer": 1, "data": [1]}',
        "0 of 1 examples are answered alike.",
    ]
    without = project.hotfire("parity", "production", "local")
    assert without.returncode == 1
    assert "Error: production cannot be reached: " in without.stderr
    assert "there are no AWS credentials for the environment 'production'" in without.stderr


def test_a_region_that_is_down(
    machines: Callable[[], Machine], new_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = new_project(tmp_path, of=machines())
    project.write("examples/one.json", '{"request": {"body": [1]}}')
    code, _, err = shown(project, "local", "http://127.0.0.1:1")
    assert code == 1
    assert (
        "Error: local cannot be reached: the local region is not running\n  → Start it: `hotfire up`." in err
    )
