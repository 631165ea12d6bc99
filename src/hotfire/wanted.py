"""What a project asks for in its deployment environment, in SageMaker's words; pure."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hotfire.environment import Environment
from hotfire.errors import ImageError
from hotfire.hosting_settings import Autoscaling
from hotfire.images import image_uri, is_gpu, ray_uri
from hotfire.model_data import ModelData
from hotfire.raw_settings import merged
from hotfire.ray_settings import deployment
from hotfire.resources import (
    INSTALL_VARIABLE,
    JOURNAL_VARIABLE,
    PYTHON_VARIABLE,
    RAY_ADDRESS_VARIABLE,
    RAY_VARIABLE,
    RUNS_AS_VARIABLE,
    SIZED_AS_VARIABLE,
    UPDATE_VARIABLE,
)

PROJECT_TAG = "hotfire:project"
HASH_TAG = "hotfire:hash"
COMMIT_TAG = "hotfire:commit"
CALLER_TAG = "hotfire:caller"

VARIANT = "AllTraffic"
"""The one production variant, by the name that SageMaker's SDK gives it."""

IN_PLACE = "in_place"
"""The strategy of `update` that only a local region has: the old version ends before the new one starts."""

_AMI_OF_RAY = "al2-ami-sagemaker-inference-gpu-3-1"
"""What an instance with GPUs boots for the Ray Serve image: the default's driver is too old for its CUDA."""

_MODEL_DIGITS, _CONFIG_DIGITS = 12, 6
_LONGEST_NAME = 63
_LONGEST_STEM = _LONGEST_NAME - _MODEL_DIGITS - _CONFIG_DIGITS - 2
_LONGEST_TAG = 256
_TAG_SIGNS = frozenset("_.:/=+-@")
_POLICIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "blue_green": (
        "BlueGreenUpdatePolicy",
        {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}},
    ),
    "rolling": (
        "RollingUpdatePolicy",
        {"MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50}, "WaitIntervalInSeconds": 0},
    ),
}
"""What SageMaker needs to be told of each strategy, unless `update` says otherwise."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An endpoint with its config and model, both named by what they hold.

    `create_model` and `create_config` are the requests that make them, but for their tags; `update` is how
    the endpoint goes over to another config, DeploymentConfig.
    """

    endpoint: str
    model: str
    config: str
    create_model: Mapping[str, Any]
    create_config: Mapping[str, Any]
    tags: Mapping[str, str]
    update: Mapping[str, Any] = field(default_factory=dict)
    autoscaling: Autoscaling | None = None

    @property
    def project(self) -> str:
        """Whose it is to be, as its tag says."""
        return self.tags[PROJECT_TAG]


@dataclass(frozen=True, slots=True)
class Site:
    """What only the region knows: its name, the role's ARN, and where it has the model data.

    `model_data` are the members of a container that name it: ModelDataUrl or ModelDataSource. `caller` is who
    deploys, by ARN, if that is worth a tag; `image` is the one that was built for it, if one was.
    """

    region_name: str
    role_arn: str
    model_data: Mapping[str, Any]
    caller: str = ""
    image: str | None = None


def wanted(environment: Environment, data: ModelData, site: Site, commit: str | None = None) -> Wanted:
    """What is to be there for this model data. Raises ConfigError for an image that AWS does not have."""
    container = {
        **({"Image": site.image} if site.image else image(environment, site.region_name)),
        **site.model_data,
        "Environment": container_environment(environment, data.entry_point, site.region_name),
    }
    vpc = {} if environment.is_local or not environment.vpc else {"VpcConfig": environment.vpc}
    model = f"{stem(environment.model_name)}-{_model_digits(data, {**container, **vpc}, site)}"
    request = _config_request(environment, model)
    config = f"{model}-{_config_digits(request)}"
    return Wanted(
        endpoint=environment.model_name,
        model=model,
        config=config,
        create_model={
            "ModelName": model,
            "PrimaryContainer": container,
            "ExecutionRoleArn": site.role_arn,
            **vpc,
        },
        create_config={**request, "EndpointConfigName": config},
        tags=_tags(environment, data, site.caller, commit),
        update={} if environment.is_local else _update(environment),
        autoscaling=None if environment.is_local else environment.autoscaling,
    )


def stem(endpoint: str) -> str:
    """What the names of an endpoint's models and configs begin with, before a hyphen and the digits.

    Long names are cut, and told apart by their hash.
    """
    if len(endpoint) <= _LONGEST_STEM:
        return endpoint
    mark = hashlib.sha256(endpoint.encode()).hexdigest()[:8]
    return f"{endpoint[: _LONGEST_STEM - 9].rstrip('-')}-{mark}"


def model_of(config: str) -> str:
    """The model of a config that is named as here."""
    return config[: -_CONFIG_DIGITS - 1]


def is_model(name: str, endpoint: str) -> bool:
    """Whether a model is named as those of this endpoint are."""
    return _is_named(name, endpoint, (_MODEL_DIGITS,))


def is_config(name: str, endpoint: str) -> bool:
    """Whether a config is named as those of this endpoint are."""
    return _is_named(name, endpoint, (_MODEL_DIGITS, _CONFIG_DIGITS))


def tag_value(text: str) -> str:
    """The text as a tag can hold it; one that it cannot is told apart from others by its hash."""
    plain = "".join(sign if _fits_tag(sign) else "_" for sign in text)
    if plain == text and len(text) <= _LONGEST_TAG:
        return text
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{plain[-_LONGEST_TAG + 13 :]}@{mark}"


def container_environment(environment: Environment, entry_point: str, region_name: str) -> dict[str, str]:
    """As SageMaker's SDK sets it; of the project's own variables those are taken that it may decide."""
    variables = {
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_REGION": region_name,
        **environment.container_env,
        "SAGEMAKER_PROGRAM": entry_point,
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "DEPLOY_ENV": environment.name,
    }
    if environment.is_local and _strategy(environment) == IN_PLACE:
        variables[UPDATE_VARIABLE] = IN_PLACE
    if environment.is_local and not environment.journal:
        variables[JOURNAL_VARIABLE] = "false"
    if environment.in_containers:
        return {**variables, **_container(environment)}
    if environment.on_ray:
        return {**variables, **_cluster(environment)}
    if environment.is_local:
        variables[PYTHON_VARIABLE] = str(environment.python)
        if environment.install_requirements:
            variables[INSTALL_VARIABLE] = "true"
    return variables


def image(environment: Environment, region_name: str) -> dict[str, str]:
    """At AWS, and in a container here, a model has an image; else it runs in the project's Python.

    Raises ConfigError for one that AWS does not have.
    """
    if environment.is_local and not environment.in_containers:
        return {}
    if environment.image:
        return {"Image": environment.image}
    assert not environment.builds_image, "its image is built, and known to whoever built it"
    try:
        return {"Image": _image_of_aws(environment, region_name)}
    except ImageError as error:
        raise environment.mistake(error.message, error.advice, error.key) from error


def _image_of_aws(environment: Environment, region_name: str) -> str:
    """Raises ImageError."""
    serverless = environment.serverless is not None
    kind = "" if serverless else _type_of_image(environment)
    if environment.serving == "ray":
        return ray_uri(region=region_name, instance_type=kind, public=environment.in_containers)
    return image_uri(
        region=region_name,
        instance_type=kind,
        framework_version=environment.framework_version,
        py_version=environment.py_version,
        serverless=serverless,
    )


def _container(environment: Environment) -> dict[str, str]:
    """What tells the local region in which container to serve."""
    is_hosted = (environment.instance_type or "").startswith("ml.") or environment.serverless is not None
    variables = {RUNS_AS_VARIABLE: "container"} if is_hosted else {}
    return variables | ({SIZED_AS_VARIABLE: environment.sized_as} if environment.sized_as else {})


def _cluster(environment: Environment) -> dict[str, str]:
    """What tells the local region which Ray cluster is to host, and how. Raises ConfigError."""
    options = deployment(environment)
    if environment.install_requirements:
        message = "install_requirements is not for instance_type: ray, which runs by the cluster's own Python"
        advice = "Leave it out, and install the packages on the cluster's nodes."
        raise environment.mistake(message, advice, "install_requirements")
    if not environment.ray_address:
        message = "instance_type: ray needs ray_address, the cluster's dashboard"
        raise environment.mistake(message, "Add `ray_address: http://HEAD:8265`.", "instance_type")
    return {RAY_ADDRESS_VARIABLE: environment.ray_address, RAY_VARIABLE: json.dumps(options, sort_keys=True)}


def _type_of_image(environment: Environment) -> str:
    """An instance type for which the image is; empty is any with AMD's or Intel's processors."""
    kinds = {"local_container": "", "local_container_gpu": "ml.g4dn.xlarge"}
    kind = environment.hosting_type()
    return kinds.get(kind, kind)


def _config_request(environment: Environment, model: str) -> dict[str, Any]:
    """CreateEndpointConfig but for its name."""
    variant = {
        "VariantName": VARIANT,
        "ModelName": model,
        "InitialVariantWeight": 1.0,
        **hosting(environment),
    }
    request = {"ProductionVariants": [variant], **asynchronous(environment)}
    return request if environment.is_local else dict(merged(request, environment.endpoint_config))


def _config_digits(request: Mapping[str, Any]) -> str:
    """Of all that a config is; of the one variant alone, if that is all."""
    variants = request["ProductionVariants"]
    is_all = set(request) == {"ProductionVariants"} and isinstance(variants, list) and len(variants) == 1
    return _digits(variants[0] if is_all else request, _CONFIG_DIGITS)


def _strategy(environment: Environment) -> str:
    """How a new version takes over. Raises ConfigError for a way that there is not."""
    strategy = environment.update.get("strategy", "blue_green")
    if strategy == IN_PLACE and not environment.is_local:
        message = "update.strategy: in_place is for a local region; SageMaker has no such update"
        advice = "`rolling` needs the fewest instances beside those that serve."
        raise environment.mistake(message, advice, "update", "strategy")
    if strategy not in (*_POLICIES, IN_PLACE):
        message = f"update.strategy must be blue_green, rolling or in_place, not {strategy!r}"
        raise environment.mistake(message, "", "update", "strategy")
    return str(strategy)


def _update(environment: Environment) -> dict[str, Any]:
    """DeploymentConfig: what `update` has beside its strategy are members of that policy."""
    strategy, given = _strategy(environment), dict(environment.update)
    if not given:
        return {}
    given.pop("strategy", None)
    rollback = {name: given.pop(name) for name in ("AutoRollbackConfiguration",) if name in given}
    name, policy = _POLICIES[strategy]
    return {name: merged(policy, given), **rollback}


def hosting(environment: Environment) -> dict[str, Any]:
    """What a production variant runs on, as CreateEndpointConfig has it."""
    timeout = environment.startup_timeout
    startup = {} if timeout is None else {"ContainerStartupHealthCheckTimeoutInSeconds": timeout}
    if environment.serverless is not None:
        sizes = environment.serverless
        serverless = {"MemorySizeInMB": sizes.memory_mb, "MaxConcurrency": sizes.max_concurrency}
        return {"ServerlessConfig": serverless, **startup}
    kind = environment.hosting_type()
    needs_driver = environment.serving == "ray" and not environment.is_local and is_gpu(kind)
    return {
        "InstanceType": kind,
        "InitialInstanceCount": environment.instance_count,
        **({"InferenceAmiVersion": _AMI_OF_RAY} if needs_driver else {}),
        **startup,
    }


def asynchronous(environment: Environment) -> dict[str, Any]:
    """What makes the endpoint queue its requests. Raises ConfigError for a place that AWS cannot write to."""
    given = environment.async_
    if given is None:
        return {}
    for key, address in (("output", given.output), ("failure", given.failure)):
        if address.startswith("file://") and not environment.is_local:
            message = f"async.{key} is {address}: AWS writes to buckets alone"
            raise environment.mistake(message, "Name an s3:// address.", "async", key)
    topics = {"SuccessTopic": given.success_topic, "ErrorTopic": given.error_topic}
    notified = {name: topic for name, topic in topics.items() if topic}
    outputs: dict[str, Any] = {"S3OutputPath": given.output, "S3FailurePath": given.failure}
    if notified:
        outputs["NotificationConfig"] = notified
    config: dict[str, Any] = {"OutputConfig": outputs}
    if given.max_concurrent:
        config["ClientConfig"] = {"MaxConcurrentInvocationsPerInstance": given.max_concurrent}
    return {"AsyncInferenceConfig": config}


def _tags(environment: Environment, data: ModelData, caller: str, commit: str | None) -> dict[str, str]:
    ours = {PROJECT_TAG: tag_value(environment.project), HASH_TAG: data.sha256}
    told = {COMMIT_TAG: commit or "", CALLER_TAG: tag_value(caller)}
    return {**environment.tags, **ours, **{name: value for name, value in told.items() if value}}


def _model_digits(data: ModelData, container: Mapping[str, Any], site: Site) -> str:
    """Of all that a model is, but for where its data lies: the hash of its tree says what that holds."""
    held = {name: value for name, value in container.items() if name not in site.model_data}
    return _digits({**held, "Tree": data.identity, "Role": site.role_arn}, _MODEL_DIGITS)


def _digits(value: Any, count: int) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:count]


def _is_named(name: str, endpoint: str, lengths: tuple[int, ...]) -> bool:
    given = name.removeprefix(f"{stem(endpoint)}-")
    parts = given.split("-")
    return (
        given != name
        and tuple(map(len, parts)) == lengths
        and all(set(part) <= set("0123456789abcdef") for part in parts)
    )


def _fits_tag(sign: str) -> bool:
    return sign in _TAG_SIGNS or unicodedata.category(sign)[0] in "LNZ"
