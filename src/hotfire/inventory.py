"""What is there of an endpoint: itself, and the models and configs that bear its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hotfire.deploy_env import is_absent
from hotfire.plan import Existing, Made
from hotfire.refusals import refusal_of
from hotfire.wanted import PROJECT_TAG, is_config, is_model, stem

_PAGE = 100


class Inventory:
    """Reads through a boto3 `sagemaker` client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def read(self, endpoint: str) -> Existing:
        """The endpoint with its tags, and the models and configs of its names, whosever they are."""
        found = self.endpoint(endpoint)
        existing = Existing(models=self._models(endpoint), configs=self._configs(endpoint))
        if found is None:
            return existing
        return replace(
            existing,
            status=found["EndpointStatus"],
            arn=found["EndpointArn"],
            config=found["EndpointConfigName"],
            failure_reason=found.get("FailureReason", ""),
            tags=self.tags(found["EndpointArn"]),
        )

    def read_owned(self, endpoint: str, project: str) -> Existing:
        """The same, with only those models and configs that are the project's, and their tags."""
        existing = self.read(endpoint)
        models, configs = self._owned(existing.models, project), self._owned(existing.configs, project)
        return replace(existing, models=models, configs=configs)

    def endpoint(self, name: str) -> dict[str, Any] | None:
        """What DescribeEndpoint answers; None if there is no such endpoint."""
        with errors(f"read endpoint {name}"):
            return found_or_none(self._client.describe_endpoint, EndpointName=name)

    def tags(self, arn: str) -> dict[str, str]:
        """A resource's tags; none if it is gone."""
        with errors(f"read the tags of {arn}"):
            answer = found_or_none(self._client.list_tags, ResourceArn=arn) or {"Tags": []}
        return {tag["Key"]: tag["Value"] for tag in answer["Tags"]}

    def config(self, name: str) -> dict[str, Any]:
        """What DescribeEndpointConfig answers; nothing if it is gone."""
        with errors(f"read endpoint config {name}"):
            return found_or_none(self._client.describe_endpoint_config, EndpointConfigName=name) or {}

    def variants(self, config: str) -> list[dict[str, Any]]:
        """The production variants of a config; none if it is gone."""
        return list(self.config(config).get("ProductionVariants", ()))

    def model_data(self, model: str) -> str:
        """The URL of a model's data; empty if it has none, or is gone."""
        with errors(f"read model {model}"):
            found = found_or_none(self._client.describe_model, ModelName=model) or {}
        container = found.get("PrimaryContainer", {})
        source = container.get("ModelDataSource", {}).get("S3DataSource", {})
        return str(container.get("ModelDataUrl") or source.get("S3Uri", ""))

    def _owned(self, made: Iterable[Made], project: str) -> tuple[Made, ...]:
        tagged = [replace(one, tags=self.tags(one.arn)) for one in made]
        return tuple(one for one in tagged if one.tags.get(PROJECT_TAG) == project)

    def _models(self, endpoint: str) -> tuple[Made, ...]:
        with errors(f"list the models of {endpoint}"):
            found = list(_pages(self._client.list_models, "Models", endpoint))
        return tuple(_made("Model", one) for one in found if is_model(one["ModelName"], endpoint))

    def _configs(self, endpoint: str) -> tuple[Made, ...]:
        with errors(f"list the endpoint configs of {endpoint}"):
            found = list(_pages(self._client.list_endpoint_configs, "EndpointConfigs", endpoint))
        named = [one for one in found if is_config(one["EndpointConfigName"], endpoint)]
        return tuple(_made("EndpointConfig", one) for one in named)


def found_or_none(operation: Any, **params: Any) -> dict[str, Any] | None:
    """What an operation answers; None if SageMaker has no such resource."""
    from botocore.exceptions import ClientError

    try:
        return dict(operation(**params))
    except ClientError as error:
        if is_absent(error):
            return None
        raise


@contextmanager
def errors(doing: str) -> Iterator[None]:
    """What AWS refuses, and what does not reach it, as a DeployError that says at what."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise refusal_of(error, doing=doing) from error


def _pages(operation: Any, member: str, endpoint: str) -> Iterator[dict[str, Any]]:
    params = {"NameContains": f"{stem(endpoint)}-", "MaxResults": _PAGE}
    while True:
        answer = operation(**params)
        yield from answer[member]
        if "NextToken" not in answer:
            return
        params["NextToken"] = answer["NextToken"]


def _made(kind: str, summary: dict[str, Any]) -> Made:
    return Made(summary[f"{kind}Name"], summary["CreationTime"].timestamp(), summary[f"{kind}Arn"])
