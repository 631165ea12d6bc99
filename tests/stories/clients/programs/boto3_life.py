"""The whole life of an endpoint by boto3: `boto3_life.py OLD_ARCHIVE NEW_ARCHIVE`."""

import json
import sys

import boto3

ROLE = "arn:aws:iam::000000000000:role/anybody"
old, new = sys.argv[1:]
sagemaker = boto3.client("sagemaker")
runtime = boto3.client("sagemaker-runtime")


def create(version: str, archive: str) -> None:
    sagemaker.create_model(
        ModelName=f"boto-{version}",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "pytorch-inference:2.6.0", "ModelDataUrl": f"file://{archive}"},
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName=f"boto-{version}",
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": f"boto-{version}",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
        ],
    )


def state() -> str:
    return sagemaker.describe_endpoint(EndpointName="boto")["EndpointStatus"]


def invoke() -> object:
    answer = runtime.invoke_endpoint(EndpointName="boto", ContentType="application/json", Body=b"[1, 2]")
    return {"body": json.load(answer["Body"]), "variant": answer["InvokedProductionVariant"]}


facts: dict[str, object] = {}
create("old", old)
arn = sagemaker.create_endpoint(EndpointName="boto", EndpointConfigName="boto-old")["EndpointArn"]
facts["arn"] = arn
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="boto")
facts["created"] = state()
facts["answer"] = invoke()

create("new", new)
sagemaker.update_endpoint(EndpointName="boto", EndpointConfigName="boto-new")
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="boto")
facts["updated"] = invoke()
facts["listed"] = [
    one["EndpointName"] for one in sagemaker.list_endpoints(StatusEquals="InService")["Endpoints"]
]

elsewhere = boto3.client("sagemaker", region_name="eu-central-1")
elsewhere.create_model(ModelName="boto-elsewhere", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "image"})
facts["elsewhere"] = elsewhere.describe_model(ModelName="boto-elsewhere")["ModelArn"]
facts["here"] = sagemaker.describe_model(ModelName="boto-new")["ModelArn"]
elsewhere.delete_model(ModelName="boto-elsewhere")

sagemaker.delete_endpoint(EndpointName="boto")
sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="boto")
for version in ("old", "new"):
    sagemaker.delete_endpoint_config(EndpointConfigName=f"boto-{version}")
    sagemaker.delete_model(ModelName=f"boto-{version}")
try:
    state()
except sagemaker.exceptions.ClientError as error:
    facts["gone"] = [error.response["Error"]["Code"], error.response["Error"]["Message"]]
facts["left"] = len(sagemaker.list_models()["Models"]) + len(
    sagemaker.list_endpoint_configs()["EndpointConfigs"]
)
print(json.dumps(facts))
