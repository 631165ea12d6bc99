"""What instance types have, by EC2's figures."""

from __future__ import annotations

import pytest
from botocore.loaders import Loader

from hotfire.images import is_gpu
from hotfire.instance_types import gpus, vcpus


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ml.g4dn.xlarge", 1),
        ("ml.g4dn.12xlarge", 4),
        ("ml.g4dn.16xlarge", 1),
        ("ml.g5.48xlarge", 8),
        ("ml.p2.16xlarge", 16),
        ("ml.p3.8xlarge", 4),
        ("ml.p4d.24xlarge", 8),
        ("ml.p6-b200.48xlarge", 8),
        ("ml.g5.huge", None),
        ("ml.g99.xlarge", None),
        ("local", None),
    ],
)
def test_gpus(kind: str, expected: int | None) -> None:
    assert gpus(kind) == expected


def test_whatever_has_gpus_here_is_a_type_with_gpus() -> None:
    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    counted = [kind for kind in shapes["ProductionVariantInstanceType"]["enum"] if gpus(kind)]
    assert len(counted) > 40
    assert all(map(is_gpu, counted))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("ml.m5.large", 2), ("ml.m5.4xlarge", 16), ("ml.c4.8xlarge", 36), ("ml.m5.huge", None), ("local", None)],
)
def test_processors(kind: str, expected: int | None) -> None:
    assert vcpus(kind) == expected
