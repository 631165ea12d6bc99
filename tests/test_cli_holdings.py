"""`hotfire status --all`, of an imitation of AWS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotfire.cli.root import run

CONFIG = """\
environments:
  local:
    model_name: tiny
  production:
    model_name: tiny
    instance_type: ml.m5.large
    region: us-east-1
"""


@pytest.fixture(autouse=True)
def sagemaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the imitation, and a project beside it."""
    import boto3
    from moto import mock_aws

    (tmp_path / "config.yml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("sagemaker", region_name="us-east-1")
        client.create_model(ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/service-role")
        yield client


def make(sagemaker: Any, name: str, kind: str, count: int) -> None:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "m",
        "InstanceType": kind,
        "InitialInstanceCount": count,
        "InitialVariantWeight": 1.0,
    }
    tags = {"hotfire:project": name, "hotfire:hash": "a" * 64, "hotfire:commit": "abc1234"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=listed)


def test_a_line_for_each_and_what_they_cost(sagemaker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    make(sagemaker, "news", "ml.m5.large", 2)
    make(sagemaker, "images", "ml.m5d.large", 1)
    assert run(["status", "--all", "--env", "production"]) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["ENDPOINT", "STATE", "INSTANCES", "$/HOUR"]
    news = next(row for row in rows if row.startswith("news")).split()
    assert news[1:6] == ["InService", "2", "×", "ml.m5.large", "0.230"]
    assert news[-3:] == ["abc1234", "aaaaaaaaaaaa", "news"]
    assert "?" in next(row for row in rows if row.startswith("images")).split()
    assert last == ("About $0.23 an hour by prices of December 2024, and 1 whose price is not known here.")


def test_as_json(sagemaker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    make(sagemaker, "news", "ml.m5.large", 1)
    assert run(["status", "--all", "--env", "production", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["endpoint"], one["commit"], one["state"]) == ("news", "abc1234", "InService")
    assert one["hourly_price"] == {"usd": 0.115, "as_of": "2024-12-31"}
    assert one["hosts"][0]["weight"] == 1.0


def test_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--all", "--env", "production"]) == 0
    assert capsys.readouterr().out == "There is no endpoint of Hotfire's in us-east-1.\n"


def test_without_a_local_region_it_says_how_to_start_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--all"]) == 1
    assert "hotfire up" in capsys.readouterr().err
