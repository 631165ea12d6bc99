"""A model that SageMaker SDK v3's ModelBuilder builds and deploys: `sagemaker_3_builder.py ARCHIVE`."""

import json
import logging
import sys
import time

from sagemaker.serve.model_builder import ModelBuilder

(archive,) = sys.argv[1:]
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"

facts: dict[str, object] = {}
builder = ModelBuilder(
    image_uri=IMAGE,
    s3_model_data_url=f"file://{archive}",
    role_arn="arn:aws:iam::000000000000:role/anybody",
    instance_type="ml.m5.large",
    env_vars={"A": "b"},
    log_level=logging.WARNING,
)
model = builder.build(model_name="built")
facts["model"] = model.model_arn
begun = time.monotonic()
# The builder would sleep for 30 seconds before it looks for the first time; the resource looks at once.
endpoint = builder.deploy(endpoint_name="built", initial_instance_count=1, wait=False)
endpoint.wait_for_status("InService")
facts["seconds"] = time.monotonic() - begun
facts["answer"] = json.load(endpoint.invoke(body=b"[1, 2]", content_type="application/json").body)
endpoint.delete()
endpoint.wait_for_delete(poll=1)
print()
print(json.dumps(facts))
