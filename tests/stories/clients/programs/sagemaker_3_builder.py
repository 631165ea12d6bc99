"""What SageMaker SDK v3's ModelBuilder builds and deploys: `sagemaker_3_builder.py ARCHIVE SOURCES`."""

import json
import logging
import sys
import time

import boto3
from sagemaker.core.training.configs import SourceCode
from sagemaker.serve.model_builder import ModelBuilder

archive, sources = sys.argv[1:]
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
s3 = boto3.client("s3")
s3.create_bucket(Bucket="weights")
s3.upload_file(archive, "weights", "weights.tar.gz")

facts: dict[str, object] = {}
builder = ModelBuilder(
    image_uri=IMAGE,
    s3_model_data_url="s3://weights/weights.tar.gz",
    source_code=SourceCode(source_dir=sources, entry_script="inference.py"),
    role_arn="arn:aws:iam::000000000000:role/anybody",
    instance_type="ml.m5.large",
    env_vars={"SHIFT": "1"},
    log_level=logging.WARNING,
)
model = builder.build(model_name="built")
facts["model"] = model.model_arn
facts["data"] = model.primary_container.model_data_url
begun = time.monotonic()
# The builder would sleep for 30 seconds before it looks for the first time; the resource looks at once.
endpoint = builder.deploy(endpoint_name="built", initial_instance_count=1, wait=False)
endpoint.wait_for_status("InService")
facts["seconds"] = time.monotonic() - begun
answer = endpoint.invoke(body=b"[1, 2]", content_type="application/json", accept="application/json")
facts["answer"] = json.load(answer.body)
endpoint.delete()
endpoint.wait_for_delete(poll=1)
print()
print(json.dumps(facts))
