"""An imitation of AWS in a process of its own, as tests see it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
"""Anybody's; the imitation takes all."""

REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/news"
ACCOUNT = "123456789012"

_TRUST = {
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
        }
    ]
}


class Imitation:
    """The account of a test."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str, region: str = REGION) -> Any:
        """A boto3 client of it."""
        import boto3

        session = boto3.Session(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], region_name=region)
        return session.client(service, endpoint_url=self.url)

    def reset(self) -> None:
        """An empty account with one role, where all goes well."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        urllib.request.urlopen(request).close()
        self.steer(refuse={}, states={}, foreign=[], parts=None, registry=None)
        self.client("iam").create_role(RoleName="news", AssumeRolePolicyDocument=json.dumps(_TRUST))
        self.steer(calls=[])

    def steer(self, **settings: Any) -> None:
        """See `imitation.py`."""
        body = json.dumps(settings).encode()
        urllib.request.urlopen(f"{self.url}/_test", body).close()

    @property
    def calls(self) -> list[str]:
        """The operations that came since the reset."""
        return list(self._told()["calls"])

    @property
    def owners(self) -> list[str]:
        """Whose buckets S3 was asked about."""
        return list(self._told()["owners"])

    def _told(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_test") as answer:
            return dict(json.load(answer))

    @contextmanager
    def log_later(self, endpoint: str, stream: str, line: str) -> Iterator[None]:
        """Have the endpoint print a line as soon as it is being created."""
        group = f"/aws/sagemaker/Endpoints/{endpoint}"

        def put() -> None:
            while "CreateEndpoint" not in self.calls and not over.is_set():
                over.wait(0.05)
            logs = self.client("logs")
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            event = {"timestamp": int(time.time() * 1000), "message": line}
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

        over = threading.Event()
        thread = threading.Thread(target=put)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def objects(self, bucket: str) -> dict[str, int]:
        """The keys of a bucket with their bytes; none if there is no such bucket."""
        s3 = self.client("s3")
        if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
            return {}
        found = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
        return {one["Key"]: one["Size"] for one in found}

    def resources(self) -> list[str]:
        """The names of all endpoints, configs and models."""
        sagemaker = self.client("sagemaker")
        return [
            *(one["EndpointName"] for one in sagemaker.list_endpoints()["Endpoints"]),
            *(one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]),
            *(one["ModelName"] for one in sagemaker.list_models()["Models"]),
        ]


@contextmanager
def running() -> Iterator[Imitation]:
    """The server, for as long as it is needed."""
    program = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("imitation.py"))]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            assert url, "the imitation of AWS did not start"
            yield Imitation(url)
        finally:
            server.kill()
