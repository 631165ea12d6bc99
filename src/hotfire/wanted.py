"""What a project asks for in its deployment environment, in SageMaker's words; pure."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hotfire.environment import Environment
from hotfire.model_data import ModelData
from hotfire.resources import INSTALL_VARIABLE, PYTHON_VARIABLE

PROJECT_TAG = "hotfire:project"
HASH_TAG = "hotfire:hash"
COMMIT_TAG = "hotfire:commit"

VARIANT = "AllTraffic"
"""The one production variant, by the name that SageMaker's SDK gives it."""

_MODEL_DIGITS, _CONFIG_DIGITS = 12, 6
_LONGEST_NAME = 63
_LONGEST_STEM = _LONGEST_NAME - _MODEL_DIGITS - _CONFIG_DIGITS - 2
_LONGEST_TAG = 256
_TAG_SIGNS = frozenset("_.:/=+-@")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An endpoint with its config and model, both named by what they hold.

    `create_model` and `create_config` are the requests that make them, but for their tags.
    """

    endpoint: str
    model: str
    config: str
    create_model: Mapping[str, Any]
    create_config: Mapping[str, Any]
    tags: Mapping[str, str]

    @property
    def project(self) -> str:
        """Whose it is to be, as its tag says."""
        return self.tags[PROJECT_TAG]


@dataclass(frozen=True, slots=True)
class Site:
    """What only the region knows: its name, the role's ARN, and where it has the model data.

    `model_data` are the members of a container that name it: ModelDataUrl or ModelDataSource.
    """

    region_name: str
    role_arn: str
    model_data: Mapping[str, Any]


def wanted(environment: Environment, data: ModelData, site: Site, commit: str | None = None) -> Wanted:
    """What is to be there for this model data."""
    container = {
        **site.model_data,
        "Environment": _container_environment(environment, data, site),
    }
    model = f"{stem(environment.model_name)}-{_model_digits(data, container, site)}"
    variant = {
        "VariantName": VARIANT,
        "ModelName": model,
        "InitialVariantWeight": 1.0,
        **_hosting(environment),
    }
    config = f"{model}-{_digits(variant, _CONFIG_DIGITS)}"
    return Wanted(
        endpoint=environment.model_name,
        model=model,
        config=config,
        create_model={
            "ModelName": model,
            "PrimaryContainer": container,
            "ExecutionRoleArn": site.role_arn,
        },
        create_config={"EndpointConfigName": config, "ProductionVariants": [variant]},
        tags=_tags(environment, data, commit),
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


def _container_environment(environment: Environment, data: ModelData, site: Site) -> dict[str, str]:
    """As SageMaker's SDK sets it; of the project's own variables those are taken that it may decide."""
    variables = {
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_REGION": site.region_name,
        **environment.container_env,
        "SAGEMAKER_PROGRAM": data.entry_point,
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "DEPLOY_ENV": environment.name,
    }
    if environment.is_local:
        variables[PYTHON_VARIABLE] = str(environment.python)
        if environment.install_requirements:
            variables[INSTALL_VARIABLE] = "true"
    return variables


def _hosting(environment: Environment) -> dict[str, Any]:
    timeout = environment.startup_timeout
    startup = {} if timeout is None else {"ContainerStartupHealthCheckTimeoutInSeconds": timeout}
    if environment.serverless is not None:
        sizes = environment.serverless
        serverless = {"MemorySizeInMB": sizes.memory_mb, "MaxConcurrency": sizes.max_concurrency}
        return {"ServerlessConfig": serverless, **startup}
    return {
        "InstanceType": environment.hosting_type(),
        "InitialInstanceCount": environment.instance_count,
        **startup,
    }


def _tags(environment: Environment, data: ModelData, commit: str | None) -> dict[str, str]:
    ours = {PROJECT_TAG: tag_value(environment.project), HASH_TAG: data.sha256}
    return {**environment.tags, **ours, **({COMMIT_TAG: commit} if commit else {})}


def _model_digits(data: ModelData, container: Mapping[str, Any], site: Site) -> str:
    """Of all that a model is, but for where its data lies: the hash of its tree says what that holds."""
    held = {name: value for name, value in container.items() if name not in site.model_data}
    return _digits({**held, "Tree": data.sha256, "Role": site.role_arn}, _MODEL_DIGITS)


def _digits(value: Any, count: int) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
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
