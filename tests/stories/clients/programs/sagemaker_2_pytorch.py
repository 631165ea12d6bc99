"""A PyTorch model, its weights and sources, by SageMaker SDK v2: `sagemaker_2_pytorch.py ARCHIVE SOURCES`."""

import json
import sys
import time

import boto3
import numpy as np
import sagemaker as sdk
from sagemaker.deserializers import JSONDeserializer
from sagemaker.predictor import Predictor
from sagemaker.pytorch import PyTorchModel
from sagemaker.serializers import JSONSerializer

archive, sources = sys.argv[1:]
sagemaker = boto3.client("sagemaker")
session = sdk.Session()
data = session.upload_data(archive, key_prefix="models")


def model(**environment: str) -> PyTorchModel:
    return PyTorchModel(
        model_data=data,
        role="arn:aws:iam::000000000000:role/anybody",
        entry_point="inference.py",
        source_dir=sources,
        framework_version="2.6.0",
        py_version="py312",
        env=environment,
        sagemaker_session=session,
    )


facts: dict[str, object] = {"data": data}
first = model()
begun = time.monotonic()
predictor = first.deploy(initial_instance_count=1, instance_type="ml.m5.large")
facts["seconds"] = time.monotonic() - begun
container = sagemaker.describe_model(ModelName=first.name)["PrimaryContainer"]
facts["image"] = container["Image"]
facts["repacked"] = container["ModelDataUrl"]

facts["npy"] = predictor.predict(np.array([1.0, 2.0])).tolist()
by_json = Predictor(predictor.endpoint_name, serializer=JSONSerializer(), deserializer=JSONDeserializer())
facts["json"] = by_json.predict([1.0, 2.0])

second = model(SHIFT="1")
second.create(instance_type="ml.m5.large")
predictor.update_endpoint(
    model_name=second.name, initial_instance_count=1, instance_type="ml.m5.large", wait=False
)
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=predictor.endpoint_name)
facts["updated"] = by_json.predict([1.0, 2.0])

predictor.delete_model()  # of the config that serves: the second
predictor.delete_endpoint()
first.delete_model()
sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=predictor.endpoint_name)
facts["left"] = [
    *sagemaker.list_endpoints()["Endpoints"],
    *sagemaker.list_models()["Models"],
]
print(json.dumps(facts, default=str))
