"""From a config and its models to a fleet's plan."""

import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import ArchiveError, InstanceError
from hotfire.region.blueprints import Blueprints, tree_urls
from hotfire.region.buckets import Buckets
from hotfire.region.requirements import PythonEnvironments
from hotfire.region.store import Store
from hotfire.region.trees import Trees
from hotfire.resources import EndpointConfig, Model

PYTHON = Path(sys.executable)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        yield store


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path / "model-data")


@pytest.fixture
def blueprints(store: Store, trees: Trees, tmp_path: Path) -> Blueprints:
    buckets = Buckets(tmp_path / "objects", store)
    return Blueprints(store, trees, buckets, PythonEnvironments(tmp_path / "environments", {}), PYTHON)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "inference.py").write_text("def model_fn(model_dir): ...\n")
    return folder


def put(store: Store, container: dict[str, Any] | None = None, **variant: Any) -> None:
    request = {"ModelName": "m", "PrimaryContainer": container or {}}
    store.put_model(Model("m", "arn:m", 0.0, request))
    variants = [{"VariantName": "AllTraffic", "ModelName": "m", "InstanceType": "ml.m5.large", **variant}]
    store.put_config(EndpointConfig("c", "arn:c", 0.0, {"ProductionVariants": variants}))


def from_folder(folder: Path) -> dict[str, Any]:
    data = {"S3Uri": f"{folder.as_uri()}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    return {"ModelDataSource": {"S3DataSource": data}}


def test_a_folder_becomes_a_tree_of_the_regions_own(
    store: Store, trees: Trees, blueprints: Blueprints, folder: Path
) -> None:
    put(store, from_folder(folder))
    (variant,) = blueprints.draw("c").complete().variants
    assert (
        trees.path(variant.tree) / "code" / "inference.py"
    ).read_text() == "def model_fn(model_dir): ...\n"


def test_an_archive_becomes_a_tree(store: Store, trees: Trees, blueprints: Blueprints, folder: Path) -> None:
    archive = folder.parent / "a model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / "code" / "inference.py", "code/inference.py")
    put(store, {"ModelDataUrl": archive.as_uri()})
    (variant,) = blueprints.draw("c").complete().variants
    assert [path.name for path in trees.path(variant.tree).rglob("*.py")] == ["inference.py"]


def test_a_model_without_data_has_an_empty_tree(store: Store, trees: Trees, blueprints: Blueprints) -> None:
    put(store, {"Image": "image"})
    (variant,) = blueprints.draw("c").complete().variants
    assert list(trees.path(variant.tree).iterdir()) == []


def test_our_own_variables_are_read_and_taken_out(store: Store, blueprints: Blueprints) -> None:
    put(store, {"Environment": {"HOTFIRE_PYTHON": "/elsewhere/python", "MINE": "1"}})
    (variant,) = blueprints.draw("c").complete().variants
    assert (variant.python, variant.environment) == ("/elsewhere/python", {"MINE": "1"})


def test_requirements_that_are_absent_leave_the_python_as_it_is(store: Store, blueprints: Blueprints) -> None:
    put(store, {"Environment": {"HOTFIRE_INSTALL_REQUIREMENTS": "true"}})
    (variant,) = blueprints.draw("c").complete().variants
    assert (variant.python, variant.environment) == (str(PYTHON), {})


def test_what_the_variant_says_is_in_the_plan(store: Store, blueprints: Blueprints) -> None:
    put(
        store,
        InitialInstanceCount=3,
        InitialVariantWeight=0.5,
        ContainerStartupHealthCheckTimeoutInSeconds=90,
    )
    (variant,) = blueprints.draw("c").complete().variants
    assert (variant.count, variant.weight, variant.startup_timeout) == (3, 0.5, 90.0)


def test_a_model_that_is_deleted_afterwards_is_still_in_the_blueprint(
    store: Store, blueprints: Blueprints
) -> None:
    put(store)
    blueprint = blueprints.draw("c")
    store.delete_model("m")
    store.delete_config("c")
    assert [variant.name for variant in blueprint.complete().variants] == ["AllTraffic"]


def test_a_model_that_was_never_there_is_named(store: Store, blueprints: Blueprints) -> None:
    put(store)
    store.delete_model("m")
    with pytest.raises(InstanceError, match="the model m is not there"):
        blueprints.draw("c").complete()


def test_several_containers_are_refused(store: Store, blueprints: Blueprints) -> None:
    put(store)
    store.put_model(
        Model("m", "arn:m", 0.0, {"ModelName": "m", "Containers": [{"Image": "a"}, {"Image": "b"}]})
    )
    with pytest.raises(InstanceError, match="2 containers"):
        blueprints.draw("c").complete()


def test_another_kind_of_address_is_refused(store: Store, blueprints: Blueprints) -> None:
    put(store, {"ModelDataUrl": "https://bucket/model.tar.gz"})
    with pytest.raises(ArchiveError, match="https://bucket"):
        blueprints.draw("c").complete()


def test_an_archive_in_a_bucket_is_read_in_place(
    store: Store, trees: Trees, blueprints: Blueprints, folder: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "objects" / "bucket" / "models" / "model.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / "code" / "inference.py", "code/inference.py")
    put(store, {"ModelDataUrl": "s3://bucket/models/model.tar.gz"})
    (variant,) = blueprints.draw("c").complete().variants
    assert [path.name for path in trees.path(variant.tree).rglob("*.py")] == ["inference.py"]


def test_a_prefix_of_a_bucket_is_read_in_place(
    store: Store, trees: Trees, blueprints: Blueprints, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "objects" / "bucket").mkdir(parents=True)
    folder.rename(tmp_path / "objects" / "bucket" / "model")
    data = {"S3Uri": "s3://bucket/model/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    put(store, {"ModelDataSource": {"S3DataSource": data}})
    (variant,) = blueprints.draw("c").complete().variants
    assert [path.name for path in trees.path(variant.tree).rglob("*.py")] == ["inference.py"]


def test_an_object_that_is_not_there_is_named_with_what_puts_it_there(
    store: Store, blueprints: Blueprints, tmp_path: Path
) -> None:
    (tmp_path / "objects" / "bucket").mkdir(parents=True)
    put(store, {"ModelDataUrl": "s3://bucket/model.tar.gz"})
    with pytest.raises(ArchiveError, match=r"There is no s3://bucket/model\.tar\.gz") as refused:
        blueprints.draw("c").complete()
    assert "aws s3 cp FILE s3://bucket/model.tar.gz" in refused.value.advice


def test_the_addresses_of_folders_are_those_that_a_model_names(folder: Path) -> None:
    model = Model("m", "arn:m", 0.0, {"PrimaryContainer": from_folder(folder)})
    assert tree_urls(model) == [f"{folder.as_uri()}/"]


@pytest.mark.parametrize(
    ("kind", "variables", "size"),
    [
        ("local_container", {}, ""),
        ("local_container_gpu", {"HOTFIRE_SIZED_AS": "ml.g5.xlarge"}, "ml.g5.xlarge"),
        ("ml.m5.large", {"HOTFIRE_RUNS_AS": "container"}, "ml.m5.large"),
        ("ml.m5.large", {}, None),
        ("local", {"HOTFIRE_RUNS_AS": "container"}, None),
    ],
)
def test_which_variants_are_containers_and_of_which_size(
    store: Store, blueprints: Blueprints, kind: str, variables: dict[str, str], size: str | None
) -> None:
    put(store, {"Image": "me/news:1", "Environment": {**variables, "MINE": "1"}}, InstanceType=kind)
    (variant,) = blueprints.draw("c").complete().variants
    assert (variant.sized_as, variant.image, variant.environment) == (size, "me/news:1", {"MINE": "1"})


def test_a_container_needs_an_image(store: Store, blueprints: Blueprints) -> None:
    put(store, InstanceType="local_container")
    with pytest.raises(InstanceError, match="the model m names no image, of which a container could be"):
        blueprints.draw("c").complete()


@pytest.mark.parametrize(("said", "journal"), [({}, True), ({"HOTFIRE_JOURNAL": "false"}, False)])
def test_a_model_may_wish_that_nothing_is_recorded(
    store: Store, blueprints: Blueprints, folder: Path, said: dict[str, str], journal: bool
) -> None:
    put(store, {**from_folder(folder), "Environment": said})
    (plan,) = blueprints.draw("c").complete().variants
    assert plan.journal is journal
    # The handler does not see it.
    assert plan.environment == {}


def test_a_plan_says_which_config_it_is_of(store: Store, blueprints: Blueprints, folder: Path) -> None:
    put(store, from_folder(folder))
    assert [plan.version for plan in blueprints.draw("c").complete().variants] == ["c"]


def test_a_variant_of_a_ray_cluster(store: Store, blueprints: Blueprints) -> None:
    given = {"HOTFIRE_RAY_ADDRESS": "http://head:8265/", "HOTFIRE_RAY": '{"num_replicas": 3}', "MINE": "1"}
    put(store, {"Environment": given}, InstanceType="ray")
    (plan,) = blueprints.draw("c").complete().variants
    assert (plan.ray_address, plan.ray_options) == ("http://head:8265", {"num_replicas": 3})
    assert plan.environment == {"MINE": "1"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "the model m names no Ray cluster: HOTFIRE_RAY_ADDRESS in its environment is to be"),
        ({"HOTFIRE_RAY_ADDRESS": "http://h:8265", "HOTFIRE_RAY": "[1]"}, "HOTFIRE_RAY in the environment"),
        (
            {"HOTFIRE_RAY_ADDRESS": "http://h:99999"},
            "HOTFIRE_RAY_ADDRESS in the environment of the model m must be the address of a Ray dashboard",
        ),
        (
            {"HOTFIRE_RAY_ADDRESS": "http://eva:s3cret@h:8265"},
            "HOTFIRE_RAY_ADDRESS in the environment of the model m holds a user name or a password",
        ),
    ],
)
def test_a_ray_cluster_that_is_not_named_well(
    store: Store, blueprints: Blueprints, given: dict[str, str], said: str
) -> None:
    put(store, {"Environment": given}, InstanceType="ray")
    with pytest.raises(InstanceError, match=said):
        blueprints.draw("c").complete()
