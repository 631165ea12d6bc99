"""SageMaker's control plane, a method an operation.

A method takes the caller and the operation's valid parameters by the names of the API, and returns the
answer's members by the same names.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hotfire.errors import ValidationException
from hotfire.region.caller import LONGEST_WAIT, Answer, Caller, Operation
from hotfire.region.listing import page
from hotfire.region.store import Store
from hotfire.resources import Endpoint, EndpointConfig, Model

_log = logging.getLogger("hotfire.region")

_MOST_TAGS = 50
_LONGEST_REASON = 1024


class Endpoints(Protocol):
    """The lives of endpoints, as the control plane begins and watches them."""

    def create(self, endpoint: Endpoint, tags: Mapping[str, str]) -> None:
        """Store an endpoint, whose state is Creating, and begin to bring it up."""

    def update(self, name: str, config_name: str) -> None:
        """Begin to move an endpoint to another config; its state is Updating from now on."""

    def delete(self, name: str) -> None:
        """Begin to take an endpoint down; its state is Deleting from now on."""

    async def settled(self, name: str, wait: float) -> None:
        """Return when an endpoint's state does not move any more, or after `wait` seconds."""

    def variants(self, name: str) -> list[Answer]:
        """The ProductionVariantSummary of every variant that serves."""
        ...

    def holder(self, name: str) -> str:
        """Who has the endpoint for itself meanwhile; empty if nobody."""
        ...


class Control:
    """SageMaker's API over a store of resources and the lives of its endpoints."""

    def __init__(
        self,
        store: Store,
        endpoints: Endpoints,
        account: str = "000000000000",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._endpoints, self._account, self._clock = store, endpoints, account, clock
        self._update_targets: dict[str, str] = {}  # endpoint -> the config that its last update moves it to
        self.operations: Mapping[str, Operation] = {
            "CreateModel": self.create_model,
            "DescribeModel": self.describe_model,
            "ListModels": self.list_models,
            "DeleteModel": self.delete_model,
            "CreateEndpointConfig": self.create_endpoint_config,
            "DescribeEndpointConfig": self.describe_endpoint_config,
            "ListEndpointConfigs": self.list_endpoint_configs,
            "DeleteEndpointConfig": self.delete_endpoint_config,
            "CreateEndpoint": self.create_endpoint,
            "DescribeEndpoint": self.describe_endpoint,
            "ListEndpoints": self.list_endpoints,
            "UpdateEndpoint": self.update_endpoint,
            "DeleteEndpoint": self.delete_endpoint,
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
            "ListMonitoringSchedules": self.list_monitoring_schedules,
            "ListContexts": self.list_contexts,
        }

    def create_model(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Keep a model: where its data is, and the variables of its container."""
        name = params["ModelName"]
        arn = self._arn(caller, "model", name)
        if existing := self._store.model(name):
            raise _exists("model", existing.arn)
        if ("PrimaryContainer" in params) == ("Containers" in params):
            raise ValidationException("Give one of PrimaryContainer and Containers, and not both.")
        self._store.put_model(Model(name, arn, self._now(), _untagged(params)), _tags(params))
        return {"ModelArn": arn}

    def describe_model(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """A model as it was created."""
        model = self._model(caller, params["ModelName"])
        return {
            "EnableNetworkIsolation": False,
            **model.request,
            "ModelArn": model.arn,
            "CreationTime": model.created,
        }

    def list_models(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Models, with filters, order and pages."""
        models, more = page(self._store.models(), params)
        summaries = [{"ModelName": m.name, "ModelArn": m.arn, "CreationTime": m.created} for m in models]
        return {"Models": summaries, **more}

    def delete_model(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Forget a model; endpoints that serve it go on."""
        self._store.delete_model(self._model(caller, params["ModelName"]).name)
        return {}

    def create_endpoint_config(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Keep a config, whose models must be there."""
        name = params["EndpointConfigName"]
        arn = self._arn(caller, "endpoint-config", name)
        if existing := self._store.config(name):
            raise _exists("endpoint configuration", existing.arn)
        variants = [*params["ProductionVariants"], *params.get("ShadowProductionVariants", ())]
        _check_variants(variants)
        if not any(variant.get("InitialVariantWeight", 1.0) for variant in params["ProductionVariants"]):
            raise ValidationException("At least one production variant must have a weight above 0.")
        _check_async(params.get("AsyncInferenceConfig"), variants)
        for variant in variants:
            self._model(caller, variant["ModelName"])
        self._store.put_config(EndpointConfig(name, arn, self._now(), _untagged(params)), _tags(params))
        return {"EndpointConfigArn": arn}

    def describe_endpoint_config(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """A config as it was created."""
        config = self._config(caller, params["EndpointConfigName"])
        return {
            **config.request,
            "ProductionVariants": [{"InitialVariantWeight": 1.0, **variant} for variant in config.variants],
            "EndpointConfigArn": config.arn,
            "CreationTime": config.created,
        }

    def list_endpoint_configs(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Configs, with filters, order and pages."""
        configs, more = page(self._store.configs(), params)
        summaries = [
            {"EndpointConfigName": c.name, "EndpointConfigArn": c.arn, "CreationTime": c.created}
            for c in configs
        ]
        return {"EndpointConfigs": summaries, **more}

    def delete_endpoint_config(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Refused while an endpoint moves to it; one that is in service keeps what it serves by itself."""
        config = self._config(caller, params["EndpointConfigName"])
        for endpoint in self._store.endpoints():
            if config.name in self._configs_wanted_by(endpoint):
                raise ValidationException(
                    f'Cannot delete endpoint configuration "{config.arn}" because it is in use by endpoint '
                    f'"{endpoint.name}", whose state is {endpoint.status}. Wait until it is in service, or '
                    "delete the endpoint first."
                )
        self._store.delete_config(config.name)
        return {}

    def create_endpoint(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Begin to bring an endpoint up."""
        name = params["EndpointName"]
        arn = self._arn(caller, "endpoint", name)
        self._check_free(name)
        for existing in self._store.endpoints():
            if existing.name.lower() == name.lower():  # unique whatever the case, found by the case given
                raise _exists("endpoint", existing.arn)
        config = self._config(caller, params["EndpointConfigName"])
        now = self._now()
        self._endpoints.create(Endpoint(name, arn, config.name, "Creating", now, now), _tags(params))
        return {"EndpointArn": arn}

    async def describe_endpoint(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Held while the state moves, so that whoever waits for its end sees it at once."""
        endpoint = self._endpoint(caller, params["EndpointName"])
        if endpoint.is_moving and caller.wait > 0:
            await self._endpoints.settled(endpoint.name, min(caller.wait, LONGEST_WAIT))
            endpoint = self._endpoint(caller, endpoint.name)
        config = self._store.config(endpoint.config_name)
        optional = {
            "ProductionVariants": self._endpoints.variants(endpoint.name),
            "FailureReason": endpoint.failure_reason[:_LONGEST_REASON],
            "AsyncInferenceConfig": config.request.get("AsyncInferenceConfig") if config else None,
        }
        return {
            **_endpoint_summary(endpoint),
            "EndpointConfigName": endpoint.config_name,
            **{name: value for name, value in optional.items() if value},
        }

    def list_endpoints(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Endpoints, with filters, order and pages."""
        endpoints, more = page(self._store.endpoints(), params)
        return {"Endpoints": [_endpoint_summary(endpoint) for endpoint in endpoints], **more}

    def update_endpoint(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Begin to move an endpoint to another config; it goes on serving meanwhile."""
        endpoint = self._endpoint(caller, params["EndpointName"])
        self._check_free(endpoint.name)
        if endpoint.is_moving:
            raise ValidationException(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        if endpoint.status == "Failed":
            raise ValidationException(
                f'Cannot update endpoint "{endpoint.arn}" in Failed state. Delete it and create it again.'
            )
        config = self._config(caller, params["EndpointConfigName"])
        self._endpoints.update(endpoint.name, config.name)
        self._update_targets[endpoint.name] = config.name
        return {"EndpointArn": endpoint.arn}

    def delete_endpoint(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Begin to take an endpoint down."""
        endpoint = self._endpoint(caller, params["EndpointName"])
        self._check_free(endpoint.name)
        if endpoint.status == "Deleting":
            raise ValidationException(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        self._endpoints.delete(endpoint.name)
        return {}

    def add_tags(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Add tags to a model, a config or an endpoint, or change them."""
        arn = self._tagged(params["ResourceArn"])
        tags = self._store.tags(arn) | _tags(params)
        if len(tags) > _MOST_TAGS:
            raise ValidationException(
                f'"{arn}" would have {len(tags)} tags; at most {_MOST_TAGS} are allowed.'
            )
        self._store.set_tags(arn, tags)
        return {"Tags": _tag_list(tags)}

    def list_tags(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """All tags of a resource, on one page: it has no more than a page holds."""
        return {"Tags": _tag_list(self._store.tags(self._tagged(params["ResourceArn"])))}

    def delete_tags(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Take tags from a resource."""
        arn = self._tagged(params["ResourceArn"])
        gone = set(params["TagKeys"])
        self._store.set_tags(arn, {k: v for k, v in self._store.tags(arn).items() if k not in gone})
        return {}

    def list_monitoring_schedules(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """There are none: the list is empty."""
        return {"MonitoringScheduleSummaries": []}

    def list_contexts(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """No lineage is kept: the list is empty."""
        return {"ContextSummaries": []}

    def _model(self, caller: Caller, name: str) -> Model:
        model = self._store.model(name)
        if model is None:
            raise _missing("model", self._arn(caller, "model", name))
        return model

    def _config(self, caller: Caller, name: str) -> EndpointConfig:
        config = self._store.config(name)
        if config is None:
            raise _missing("endpoint configuration", self._arn(caller, "endpoint-config", name))
        return config

    def _endpoint(self, caller: Caller, name: str) -> Endpoint:
        endpoint = self._store.endpoint(name)
        if endpoint is None:
            raise _missing("endpoint", self._arn(caller, "endpoint", name))
        return endpoint

    def _check_free(self, name: str) -> None:
        holder = self._endpoints.holder(name)
        if holder:
            raise ValidationException(f'The endpoint "{name}" cannot be changed: {holder}. End that first.')

    def _configs_wanted_by(self, endpoint: Endpoint) -> set[str]:
        """The configs that must not go while the endpoint's state moves."""
        if endpoint.status == "Updating":
            return {endpoint.config_name, self._update_targets.get(endpoint.name, endpoint.config_name)}
        return {endpoint.config_name} if endpoint.status == "Creating" else set()

    def _tagged(self, arn: str) -> str:
        """The ARN that a resource was made with, whichever AWS region the given one names."""
        kind, _, name = arn.split(":", 5)[5].partition("/")
        find: Mapping[str, Callable[[str], Model | EndpointConfig | Endpoint | None]] = {
            "model": self._store.model,
            "endpoint-config": self._store.config,
            "endpoint": self._store.endpoint,
        }
        resource = find[kind](name) if kind in find else None
        if resource is None:
            raise _missing("resource", arn)
        return resource.arn

    def _arn(self, caller: Caller, kind: str, name: str) -> str:
        return f"arn:{caller.partition}:sagemaker:{caller.region}:{self._account}:{kind}/{name}"

    def _now(self) -> float:
        return round(
            self._clock(), 3
        )  # as exact as a timestamp on the wire, so that it finds what it describes


def _check_variants(variants: Sequence[Mapping[str, Any]]) -> None:
    """What SageMaker asks of production variants beyond its service model."""
    names = [variant["VariantName"] for variant in variants]
    for variant in variants:
        name = variant["VariantName"]
        if names.count(name) > 1:
            raise ValidationException(f'Two production variants are named "{name}"; names must differ.')
        if "ModelName" not in variant:
            raise ValidationException(
                f'Production variant "{name}" has no ModelName. Inference components are not supported here.'
            )
        if ("InstanceType" in variant) == ("ServerlessConfig" in variant):
            raise ValidationException(
                f'Production variant "{name}" must have either InstanceType or ServerlessConfig.'
            )
        if "InstanceType" in variant and "InitialInstanceCount" not in variant:
            raise ValidationException(f'Production variant "{name}" must have an InitialInstanceCount.')
    if len(variants) > 1 and any("ServerlessConfig" in variant for variant in variants):
        raise ValidationException("A serverless production variant must be the only one of its endpoint.")


def _check_async(config: Mapping[str, Any] | None, variants: Sequence[Mapping[str, Any]]) -> None:
    """What a config whose requests are queued must say, so that this region can answer them."""
    if config is None:
        return
    if any("ServerlessConfig" in variant for variant in variants):
        raise ValidationException("A serverless production variant cannot have an AsyncInferenceConfig.")
    outputs = config["OutputConfig"]
    if "S3OutputPath" not in outputs:
        raise ValidationException(
            "AsyncInferenceConfig has no OutputConfig.S3OutputPath: the local region answers nowhere else."
        )
    for name in ("S3OutputPath", "S3FailurePath"):
        if not outputs.get(name, "s3://").startswith(("s3://", "file://")):
            raise ValidationException(
                f"{name} is {outputs[name]}: the local region writes to s3:// and file:// addresses."
            )
    if "NotificationConfig" in outputs:
        _log.warning("AsyncInferenceConfig's NotificationConfig has no effect here: there is no SNS")


def _endpoint_summary(endpoint: Endpoint) -> Answer:
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        "EndpointStatus": endpoint.status,
    }


def _tags(params: Mapping[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in params.get("Tags", ()):
        if tag["Key"] in tags:
            raise ValidationException(f'Tag key "{tag["Key"]}" is given twice.')
        tags[tag["Key"]] = tag["Value"]
    return tags


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _untagged(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != "Tags"}


def _missing(kind: str, arn: str) -> ValidationException:
    return ValidationException(f'Could not find {kind} "{arn}".')


def _exists(kind: str, arn: str) -> ValidationException:
    return ValidationException(f'Cannot create already existing {kind} "{arn}".')
