"""The whole life of an endpoint by SageMaker SDK v3's resources: `sagemaker_3_resources.py OLD NEW`."""

import json
import sys

from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant

old, new = sys.argv[1:]


def create(version: str, archive: str) -> tuple[Model, EndpointConfig]:
    model = Model.create(
        model_name=f"three-{version}",
        execution_role_arn="arn:aws:iam::000000000000:role/anybody",
        primary_container=ContainerDefinition(
            image="pytorch-inference:2.6.0", model_data_url=f"file://{archive}", environment={"A": "b"}
        ),
    )
    variant = ProductionVariant(
        variant_name="AllTraffic",
        model_name=model.model_name,
        instance_type="ml.m5.large",
        initial_instance_count=1,
    )
    config = EndpointConfig.create(endpoint_config_name=f"three-{version}", production_variants=[variant])
    return model, config


def answer(endpoint: Endpoint) -> object:
    told = endpoint.invoke(body=b"[1, 2]", content_type="application/json", accept="application/json")
    return json.load(told.body)


facts: dict[str, object] = {}
made = [create("old", old), create("new", new)]
endpoint = Endpoint.create(endpoint_name="three", endpoint_config_name="three-old")
endpoint.wait_for_status("InService", poll=1)
facts["answer"] = answer(endpoint)
got = Endpoint.get("three")
facts["got"] = [got.endpoint_status, got.endpoint_config_name, got.production_variants[0].variant_name]
facts["environment"] = Model.get("three-old").primary_container.environment
endpoint.endpoint_config_name = "three-new"
endpoint.update()
endpoint.wait_for_status("InService", poll=1)
facts["updated"] = answer(endpoint)
facts["listed"] = [one.endpoint_name for one in Endpoint.get_all(name_contains="three")]
endpoint.delete()
endpoint.wait_for_delete(poll=1)
for model, config in made:
    config.delete()
    model.delete()
facts["left"] = [one.model_name for one in Model.get_all()]
print()
print(json.dumps(facts))
