from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotfire.environment import Environment
from hotfire.errors import ConfigError
from hotfire.hosting_settings import Asynchronous, Serverless
from hotfire.model_data import ModelData, Packed
from hotfire.wanted import Site, Wanted, is_config, is_model, model_of, stem, tag_value, wanted

ROOT = Path("/home/ada/news")
TREE = "5f" * 32
URL = f"file:///home/ada/.local/state/hotfire/model-data/trees/{TREE}/"
SOURCE = {"S3Uri": URL, "S3DataType": "S3Prefix", "CompressionType": "None"}
MODEL_DATA = {"ModelDataSource": {"S3DataSource": SOURCE}}
SITE = Site("us-east-1", "arn:aws:iam::000000000000:role/hotfire-local", MODEL_DATA)
DATA = ModelData((), TREE, "serve.py")
LONG = "a-very-long-name-of-an-endpoint-that-goes-on-to-sixty-three-abc"


def environment(**settings: Any) -> Environment:
    given: dict[str, Any] = {
        "name": "local",
        "file": ROOT / "config.yml",
        "root": ROOT,
        "model_name": "news-classifier",
        "examples": ROOT / "examples",
        "python": Path("/home/ada/news/.venv/bin/python"),
    }
    return Environment(**(given | settings))


def names(commit: str | None = None, site: Site = SITE, data: ModelData = DATA, **settings: Any) -> Wanted:
    return wanted(environment(**settings), data, site, commit)


def test_the_requests_are_these() -> None:
    goal = names()
    assert (goal.endpoint, goal.create_model, goal.create_config) == (
        "news-classifier",
        {
            "ModelName": "news-classifier-9934e171e2d8",
            "PrimaryContainer": {
                "ModelDataSource": {"S3DataSource": SOURCE},
                "Environment": {
                    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                    "SAGEMAKER_REGION": "us-east-1",
                    "SAGEMAKER_PROGRAM": "serve.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                    "DEPLOY_ENV": "local",
                    "HOTFIRE_PYTHON": "/home/ada/news/.venv/bin/python",
                },
            },
            "ExecutionRoleArn": "arn:aws:iam::000000000000:role/hotfire-local",
        },
        {
            "EndpointConfigName": "news-classifier-9934e171e2d8-bb7767",
            "ProductionVariants": [
                {
                    "VariantName": "AllTraffic",
                    "ModelName": "news-classifier-9934e171e2d8",
                    "InitialVariantWeight": 1.0,
                    "InstanceType": "local",
                    "InitialInstanceCount": 1,
                }
            ],
        },
    )


def test_the_tags_name_project_content_and_commit() -> None:
    assert names("1f2e3d4", tags={"team": "search"}).tags == {
        "team": "search",
        "hotfire:project": "/home/ada/news",
        "hotfire:hash": TREE,
        "hotfire:commit": "1f2e3d4",
    }


def test_a_tag_of_the_user_does_not_hide_whose_it_is() -> None:
    assert names(tags={"hotfire:project": "other"}).project == "/home/ada/news"


def test_without_a_repository_there_is_no_commit() -> None:
    assert "hotfire:commit" not in names().tags


@pytest.mark.parametrize(
    "change",
    [
        {"data": replace(DATA, sha256="60" * 32)},
        {"data": replace(DATA, entry_point="inference.py")},
        {"container_env": {"LIMIT": "3"}},
        {"python": Path("/usr/bin/python3")},
        {"site": replace(SITE, role_arn="arn:aws:iam::000000000000:role/other")},
        {"name": "local-2", "instance_type": "local"},
    ],
    ids=["files", "entry point", "container_env", "python", "role", "environment"],
)
def test_another_content_is_another_model(change: dict[str, Any]) -> None:
    assert names(**change).model != names().model


@pytest.mark.parametrize(
    "change",
    [
        {"site": replace(SITE, model_data={"ModelDataUrl": "s3://elsewhere/model.tar.gz"})},
        {"commit": "1f2e3d4"},
        {"tags": {"team": "search"}},
        {"data": replace(DATA, notes=("a note",))},
    ],
    ids=["place", "commit", "tags", "notes"],
)
def test_the_same_content_is_the_same_config(change: dict[str, Any]) -> None:
    assert names(**change).config == names().config


@pytest.mark.parametrize(
    "change",
    [{"instance_count": 2}, {"instance_type": "ml.m5.large"}, {"startup_timeout": 120}],
    ids=lambda change: next(iter(change)),
)
def test_another_hosting_is_another_config_of_the_same_model(change: dict[str, Any]) -> None:
    other = names(**change)
    assert other.model == names().model
    assert other.config != names().config


def test_hosting_is_as_it_was_given() -> None:
    variant = names(instance_type="ml.m5.large", instance_count=2, startup_timeout=120)
    assert variant.create_config["ProductionVariants"][0] == {
        "VariantName": "AllTraffic",
        "ModelName": variant.model,
        "InitialVariantWeight": 1.0,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 2,
        "ContainerStartupHealthCheckTimeoutInSeconds": 120,
    }


def test_a_serverless_variant_has_no_instances() -> None:
    (variant,) = names(serverless=Serverless(4096, 10)).create_config["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 4096, "MaxConcurrency": 10}
    assert not {"InstanceType", "InitialInstanceCount"} & set(variant)


def test_an_endpoint_that_queues_its_requests_says_so_in_its_config() -> None:
    queued = Asynchronous("s3://b/out", "s3://b/failed", 3, success_topic="arn:aws:sns:x")
    assert names(async_=queued).create_config["AsyncInferenceConfig"] == {
        "OutputConfig": {
            "S3OutputPath": "s3://b/out",
            "S3FailurePath": "s3://b/failed",
            "NotificationConfig": {"SuccessTopic": "arn:aws:sns:x"},
        },
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 3},
    }


def test_another_place_for_answers_is_another_config_of_the_same_model() -> None:
    one, other = (names(async_=Asynchronous(place, place)) for place in ("s3://a", "s3://b"))
    assert one.model == other.model == names().model
    assert len({one.config, other.config, names().config}) == 3


def test_aws_answers_in_buckets_alone() -> None:
    with pytest.raises(ConfigError, match=r"async.failure is file:///f: AWS writes to buckets alone"):
        at_aws(async_=Asynchronous("s3://b/out", "file:///f"))


def test_the_project_decides_the_log_level_but_not_its_program() -> None:
    given = {"SAGEMAKER_CONTAINER_LOG_LEVEL": "10", "SAGEMAKER_PROGRAM": "other.py", "LIMIT": "3"}
    variables = names(container_env=given).create_model["PrimaryContainer"]["Environment"]
    assert (variables["SAGEMAKER_CONTAINER_LOG_LEVEL"], variables["LIMIT"]) == ("10", "3")
    assert variables["SAGEMAKER_PROGRAM"] == "serve.py"


def at_aws(**settings: Any) -> Wanted:
    given = {"name": "production", "instance_type": "ml.m5.large", "framework_version": "2.6"}
    data = {"ModelDataUrl": f"s3://models/news/{TREE}/model.tar.gz"}
    site = Site("eu-west-1", "arn:aws:iam::123456789012:role/news", data)
    return names(site=site, **(given | settings))


def test_the_requests_at_aws_are_these() -> None:
    goal = at_aws()
    image = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
    assert goal.create_model == {
        "ModelName": goal.model,
        "PrimaryContainer": {
            "Image": image,
            "ModelDataUrl": f"s3://models/news/{TREE}/model.tar.gz",
            "Environment": {
                "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                "SAGEMAKER_REGION": "eu-west-1",
                "SAGEMAKER_PROGRAM": "serve.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                "DEPLOY_ENV": "production",
            },
        },
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/news",
    }
    assert (goal.project, goal.update, goal.autoscaling) == ("news-classifier", {}, None)


def test_an_image_of_ones_own_is_taken_as_it_is() -> None:
    assert at_aws(image="me/news:1").create_model["PrimaryContainer"]["Image"] == "me/news:1"


def test_ray_serve_has_an_image_of_awss_own() -> None:
    goal = at_aws(serving="ray", framework_version=None)
    host = "763104351884.dkr.ecr.eu-west-1.amazonaws.com"
    assert goal.create_model["PrimaryContainer"]["Image"] == f"{host}/ray:serve-ml-sagemaker-cpu-v1"
    assert "InferenceAmiVersion" not in goal.create_config["ProductionVariants"][0]


def test_ray_serve_with_gpus_boots_what_has_their_driver() -> None:
    goal = at_aws(serving="ray", instance_type="ml.g5.xlarge")
    assert goal.create_model["PrimaryContainer"]["Image"].endswith("/ray:serve-ml-sagemaker-cuda-v1")
    (variant,) = goal.create_config["ProductionVariants"]
    assert variant["InferenceAmiVersion"] == "al2-ami-sagemaker-inference-gpu-3-1"


def test_ray_serve_does_not_run_on_every_processor() -> None:
    with pytest.raises(ConfigError, match=r"does not run on ml\.c7g\.large"):
        at_aws(serving="ray", instance_type="ml.c7g.large")


def test_another_image_is_another_model() -> None:
    assert at_aws(framework_version="2.5").model != at_aws().model


def test_a_vpc_is_the_models() -> None:
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    assert at_aws(vpc=vpc).create_model["VpcConfig"] == vpc
    assert at_aws(vpc=vpc).model != at_aws().model


def test_raw_fields_are_merged_into_the_config() -> None:
    raw = {"ProductionVariants": [{"VolumeSizeInGB": 50}], "EnableNetworkIsolation": True}
    request = at_aws(endpoint_config=raw).create_config
    (variant,) = request["ProductionVariants"]
    assert (variant["VolumeSizeInGB"], variant["InstanceType"]) == (50, "ml.m5.large")
    assert request["EnableNetworkIsolation"] is True
    assert request["EndpointConfigName"] not in (at_aws().config, names().config)


def test_raw_fields_are_for_aws() -> None:
    raw = {"ProductionVariants": [{"VolumeSizeInGB": 50}]}
    assert names(endpoint_config=raw, vpc={"Subnets": []}).create_config == names().create_config


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (
            {"strategy": "blue_green"},
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
                }
            },
        ),
        (
            {
                "strategy": "blue_green",
                "TrafficRoutingConfiguration": {"WaitIntervalInSeconds": 60},
                "TerminationWaitInSeconds": 120,
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
            },
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60},
                    "TerminationWaitInSeconds": 120,
                },
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
            },
        ),
        (
            {"strategy": "rolling", "WaitIntervalInSeconds": 30},
            {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
                    "WaitIntervalInSeconds": 30,
                }
            },
        ),
    ],
    ids=["all at once", "with more", "rolling"],
)
def test_how_it_is_updated(update: dict[str, Any], expected: dict[str, Any]) -> None:
    goal = at_aws(update=update)
    assert goal.update == expected
    assert goal.config == at_aws().config


def test_sagemaker_updates_nothing_in_place() -> None:
    with pytest.raises(ConfigError, match="in_place is for a local region"):
        at_aws(update={"strategy": "in_place"})


def test_here_the_model_says_that_it_is_updated_in_place() -> None:
    container = names(update={"strategy": "in_place"}).create_model["PrimaryContainer"]
    assert container["Environment"]["HOTFIRE_UPDATE"] == "in_place"


def test_a_model_says_that_nothing_is_to_be_recorded() -> None:
    assert "HOTFIRE_JOURNAL" not in names().create_model["PrimaryContainer"]["Environment"]
    container = names(journal=False).create_model["PrimaryContainer"]
    assert container["Environment"]["HOTFIRE_JOURNAL"] == "false"


def test_sagemaker_is_not_told_of_our_journal() -> None:
    assert "HOTFIRE_JOURNAL" not in at_aws(journal=False).create_model["PrimaryContainer"]["Environment"]


@pytest.mark.parametrize("of", [at_aws, names])
def test_a_way_to_update_that_there_is_not_is_refused_everywhere(of: Callable[..., Wanted]) -> None:
    with pytest.raises(ConfigError, match=r"must be blue_green, rolling or in_place, not 'blue'"):
        of(update={"strategy": "blue"})


def test_the_very_bytes_of_an_archive_are_another_model() -> None:
    packed = replace(DATA, packed=Packed(ROOT / "model.tar.gz", "77" * 32, 1))
    other = names(data=packed)
    assert other.model != names().model
    assert other.tags["hotfire:hash"] == TREE


def test_at_aws_no_python_is_named() -> None:
    goal = names(name="production", instance_type="ml.t2.medium")
    assert "HOTFIRE_PYTHON" not in goal.create_model["PrimaryContainer"]["Environment"]


def test_the_longest_name_still_fits() -> None:
    goal = names(model_name=LONG)
    assert len(LONG) == 63
    assert len(goal.config) <= 63
    assert model_of(goal.config) == goal.model


def test_long_names_that_begin_alike_are_told_apart() -> None:
    assert stem(LONG) != stem(LONG[:-1] + "d")


@pytest.mark.parametrize("name", ["news-classifier", LONG, f"{'x' * 33}-{'y' * 29}"])
def test_names_are_recognised(name: str) -> None:
    goal = names(model_name=name)
    assert is_model(goal.model, name)
    assert is_config(goal.config, name)


@pytest.mark.parametrize(
    "other",
    [
        "news-classifier",
        "news-classifier-2",
        "news-classifier-2-1f2e3d4c5b6a",
        "news-classifier-production",
        "my-news-classifier-1f2e3d4c5b6a",
        "news-classifier-1F2E3D4C5B6A",
        "news-classifier-1f2e3d4c5b6a-1f2e3d",
    ],
)
def test_other_names_are_not_those_of_its_models(other: str) -> None:
    assert not is_model(other, "news-classifier")


def test_a_model_is_no_config() -> None:
    assert not is_config("news-classifier-1f2e3d4c5b6a", "news-classifier")


def test_a_tag_holds_a_path_as_it_is() -> None:
    assert (
        tag_value("/home/ada/Mein Ordner/Schlagzeilen-ß/日本") == "/home/ada/Mein Ordner/Schlagzeilen-ß/日本"
    )


def test_what_a_tag_cannot_hold_is_told_apart_by_its_hash() -> None:
    one, other = tag_value("/home/ada/news (1)"), tag_value("/home/ada/news [1]")
    assert one.startswith("/home/ada/news _1_@")
    assert one != other


def test_a_long_path_is_cut_to_what_a_tag_holds() -> None:
    assert len(tag_value("/home/" + "x" * 400)) == 256


def container(**settings: Any) -> Any:
    return names(**settings).create_model["PrimaryContainer"]


def test_a_container_has_an_image_and_no_python_of_this_machine() -> None:
    given = container(instance_type="local_container", image="me/news:1", install_requirements=True)
    assert given["Image"] == "me/news:1"
    ours = {name for name in given["Environment"] if name.startswith("HOTFIRE_")}
    assert ours == set()


def test_a_container_is_of_awss_image_if_none_is_named() -> None:
    given = container(instance_type="local_container", framework_version="2.6.0", sized_as="ml.m5.large")
    assert given["Image"].endswith(".amazonaws.com/pytorch-inference:2.6.0-cpu-py312")
    assert given["Environment"]["HOTFIRE_SIZED_AS"] == "ml.m5.large"


def test_a_container_with_gpus_is_of_the_image_for_them() -> None:
    assert "-gpu-" in container(instance_type="local_container_gpu")["Image"]


def test_a_container_of_ray_serve_is_of_the_image_that_anybody_may_pull() -> None:
    given = container(instance_type="local_container", serving="ray")
    assert given["Image"] == "public.ecr.aws/deep-learning-containers/ray:serve-ml-sagemaker-cpu-v1"
    assert container(instance_type="local_container_gpu", serving="ray")["Image"].endswith("-cuda-v1")


def test_a_hosted_type_may_run_as_a_container_here() -> None:
    given = container(instance_type="ml.m5.large", runs_as="container", image="me/news:1")
    assert given["Environment"]["HOTFIRE_RUNS_AS"] == "container"
    aws = container(name="production", instance_type="ml.m5.large", runs_as="container", image="me/news:1")
    assert "HOTFIRE_RUNS_AS" not in aws["Environment"]
