"""An endpoint of a generic model of SageMaker SDK v2: `sagemaker_2_generic.py ARCHIVE`."""

import json
import sys
import time

import boto3
from sagemaker.deserializers import JSONDeserializer
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import JSONSerializer

(archive,) = sys.argv[1:]
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
sagemaker = boto3.client("sagemaker")

facts: dict[str, object] = {}
model = Model(
    image_uri=IMAGE,
    model_data=f"file://{archive}",
    role="arn:aws:iam::000000000000:role/anybody",
    predictor_cls=Predictor,
)
begun = time.monotonic()
# The SDK would sleep for 30 seconds before it looks for the first time; boto3's waiter looks at once.
predictor = model.deploy(1, "ml.m5.large", wait=False)
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=predictor.endpoint_name)
facts["seconds"] = time.monotonic() - begun
predictor.serializer, predictor.deserializer = JSONSerializer(), JSONDeserializer()
facts["answer"] = predictor.predict([1, 2])
facts["data"] = sagemaker.describe_model(ModelName=model.name)["PrimaryContainer"]["ModelDataUrl"]
predictor.delete_model()
predictor.delete_endpoint()
models = [one["ModelName"] for one in sagemaker.list_models()["Models"]]
configs = [one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]]
facts["left"] = [name for name in (*models, *configs) if name in (model.name, predictor.endpoint_name)]
print(json.dumps(facts))
