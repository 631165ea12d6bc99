"""What SageMaker would refuse of an environment's settings, told before anybody is asked."""

from __future__ import annotations

from typing import Any

from hotfire.environment import Environment
from hotfire.model_data import ModelData
from hotfire.raw_settings import check
from hotfire.wanted import Site, wanted


def check_settings(environment: Environment, meta: Any) -> None:
    """Raise ConfigError, which names the key and the line; `meta` is of a boto3 `sagemaker` client."""
    if environment.is_local:
        return
    # As if of some model data, and of some image where one is built: what is held against SageMaker's model
    # does not depend on them.
    image = "built" if environment.builds_image else None
    site = Site(meta.region_name, environment.role(), {}, image=image)
    goal = wanted(environment, ModelData((), "0" * 64, "serve.py"), site)
    model = meta.service_model

    def shape(operation: str) -> Any:
        return model.operation_model(operation).input_shape

    if environment.endpoint_config:
        check(environment, "endpoint_config", shape("CreateEndpointConfig"), goal.create_config)
    if environment.vpc:
        check(environment, "vpc", shape("CreateModel").members["VpcConfig"], goal.create_model["VpcConfig"])
    if environment.update:
        policy = next(iter(goal.update))
        updating = shape("UpdateEndpoint").members["DeploymentConfig"]
        check(environment, "update", updating, goal.update, (policy,))
    if environment.autoscaling and environment.serverless:
        message = "autoscaling is for instances, and this environment is serverless"
        raise environment.mistake(message, "Leave one of the two out.", "autoscaling")
