"""What is measured of a project's endpoint in the local region."""

import json
import os
from pathlib import Path

import pytest

from hotfire import project
from hotfire.address import Address
from hotfire.cli.root import run
from hotfire.environment import Environment, load
from hotfire.errors import DeployError, RegionNotRunning
from hotfire.preflight.subject import Measured
from hotfire.probe import probe

WEIGHTS = 3_000_000
HANDLER = """
import os, json

def model_fn(model_dir):
    return {at_load}

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    model = model or load({folder!r})
    return [len(model)] * data

def output_fn(answer, accept):
    return json.dumps(answer)

def load(folder):
    with open(os.path.join(folder, "weights.bin"), "rb") as file:
        return file.read()
"""


@pytest.fixture
def home(region: Address, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOTFIRE_HOME", str(region.home))
    return region.home


def written(root: Path, name: str, *, at_load: bool) -> Environment:
    """A project that loads its weights once, or for each request, as the template's ancestor did."""
    (root / "model").mkdir()
    (root / "examples").mkdir()
    (root / "model" / "weights.bin").write_bytes(os.urandom(WEIGHTS))
    source = HANDLER.format(at_load="load(model_dir)" if at_load else "None", folder=".")
    (root / "serve.py").write_text(source)
    config = f"environments:\n  local:\n    model_name: {name}\n    artifacts: [model]\n"
    (root / "config.yml").write_text(config)
    for count in (1, 1000):
        example = {"request": {"body": count, "content_type": "application/json"}}
        (root / "examples" / f"{count}.json").write_text(json.dumps(example))
    return load(start=root)


def measured(environment: Environment, home: Path) -> Measured:
    _, data = project.examined(environment)
    return probe(environment, data, home)


def deployed(root: Path, name: str, monkeypatch: pytest.MonkeyPatch, *, at_load: bool) -> Environment:
    environment = written(root, name, at_load=at_load)
    monkeypatch.chdir(root)
    assert run(["deploy"]) == 0
    return environment


def test_a_model_that_is_read_for_each_request(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = deployed(tmp_path, "each-request", monkeypatch, at_load=False)
    found = measured(environment, home)
    assert found.read is not None
    assert found.read >= WEIGHTS
    capsys.readouterr()
    assert run(["check", "--measure"]) == 0
    out = capsys.readouterr().out
    assert "warning serve.py [weights-each-request]" in out
    assert "Each request reads 2.9 MB from files, of 2.9 MB of weights" in out


def test_a_model_that_is_loaded_once(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = deployed(tmp_path, "loaded-once", monkeypatch, at_load=True)
    found = measured(environment, home)
    assert found.read is not None
    assert found.read < WEIGHTS / 10
    assert found.memory is not None
    assert found.memory > WEIGHTS
    assert found.load is not None
    assert 0 <= found.load < 60
    sizes = {one.name: (one.sent, one.received) for one in found.exchanges}
    assert sizes == {"1": (1, 9), "1000": (4, 9000)}
    assert all(one.seconds > 0 for one in found.exchanges)


def test_other_files_than_those_deployed_are_not_measured(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = deployed(tmp_path, "older", monkeypatch, at_load=True)
    (tmp_path / "serve.py").write_text((tmp_path / "serve.py").read_text() + "# edited\n")
    with pytest.raises(DeployError, match="is not what the project's files are now"):
        measured(environment, home)


def test_what_is_not_deployed_is_not_measured(home: Path, tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="absent is not in service"):
        measured(written(tmp_path, "absent", at_load=True), home)


def test_without_a_region_there_is_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(RegionNotRunning):
        measured(written(tmp_path, "alone", at_load=True), tmp_path)
