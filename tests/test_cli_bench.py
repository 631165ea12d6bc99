"""What `hotfire bench` makes of what was measured, by what answered."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pytest
import yaml

from hotfire.bench.generator import Measured, Stage
from hotfire.cli.bench import Report, hosts_of
from hotfire.cli.output import Output
from hotfire.environment import Environment, load


@pytest.fixture(autouse=True)
def no_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOTFIRE_HOME", str(tmp_path / "home"))


def environment(tmp_path: Path, **settings: Any) -> Environment:
    file = tmp_path / "config.yml"
    file.write_text(yaml.safe_dump({"environments": {"team": {"model_name": "news", **settings}}}))
    return load("team", config=file)


def said(environment: Environment, capsys: pytest.CaptureFixture[str]) -> str:
    """Of a load on one connection and on eight, whose requests took 10 ms."""
    measured = [
        Measured(Stage(count, 1.0), array("d", [0.01] * 100 * count), answered=100 * count, seconds=1.0)
        for count in (1, 8)
    ]
    Report(Output(), environment, hosts_of(environment), measured).show("one", 50.0, 1.0, True)
    return capsys.readouterr().out


def test_a_ray_cluster_is_no_instance_of_so_many_workers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    team = environment(tmp_path, instance_type="ray", ray_address="http://head:8265")
    text = said(team, capsys)
    assert text.endswith(
        "How many instances a load takes is not reckoned: replicas of a Ray cluster share its nodes.\n"
    )
    assert "8 at once" in text
    assert "worker" not in text
    assert "ml." not in text
    assert "this machine" not in text


def test_nothing_is_reckoned_where_the_workers_are_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(environment(tmp_path, instance_type="local_container"), capsys)
    assert "is not reckoned: it is not known how many workers answered.\n" in text


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "An instance with 4 workers as here"),
        ({"container_env": {"SAGEMAKER_MODEL_SERVER_WORKERS": "3"}}, "An instance with 3 workers as here"),
        ({"serving": "ray"}, "An instance with 1 worker as here"),
        ({"serving": "ray", "ray": {"num_replicas": 2}}, "An instance with 2 workers as here"),
        (
            {"serving": "ray", "ray": {"num_replicas": "auto"}},
            "is not reckoned: Ray Serve has as many replicas as the load takes.",
        ),
    ],
)
def test_an_instance_at_aws_has_the_workers_that_its_image_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], expected: str
) -> None:
    production = environment(tmp_path, instance_type="ml.m5.xlarge", instance_count=2, **settings)
    assert expected in said(production, capsys)
