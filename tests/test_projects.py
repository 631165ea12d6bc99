"""Where the project of an endpoint keeps its examples."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfire.console.projects import examples_folder
from hotfire.region.store import Store
from hotfire.resources import Endpoint, EndpointConfig, Model

CONFIG = """\
environments:
  local: {model_name: news}
  other: {model_name: news, instance_type: local, examples: samples}
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        yield store


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "config.yml").write_text(CONFIG)
    return folder


def deploy(store: Store, project: str, environment: str = "local") -> None:
    """Records as a deploy of the project leaves them."""
    container = {"Environment": {"DEPLOY_ENV": environment}}
    store.put_model(Model("m", "arn:m", 0.0, {"ModelName": "m", "PrimaryContainer": container}))
    store.put_config(EndpointConfig("c", "arn:c", 0.0, {"ProductionVariants": [{"ModelName": "m"}]}))
    store.put_endpoint(Endpoint("news", "arn:e", "c", "InService", 0.0, 0.0), {"hotfire:project": project})


def test_it_is_found_by_the_endpoints_tag(store: Store, project: Path) -> None:
    deploy(store, str(project))
    assert examples_folder(store, "news") == project / "examples"


def test_it_is_that_of_the_environment_that_was_deployed(store: Store, project: Path) -> None:
    deploy(store, str(project), "other")
    assert examples_folder(store, "news") == project / "samples"


def test_a_project_may_keep_its_config_where_the_article_has_it(store: Store, project: Path) -> None:
    (project / "deploy" / "sagemaker").mkdir(parents=True)
    (project / "config.yml").rename(project / "deploy" / "sagemaker" / "config.yml")
    deploy(store, str(project))
    assert examples_folder(store, "news") is not None


def test_an_endpoint_that_is_nobodys_has_none(store: Store) -> None:
    store.put_endpoint(Endpoint("news", "arn:e", "c", "InService", 0.0, 0.0))
    assert examples_folder(store, "news") is None


@pytest.mark.parametrize("gone", ["config.yml", None])
def test_a_project_that_is_gone_has_none(store: Store, project: Path, gone: str | None) -> None:
    deploy(store, str(project if gone else project / "moved"))
    if gone:
        (project / gone).unlink()
    assert examples_folder(store, "news") is None


def test_a_config_that_is_broken_has_none(store: Store, project: Path) -> None:
    deploy(store, str(project))
    (project / "config.yml").write_text("environments: [")
    assert examples_folder(store, "news") is None


def test_an_endpoint_that_is_not_there_has_none(store: Store) -> None:
    assert examples_folder(store, "news") is None
