"""Which image a project's settings mean, and what is said where there is none."""

from datetime import date
from typing import Any

import pytest

from hotfire.errors import ImageError
from hotfire.images import (
    ACCOUNTS,
    DEFAULT,
    LINES,
    RAY,
    arm_uri,
    image_line,
    image_uri,
    is_gpu,
    line_of_uri,
    ray_uri,
)


def uri(**settings: Any) -> str:
    return image_uri(**{"region": "us-east-1", "instance_type": "ml.m5.large", **settings})


HOST = "763104351884.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, f"{HOST}/pytorch-inference:2.6.0-cpu-py312"),
        ({"instance_type": "ml.g4dn.xlarge"}, f"{HOST}/pytorch-inference:2.6.0-gpu-py312"),
        ({"instance_type": "ml.p3.2xlarge"}, f"{HOST}/pytorch-inference:2.6.0-gpu-py312"),
        ({"framework_version": "2.5"}, f"{HOST}/pytorch-inference:2.5.1-cpu-py311"),
        ({"framework_version": "2.0.0"}, f"{HOST}/pytorch-inference:2.0.0-cpu-py310"),
        ({"framework_version": "1.8"}, f"{HOST}/pytorch-inference:1.8.1-cpu-py3"),
        ({"framework_version": "1.8", "py_version": "py36"}, f"{HOST}/pytorch-inference:1.8.1-cpu-py36"),
        ({"py_version": "py310"}, f"{HOST}/pytorch-inference:2.2.0-cpu-py310"),
        ({"instance_type": "ml.g5.xlarge", "serverless": True}, f"{HOST}/pytorch-inference:2.6.0-cpu-py312"),
        (
            {"instance_type": "ml.c7g.large"},
            f"{HOST}/pytorch-inference-arm64:2.6.0-cpu-py312-ubuntu22.04-sagemaker",
        ),
        (
            {"instance_type": "ml.m6gd.large", "framework_version": "2.3"},
            f"{HOST}/pytorch-inference-graviton:2.3.0-cpu-py311-ubuntu20.04-sagemaker",
        ),
        (
            {"region": "af-south-1"},
            "626614931356.dkr.ecr.af-south-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312",
        ),
        (
            {"region": "cn-north-1"},
            "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/pytorch-inference:2.6.0-cpu-py312",
        ),
    ],
)
def test_the_image_of_settings(settings: dict[str, Any], expected: str) -> None:
    assert uri(**settings) == expected


@pytest.mark.parametrize(
    ("settings", "key", "advice"),
    [
        ({"framework_version": "2.7.1"}, "framework_version", "The nearest is 2.6.0"),
        ({"framework_version": "2.5.0"}, "framework_version", "The nearest is 2.5.1"),
        ({"framework_version": "1.3.1"}, "framework_version", "The nearest is 1.4.0"),
        ({"framework_version": "latest"}, "framework_version", "The nearest is"),
        ({"framework_version": "2.6", "py_version": "py311"}, "py_version", "It has py312"),
        ({"py_version": "py313"}, "py_version", "The images have py3, py36"),
        ({"region": "us-est-1"}, "region", "The nearest known is 'us-west-1'"),
        ({"instance_type": "ml.inf2.xlarge"}, "instance_type", "Name an image for it"),
        ({"instance_type": "ml.p2.xlarge"}, "instance_type", "ml.g4dn.xlarge is the nearest"),
        (
            {"instance_type": "ml.m6g.large", "framework_version": "2.2"},
            "framework_version",
            "The nearest framework_version with one is 2.3.0",
        ),
    ],
)
def test_what_there_is_no_image_of(settings: dict[str, Any], key: str, advice: str) -> None:
    with pytest.raises(ImageError) as raised:
        uri(**settings)
    assert raised.value.key == key
    assert raised.value.advice.startswith(advice)
    assert raised.value.exit_code == 1


def test_an_old_gpu_runs_old_images() -> None:
    assert uri(instance_type="ml.p2.xlarge", framework_version="1.12").endswith(":1.12.1-gpu-py38")


def test_a_short_version_is_not_a_prefix_of_digits() -> None:
    with pytest.raises(ImageError):
        image_line("1.1")


def test_what_a_line_is() -> None:
    line = image_line("2.6")
    assert (line.python, line.torch, line.patched_until) == ("3.12", "2.6.0", date(2026, 6, 30))
    assert {"numpy", "pandas", "scikit-learn", "opencv-python", "pillow"} <= line.packages
    assert "transformers" not in line.packages


def test_a_line_is_patched_until_its_day() -> None:
    assert DEFAULT.is_patched(date(2026, 6, 30))
    assert not DEFAULT.is_patched(date(2026, 7, 1))
    assert not image_line("1.4").is_patched(date(2020, 1, 1))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.version)
def test_every_line_is_found_by_its_own_uri(line: Any) -> None:
    assert line_of_uri(uri(framework_version=line.version)) == line


def test_the_long_form_of_a_tag_is_known() -> None:
    found = line_of_uri(f"{HOST}/pytorch-inference:2.6.0-gpu-py312-cu124-ubuntu22.04-sagemaker")
    assert found == DEFAULT


@pytest.mark.parametrize("name", ["my/image:1", f"{HOST}/pytorch-training:2.6.0-cpu-py312", ""])
def test_another_image_has_no_line(name: str) -> None:
    assert line_of_uri(name) is None


def test_accounts_are_of_twelve_digits() -> None:
    assert all(len(account) == 12 and account.isdigit() for account in ACCOUNTS.values())


def test_gpus_are_told_by_family() -> None:
    kinds = ("ml.g5.xlarge", "ml.p4d.24xlarge", "ml.m5.large", "ml.c6g.large", "local", "local_gpu")
    assert [is_gpu(kind) for kind in kinds] == [True, True, False, False, False, False]


def test_the_image_for_arm_of_the_same_line() -> None:
    found = arm_uri(f"{HOST}/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker")
    assert found == f"{HOST}/pytorch-inference-arm64:2.6.0-cpu-py312-ubuntu22.04-sagemaker"


@pytest.mark.parametrize(
    "name",
    ["my/image:1", f"{HOST}/pytorch-inference:2.4.1-cpu-py311", f"{HOST}/pytorch-inference:2.2.0-cpu-py310"],
)
def test_an_image_that_is_not_there_for_arm(name: str) -> None:
    assert arm_uri(name) is None


@pytest.mark.parametrize(
    ("region", "instance_type", "public", "expected"),
    [
        ("us-east-1", "ml.m5.large", False, f"{HOST}/ray:serve-ml-sagemaker-cpu-v1"),
        ("us-east-1", "ml.g5.xlarge", False, f"{HOST}/ray:serve-ml-sagemaker-cuda-v1"),
        ("us-east-1", "", False, f"{HOST}/ray:serve-ml-sagemaker-cpu-v1"),
        (
            "cn-north-1",
            "ml.m5.large",
            False,
            "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/ray:serve-ml-sagemaker-cpu-v1",
        ),
        (
            "us-east-1",
            "",
            True,
            "public.ecr.aws/deep-learning-containers/ray:serve-ml-sagemaker-cpu-v1",
        ),
    ],
)
def test_the_ray_serve_image(region: str, instance_type: str, public: bool, expected: str) -> None:
    found = ray_uri(region=region, instance_type=instance_type, public=public)
    assert found == expected
    assert line_of_uri(found) == RAY


@pytest.mark.parametrize("instance_type", ["ml.c7g.large", "ml.inf2.xlarge"])
def test_the_ray_serve_image_does_not_run_on_every_processor(instance_type: str) -> None:
    with pytest.raises(ImageError, match=f"does not run on {instance_type}"):
        ray_uri(region="us-east-1", instance_type=instance_type)
