"""A newcomer makes a project, trains it, deploys it, asks it, changes it, goes back, and clears up."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine

HEADLINES = [
    ["The Wimbledon tennis tournament starts next week!"],
    ["The Canadian President signed in the new federal law."],
]


@pytest.fixture(scope="module")
def trained(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project fresh from the template, trained on a part of the headlines; its folder has an odd name."""
    folder = tmp_path_factory.mktemp("work") / "Nachrichten für alle"
    made = machine.hotfire("new", str(folder))
    assert made.returncode == 0, made.stderr
    training = machine.run([sys.executable, "train.py", "--num-epochs", "8"], at=folder)
    assert training.returncode == 0, training.stderr
    return folder


@pytest.fixture
def deployed(machine: Machine, trained: Path) -> Iterator[Path]:
    """The project, deployed; what a test changes of it is put back."""
    handler = trained / "serve.py"
    before = handler.read_text()
    done = machine.hotfire("deploy", at=trained)
    assert done.returncode == 0, done.stdout + done.stderr
    yield trained
    handler.write_text(before)


def edit(folder: Path, old: str, new: str) -> None:
    handler = folder / "serve.py"
    text = handler.read_text()
    assert old in text
    handler.write_text(text.replace(old, new))


def asked(machine: Machine, folder: Path) -> Any:
    return machine.told("invoke", "-d", json.dumps(HEADLINES), at=folder)["body"]


def test_the_endpoint_is_named_after_the_folder(machine: Machine, trained: Path) -> None:
    assert machine.told("pack", "--list", at=trained)["entry_point"] == "serve.py"
    assert "model_name: Nachrichten-fur-alle " in (trained / "config.yml").read_text()


def test_a_deploy_ends_by_showing_that_the_examples_pass(machine: Machine, deployed: Path) -> None:
    edit(deployed, '"""Load the model, once', '"""Load the model just once')
    done = machine.hotfire("deploy", at=deployed)
    assert done.returncode == 0
    names = sorted(file.stem for file in (deployed / "examples").glob("*.json"))
    assert [line.split()[1] for line in done.stdout.splitlines() if "✓" in line] == names


def test_deployed_again_unchanged_it_does_nothing(machine: Machine, deployed: Path) -> None:
    done = machine.told("deploy", at=deployed)
    assert (done["changed"], done["calls"]) == (False, [])


def test_a_dry_run_says_what_a_change_would_take(machine: Machine, deployed: Path) -> None:
    assert machine.hotfire("deploy", "--dry-run", at=deployed).returncode == 0
    edit(deployed, "[:80]", "[:79]")
    done = machine.hotfire("deploy", "--dry-run", at=deployed)
    assert done.returncode == 3
    assert "would update endpoint Nachrichten-fur-alle" in done.stdout
    assert (
        machine.told("status", at=deployed)["sha256"] != machine.told("status", at=deployed)["working_sha256"]
    )


def test_headlines_get_their_categories(machine: Machine, deployed: Path) -> None:
    answers = asked(machine, deployed)
    assert [max(one["probabilities"], key=one["probabilities"].get) for one in answers] == ["Sports", "World"]


def test_an_unchanged_boto3_call_gets_the_same(machine: Machine, deployed: Path) -> None:
    script = (
        "import boto3, json, sys\n"
        "answer = boto3.client('sagemaker-runtime').invoke_endpoint(\n"
        "    EndpointName='Nachrichten-fur-alle', ContentType='application/json', Body=sys.argv[1])\n"
        "print(answer['Body'].read().decode())\n"
    )
    command = [sys.executable, "-c", script, json.dumps(HEADLINES)]
    done = machine.run(command, **machine.exports())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == asked(machine, deployed)


def test_the_page_opens_by_its_link_and_only_so(machine: Machine, deployed: Path) -> None:
    link = machine.told("status", at=deployed)["url"]
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(link) as page:
        assert "Nachrichten-fur-alle" in page.read().decode()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(link.partition("?")[0])


def test_the_examples_can_be_run_again(machine: Machine, deployed: Path) -> None:
    report = deployed / "build" / "report.xml"
    done = machine.hotfire("test", "--junit", str(report), at=deployed)
    assert done.returncode == 0
    assert 'failures="0"' in report.read_text()


def test_what_the_model_prints_is_in_the_logs(machine: Machine, deployed: Path) -> None:
    edit(
        deployed,
        "    return classifier.predict(texts)",
        "    print(texts)\n    return classifier.predict(texts)",
    )
    machine.told("deploy", at=deployed)
    asked(machine, deployed)
    assert "Wimbledon tennis tournament" in machine.hotfire("logs", at=deployed).stdout


def test_a_change_shows_after_a_deploy_and_is_gone_after_a_rollback(machine: Machine, deployed: Path) -> None:
    before = asked(machine, deployed)
    edit(deployed, '"top_n_grams": one.top_n_grams', '"changed": True')
    machine.told("deploy", at=deployed)
    assert asked(machine, deployed)[0]["changed"] is True
    machine.told("rollback", at=deployed)
    assert asked(machine, deployed) == before


def test_a_model_that_breaks_leaves_what_served_before(machine: Machine, deployed: Path) -> None:
    before = asked(machine, deployed)
    edit(
        deployed, "    return Classifier.load(Path(model_dir))", "    return Classifier.lod(Path(model_dir))"
    )
    done = machine.hotfire("deploy", at=deployed)
    assert done.returncode == 1
    assert "AttributeError: type object 'Classifier' has no attribute 'lod'" in done.stderr
    assert asked(machine, deployed) == before


def test_an_example_that_fails_fails_the_deploy_and_names_the_way_back(
    machine: Machine, deployed: Path
) -> None:
    edit(deployed, '"probabilities": one.probabilities', '"probabilities": {"Sports": 1.0}')
    done = machine.hotfire("deploy", at=deployed)
    assert done.returncode == 1
    assert "`hotfire rollback`" in done.stderr
    assert machine.hotfire("rollback", at=deployed).returncode == 0
    assert machine.hotfire("test", at=deployed).returncode == 0


def test_deleted_nothing_of_it_is_left_and_it_can_be_deployed_anew(machine: Machine, deployed: Path) -> None:
    machine.told("delete", "--yes", at=deployed)
    with machine.client() as client:
        assert client.list_endpoints()["Endpoints"] == []
        assert client.list_endpoint_configs()["EndpointConfigs"] == []
        assert client.list_models()["Models"] == []
    done = machine.hotfire("test", at=deployed)
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        ["Error: Nachrichten-fur-alle is not deployed", "  → `hotfire deploy` deploys it."],
    )
    assert machine.hotfire("deploy", at=deployed).returncode == 0
