"""Memory, processors and GPUs of common `ml.*` hosting types: EC2's figures for the type without `ml.`."""

from __future__ import annotations

from functools import cache

GIB = 1 << 30

_VCPUS = {"medium": 2, "large": 2, "xlarge": 4}
"""Of a size; `Nxlarge` has N times as many as `xlarge`."""

_VCPUS_OF_TYPE = {"ml.c4.8xlarge": 36}
"""Of types that do not go by their size."""

_GIB_PER_VCPU = {
    **dict.fromkeys(("c5", "c5d", "c6g", "c6gd", "c6gn", "c6i", "c6in", "c7g", "c7i", "c8g"), 2.0),
    **dict.fromkeys(("m5", "m5d", "m6g", "m6gd", "m6i", "m7i", "m8g", "g4dn", "g5", "g6"), 4.0),
    **dict.fromkeys(("r5", "r5d", "r6g", "r6gd", "r6i", "r7gd", "r7i", "r8g", "g6e"), 8.0),
    "m4": 4.0,
}
_GIB = {
    "ml.t2.medium": 4.0,
    "ml.t2.large": 8.0,
    "ml.t2.xlarge": 16.0,
    "ml.t2.2xlarge": 32.0,
    "ml.c4.large": 3.75,
    "ml.c4.xlarge": 7.5,
    "ml.c4.2xlarge": 15.0,
    "ml.c4.4xlarge": 30.0,
    "ml.c4.8xlarge": 60.0,
    "ml.p2.xlarge": 61.0,
    "ml.p3.2xlarge": 61.0,
    "ml.p3.8xlarge": 244.0,
    "ml.p3.16xlarge": 488.0,
    "ml.p4d.24xlarge": 1152.0,
    "ml.p5.48xlarge": 2048.0,
    "ml.inf1.xlarge": 8.0,
    "ml.inf1.2xlarge": 16.0,
    "ml.inf2.xlarge": 16.0,
    "ml.inf2.8xlarge": 128.0,
}

_SINGLE = dict.fromkeys(("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"), 1)
_OF_G5 = {**_SINGLE, "12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
_GPUS = {
    "g4dn": {**_SINGLE, "12xlarge": 4},
    "g5": _OF_G5,
    "g6": _OF_G5,
    "g6e": _OF_G5,
    "p2": {"xlarge": 1, "8xlarge": 8, "16xlarge": 16},
    "p3": {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8},
    "p4d": {"24xlarge": 8},
    "p4de": {"24xlarge": 8},
    "p5": {"4xlarge": 1, "48xlarge": 8},
    "p5e": {"48xlarge": 8},
    "p5en": {"48xlarge": 8},
    "p6-b200": {"48xlarge": 8},
    "p6-b300": {"48xlarge": 8},
}
"""By family and size."""


@cache
def hosting_types() -> tuple[str, ...]:
    """The types of the installed service model, which may be older than SageMaker is."""
    from botocore.loaders import Loader

    model = Loader().load_service_model("sagemaker", "service-2")
    return tuple(model["shapes"]["ProductionVariantInstanceType"]["enum"])


def memory(instance_type: str) -> float | None:
    """Bytes of memory of an instance; None if it is not known here."""
    if instance_type in _GIB:
        return _GIB[instance_type] * GIB
    family = instance_type.removeprefix("ml.").partition(".")[0]
    cores = vcpus(instance_type)
    if family not in _GIB_PER_VCPU or cores is None:
        return None
    return _GIB_PER_VCPU[family] * cores * GIB


def vcpus(instance_type: str) -> int | None:
    """Its virtual processors, of which SageMaker's container starts a worker each; None if not known here."""
    size = instance_type.partition(".")[2].partition(".")[2]
    if not instance_type.startswith("ml."):
        return None
    if instance_type in _VCPUS_OF_TYPE:
        return _VCPUS_OF_TYPE[instance_type]
    if size in _VCPUS:
        return _VCPUS[size]
    times = size.removesuffix("xlarge")
    return 4 * int(times) if times.isdigit() and size.endswith("xlarge") else None


def gpus(instance_type: str) -> int | None:
    """The NVIDIA GPUs of a type whose family has some; None if their number is not known here."""
    family, _, size = instance_type.removeprefix("ml.").partition(".")
    return _GPUS.get(family, {}).get(size)
