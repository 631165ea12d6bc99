"""moto's server as a program, with what it lacks of AWS and what tests want to happen there.

It prints its address. `POST /_test` takes JSON that steers it, `GET /_test` answers the calls that came:

    {"refuse": {"CreateEndpoint": ["ResourceLimitExceeded", "…"]}}   operations that are refused
    {"states": {"CreateEndpoint": ["Creating", "Failed"]}}           what an endpoint goes through afterwards
    {"foreign": ["bucket"]}                                          buckets of another account
    {"parts": 2}                                                     how many parts S3 takes, then is silent
    {"registry": "http://127.0.0.1:5000"}                            where the account's registry of images is
"""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sagemaker.models import sagemaker_backends
from werkzeug.serving import make_server

ACCOUNT = "123456789012"


class Imitation:
    """A WSGI application around moto's."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self.calls: list[str] = []
        self.owners: set[str] = set()
        self.refuse: dict[str, list[str]] = {}
        self.states: dict[str, list[str]] = {}
        self.foreign: list[str] = []
        self.parts: int | None = None
        self.registry: str | None = None
        self._moving: dict[str, list[str]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/_test":
            return self._steer(environ, start_response)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        operation = target.partition(".")[2] if target else self._of_s3(environ)
        with self._lock:
            self.calls.append(operation)
        if operation == "UploadPart" and self._is_enough():
            threading.Event().wait()  # like a network that is gone
        if operation in self.refuse:
            return _refused(start_response, *self.refuse[operation])
        if environ["PATH_INFO"].strip("/").partition("/")[0] in self.foreign:
            return _answer(start_response, "403 Forbidden", b"", "application/xml")
        if operation == "GetAuthorizationToken" and self.registry:
            return self._login(start_response)
        if target.startswith("SageMaker."):
            return self._sagemaker(operation, environ, start_response)
        return self._moto(environ, start_response)

    def _of_s3(self, environ: dict[str, Any]) -> str:
        """The operation, as far as tests ask for it; of others the method and the path."""
        method, query = environ["REQUEST_METHOD"], parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
        if "/s3/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return "Query"
        self.owners.add(environ.get("HTTP_X_AMZ_EXPECTED_BUCKET_OWNER", ""))
        names = {
            ("PUT", "partNumber"): "UploadPart",
            ("POST", "uploads"): "CreateMultipartUpload",
            ("POST", "uploadId"): "CompleteMultipartUpload",
            ("POST", "delete"): "DeleteObjects",
            ("PUT", "publicAccessBlock"): "PutPublicAccessBlock",
        }
        found = next((names[method, name] for name in query if (method, name) in names), None)
        copied = "HTTP_X_AMZ_COPY_SOURCE" in environ
        return found or ("CopyObject" if copied else f"S3 {method} {environ['PATH_INFO']}")

    def _is_enough(self) -> bool:
        with self._lock:
            if self.parts is None:
                return False
            self.parts -= 1
            return self.parts < 0

    def _sagemaker(self, operation: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        params = json.loads(body or b"{}")
        name = params.get("EndpointName", "")
        region = environ["HTTP_AUTHORIZATION"].split("/")[2]
        endpoints = sagemaker_backends[ACCOUNT][region].endpoints
        if operation == "DescribeEndpoint" and name in endpoints and self._moving.get(name):
            self._move(endpoints[name], self._moving[name].pop(0))
        if operation in ("CreateEndpoint", "UpdateEndpoint"):
            self._moving[name] = list(self.states.get(operation, []))
        if operation == "UpdateEndpoint":
            return self._update(endpoints[name], params, start_response)
        if operation == "AddTags":
            self._forget_tags(params, endpoints)
        return self._moto(environ, start_response)

    def _move(self, endpoint: Any, state: str) -> None:
        endpoint.endpoint_status, _, reason = state.partition(":")
        endpoint.failure_reason = reason or None
        if reason and endpoint.endpoint_status == "InService":
            endpoint.endpoint_config_name = endpoint.previous

    def _update(self, endpoint: Any, params: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """moto has no UpdateEndpoint."""
        endpoint.previous = endpoint.endpoint_config_name
        endpoint.endpoint_config_name = params["EndpointConfigName"]
        answer = json.dumps({"EndpointArn": endpoint.arn}).encode()
        return _answer(start_response, "200 OK", answer, "application/x-amz-json-1.1")

    def _login(self, start_response: Any) -> Iterable[bytes]:
        """As moto answers, but for the address."""
        token = base64.b64encode(f"AWS:{ACCOUNT}-auth-token".encode()).decode()
        data = {"authorizationToken": token, "expiresAt": 4e9, "proxyEndpoint": self.registry}
        answer = json.dumps({"authorizationData": [data]}).encode()
        return _answer(start_response, "200 OK", answer, "application/x-amz-json-1.1")

    def _forget_tags(self, params: dict[str, Any], endpoints: dict[str, Any]) -> None:
        """moto keeps two tags of one name."""
        names = {tag["Key"] for tag in params["Tags"]}
        for endpoint in endpoints.values():
            if endpoint.arn == params["ResourceArn"]:
                endpoint.tags = [tag for tag in endpoint.tags if tag["Key"] not in names]

    def _steer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            given = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            for name, value in given.items():
                setattr(self, name, value)
        told = {"calls": self.calls, "owners": sorted(self.owners)}
        return _answer(start_response, "200 OK", json.dumps(told).encode(), "application/json")


def _refused(start_response: Any, code: str, message: str) -> Iterable[bytes]:
    body = json.dumps({"__type": code, "message": message}).encode()
    return _answer(start_response, "400 Bad Request", body, "application/x-amz-json-1.1")


def _answer(start_response: Any, status: str, body: bytes, kind: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, Imitation(), threaded=True)
    server.daemon_threads = True
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
