"""What endpoints are built by: a config and its models, completed to a plan of their fleet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hotfire.errors import InstanceError
from hotfire.ray_address import mistake_in
from hotfire.region.buckets import Buckets
from hotfire.region.fleet import FleetPlan, VariantPlan
from hotfire.region.requirements import PythonEnvironments
from hotfire.region.store import Store
from hotfire.region.trees import Trees
from hotfire.resources import (
    INSTALL_VARIABLE,
    JOURNAL_VARIABLE,
    PROJECT_VARIABLE,
    PYTHON_VARIABLE,
    RAY_ADDRESS_VARIABLE,
    RAY_VARIABLE,
    RUNS_AS_VARIABLE,
    SIZED_AS_VARIABLE,
    TAKES_VERSIONS_VARIABLE,
    UPDATE_VARIABLE,
    Model,
)

DEFAULT_STARTUP_SECONDS = 600.0
"""Where the config names no ContainerStartupHealthCheckTimeoutInSeconds."""

_REQUIREMENTS = "code/requirements.txt"
_CONTAINERS = ("local_container", "local_container_gpu")


class Blueprints:
    """Draws blueprints from the store; `python` is what runs a model that names no other."""

    def __init__(
        self, store: Store, trees: Trees, buckets: Buckets, environments: PythonEnvironments, python: Path
    ) -> None:
        self._store, self._trees, self._buckets = store, trees, buckets
        self._environments, self._python = environments, python

    def draw(self, config_name: str) -> Blueprint:
        """The config and its models as they are now, whatever becomes of them."""
        config = self._store.config(config_name)
        variants = config.variants if config else ()
        models = {variant["ModelName"]: self._store.model(variant["ModelName"]) for variant in variants}
        asynchronous = config.request.get("AsyncInferenceConfig") if config else None
        return Blueprint(self, config_name, variants, models, asynchronous)

    def complete(self, variant: Mapping[str, Any], model: Model | None) -> VariantPlan:
        """A variant's plan, with its model data in a tree of the region's own, and its Python at hand.

        Takes its time: archives are unpacked, requirements installed. Raises ArchiveError, LoadFailed,
        InstanceError.
        """
        if model is None:
            raise InstanceError(f"the model {variant['ModelName']} is not there")
        container = _container(model)
        environment = dict(container.get("Environment", {}))
        python = Path(environment.pop(PYTHON_VARIABLE, self._python))
        project = environment.pop(PROJECT_VARIABLE, "")
        in_place = environment.pop(UPDATE_VARIABLE, "") == "in_place"
        journal = environment.pop(JOURNAL_VARIABLE, "") != "false"
        takes_versions = environment.pop(TAKES_VERSIONS_VARIABLE, "") == "true"
        sized_as = _size(variant, environment)
        ray_address, ray_options = _cluster(model.name, variant, environment)
        if sized_as is not None and not container.get("Image"):
            raise InstanceError(f"the model {model.name} names no image, of which a container could be")
        tree = self._tree(container)
        # A container's own server installs what code/requirements.txt asks for.
        if environment.pop(INSTALL_VARIABLE, "") == "true" and sized_as is None:
            python = self._environments.python(python, self._trees.path(tree) / _REQUIREMENTS)
        return VariantPlan(
            name=variant["VariantName"],
            weight=variant.get("InitialVariantWeight", 1.0),
            count=variant.get("InitialInstanceCount", 1),
            instance_type=variant.get("InstanceType", ""),
            tree=tree,
            python=str(python),
            environment=environment,
            startup_timeout=float(
                variant.get("ContainerStartupHealthCheckTimeoutInSeconds", DEFAULT_STARTUP_SECONDS)
            ),
            image=container.get("Image", ""),
            project=project,
            serverless=variant.get("ServerlessConfig"),
            sized_as=sized_as,
            takes_versions=takes_versions,
            in_place=in_place,
            journal=journal,
            ray_address=ray_address,
            ray_options=ray_options,
        )

    def _tree(self, container: Mapping[str, Any]) -> str:
        source = container.get("ModelDataSource", {}).get("S3DataSource", {})
        url = source.get("S3Uri") or container.get("ModelDataUrl")
        if not url:
            return self._trees.admit([])
        path = self._buckets.path(url)
        if url.startswith("s3://") and not path.exists():
            raise self._buckets.absent(url)
        if source.get("S3DataType") == "S3Prefix" or source.get("CompressionType") == "None":
            return self._trees.admit_folder(path)
        return self._trees.admit_archive(path)


class Blueprint:
    """A config and its models as they were when an endpoint was to be moved to them."""

    def __init__(
        self,
        blueprints: Blueprints,
        config_name: str,
        variants: tuple[Mapping[str, Any], ...],
        models: Mapping[str, Model | None],
        asynchronous: Mapping[str, Any] | None = None,
    ) -> None:
        self._blueprints, self._variants, self._models = blueprints, variants, models
        self._config_name, self._asynchronous = config_name, asynchronous

    def complete(self) -> FleetPlan:
        """The plan of the fleet."""
        plans = (
            self._blueprints.complete(variant, self._models[variant["ModelName"]])
            for variant in self._variants
        )
        asynchronous, version = self._asynchronous, self._config_name
        return FleetPlan(tuple(replace(one, asynchronous=asynchronous, version=version) for one in plans))


def _size(variant: Mapping[str, Any], environment: dict[str, str]) -> str | None:
    """The `ml.*` type whose size a variant's containers get, empty if none is known; None for processes.

    What the environment says of it is taken out.
    """
    kind = variant.get("InstanceType", "")
    runs_as, sized_as = environment.pop(RUNS_AS_VARIABLE, ""), environment.pop(SIZED_AS_VARIABLE, "")
    if kind in _CONTAINERS:
        return sized_as
    is_hosted = kind.startswith("ml.") or "ServerlessConfig" in variant
    return (sized_as or kind) if is_hosted and runs_as == "container" else None


def _cluster(
    model: str, variant: Mapping[str, Any], environment: dict[str, str]
) -> tuple[str, Mapping[str, Any]]:
    """The Ray cluster that hosts a variant, and how it is to; empty for another type of instance.

    What the environment says of it is taken out. Raises InstanceError if it says too little.
    """
    address, text = environment.pop(RAY_ADDRESS_VARIABLE, ""), environment.pop(RAY_VARIABLE, "{}")
    if variant.get("InstanceType") != "ray":
        return "", {}
    if not address:
        raise InstanceError(
            f"the model {model} names no Ray cluster: {RAY_ADDRESS_VARIABLE} in its environment is to be "
            "the address of the dashboard, http://HEAD:8265"
        )
    wrong = mistake_in(address)
    if wrong is not None:
        raise InstanceError(
            f"{RAY_ADDRESS_VARIABLE} in the environment of the model {model} {wrong[0]}", wrong[1]
        )
    try:
        options = dict(json.loads(text))
    except (TypeError, ValueError):
        raise InstanceError(
            f"{RAY_VARIABLE} in the environment of the model {model} is no object of JSON"
        ) from None
    return address.rstrip("/"), options


def tree_urls(model: Model) -> list[str]:
    """The addresses of the folders that a model names as its data."""
    sources = [
        container.get("ModelDataSource", {}).get("S3DataSource", {}) for container in _containers(model)
    ]
    return [source["S3Uri"] for source in sources if "S3Uri" in source]


def _container(model: Model) -> Mapping[str, Any]:
    containers = _containers(model)
    if len(containers) != 1:
        raise InstanceError(
            f"the model {model.name} has {len(containers)} containers; the local region takes one"
        )
    return containers[0]


def _containers(model: Model) -> list[Mapping[str, Any]]:
    primary = model.request.get("PrimaryContainer")
    return [*model.request.get("Containers", ()), *([] if primary is None else [primary])]
