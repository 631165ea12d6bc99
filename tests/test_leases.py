"""Leases of a real region: who answers while somebody has an endpoint for itself."""

import base64
import http.client
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from hotfire.address import Address
from hotfire.errors import RegionError
from hotfire.hashes import HashCache
from hotfire.model_data import Entry, tree_sha256

HANDLER = """\
def model_fn(model_dir):
    print("loaded", flush=True)
    return "model"

def transform_fn(model, body, content_type, accept):
    return "one"
"""


class Held:
    """A lease, and what is said on it."""

    def __init__(self, region: Address, endpoint: str) -> None:
        self._region, self.endpoint = region, endpoint
        parts = urlsplit(region.url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port or 0, timeout=60)
        body = json.dumps({"endpoint": endpoint, "pid": os.getpid(), "tags": {"hotfire:project": "p"}})
        headers = {"Authorization": region.key.bearer}
        self._connection.request("POST", "/_hotfire/lease", body, headers)
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.read()
        self.lease = self.event()["lease"]

    def event(self) -> dict[str, Any]:
        """The next thing that is said."""
        said: dict[str, Any] = json.loads(self._answer.readline())
        return said

    def reload(self, folder: Path, **more: Any) -> dict[str, Any]:
        hashes = HashCache(folder.parent / "hashes.json")
        entries = []
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            digest = hashes.digest(path)
            entries.append(
                Entry(str(path.relative_to(folder)), path, digest.size, digest.mode, digest.sha256)
            )
        manifest = [
            {"place": e.place, "source": str(e.source), "size": e.size, "mode": e.mode, "sha256": e.sha256}
            for e in entries
        ]
        params = {
            "lease": self.lease,
            "sha256": tree_sha256(entries),
            "entries": manifest,
            "environment": {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
            "startup_timeout": 60,
            **more,
        }
        result: dict[str, Any] = self._region.call("POST", "/_hotfire/reload", params, timeout=60)
        return result

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "code").mkdir(parents=True)
    (folder / "model.pt").touch()
    (folder / "code" / "serve.py").write_text(HANDLER)
    return folder


@pytest.fixture
def client(region: Address) -> Callable[[str], Any]:
    """boto3's client of a service."""

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=region.url,
            region_name="eu-west-1",
            aws_access_key_id=region.key.access_key,
            aws_secret_access_key=region.key.secret_key,
        )

    return client


@pytest.fixture
def held(region: Address, request: pytest.FixtureRequest) -> Iterator[Held]:
    name = request.node.name.replace("_", "-")[:50].rstrip("-")
    with closing(Held(region, name)) as held:
        yield held


def ask(client: Callable[[str], Any], endpoint: str) -> str:
    answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=b"x")
    text: str = answer["Body"].read().decode()
    return text


def change(source: str, *names: str) -> dict[str, Any]:
    return {"place": "code/serve.py", "source": source, "names": list(names), "removed": []}


def test_what_is_reloaded_is_what_answers(held: Held, project: Path, client: Callable[[str], Any]) -> None:
    held.reload(project)
    assert ask(client, held.endpoint) == "one"
    (project / "code" / "serve.py").write_text(HANDLER.replace("one", "two"))
    held.reload(project)
    assert ask(client, held.endpoint) == "two"


def test_an_edit_keeps_the_model(held: Held, project: Path, client: Callable[[str], Any]) -> None:
    held.reload(project)
    source = HANDLER.replace("one", "two").replace('"model"', '"another"')
    (project / "code" / "serve.py").write_text(source)
    result = held.reload(project, changes=[change(source, "transform_fn")], generation=1)
    assert result["kept"] is True
    assert ask(client, held.endpoint) == "two"
    assert held.event()["line"] == "loaded"  # once


def test_an_edit_to_a_model_that_is_gone_is_a_load(held: Held, project: Path) -> None:
    held.reload(project)
    held.reload(project)
    result = held.reload(project, changes=[change(HANDLER, "transform_fn")], generation=1)
    assert (result["kept"], result["generation"]) == (False, 3)


def test_what_cannot_be_edited_is_loaded_anew(
    held: Held, project: Path, client: Callable[[str], Any]
) -> None:
    held.reload(project)
    result = held.reload(project, changes=[change(HANDLER, "no_such_function")], generation=1)
    assert result["kept"] is False
    assert ask(client, held.endpoint) == "one"


def test_examples_are_answered_by_what_is_not_live_yet(held: Held, project: Path) -> None:
    example = {"Body": base64.b64encode(b"x").decode(), "ContentType": "text/csv"}
    answers = held.reload(project, examples=[example, example])["answers"]
    assert [base64.b64decode(answer["body"]) for answer in answers] == [b"one", b"one"]
    assert [answer["status"] for answer in answers] == [200, 200]


def test_a_handler_that_does_not_load_is_what_requests_are_told(
    held: Held, project: Path, client: Callable[[str], Any]
) -> None:
    held.reload(project)
    (project / "code" / "serve.py").write_text("import no_such_module\n")
    failure = held.reload(project)["failure"]
    assert failure["message"] == "ModuleNotFoundError: No module named 'no_such_module'"
    with pytest.raises(ClientError, match="No module named 'no_such_module'") as raised:
        ask(client, held.endpoint)
    assert raised.value.response["OriginalStatusCode"] == 500
    (project / "code" / "serve.py").write_text(HANDLER)
    held.reload(project)
    assert ask(client, held.endpoint) == "one"


def test_its_endpoint_is_there_for_every_client(
    held: Held, project: Path, client: Callable[[str], Any]
) -> None:
    held.reload(project)
    sagemaker = client("sagemaker")
    found = sagemaker.describe_endpoint(EndpointName=held.endpoint)
    assert found["EndpointStatus"] == "InService"
    config = sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    assert model["PrimaryContainer"]["Environment"]["SAGEMAKER_PROGRAM"] == "serve.py"


def test_nothing_of_it_is_left_when_its_connection_ends(
    region: Address, project: Path, client: Callable[[str], Any]
) -> None:
    held = Held(region, "ends")
    held.reload(project)
    held.close()
    waiter = client("sagemaker").get_waiter("endpoint_deleted")
    waiter.wait(EndpointName="ends", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    assert client("sagemaker").list_models(NameContains="ends")["Models"] == []


def test_two_cannot_have_one_endpoint(held: Held, region: Address) -> None:
    params = {"endpoint": held.endpoint, "pid": 1, "tags": {}}
    with pytest.raises(RegionError, match=rf"process {os.getpid()}\) serves the endpoint"):
        region.call("POST", "/_hotfire/lease", params)


def test_it_cannot_be_changed_by_others(held: Held, client: Callable[[str], Any]) -> None:
    with pytest.raises(ClientError, match="`hotfire dev`"):
        client("sagemaker").delete_endpoint(EndpointName=held.endpoint)


def test_what_is_deployed_answers_again_afterwards(
    region: Address, project: Path, client: Callable[[str], Any]
) -> None:
    sagemaker = client("sagemaker")
    source = {"S3Uri": f"{project.as_uri()}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    sagemaker.create_model(
        ModelName="deployed",
        ExecutionRoleArn="arn:aws:iam::000000000000:role/r",
        PrimaryContainer={
            "ModelDataSource": {"S3DataSource": source},
            "Environment": {"SAGEMAKER_PROGRAM": "serve.py"},
        },
    )
    variant = {
        "VariantName": "v",
        "ModelName": "deployed",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="deployed", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="deployed", EndpointConfigName="deployed")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="deployed")
    held = Held(region, "deployed")
    (project / "code" / "serve.py").write_text(HANDLER.replace("one", "two"))
    held.reload(project)
    assert ask(client, "deployed") == "two"
    arn = sagemaker.describe_endpoint(EndpointName="deployed")["EndpointArn"]
    tag = {"Key": "hotfire:dev", "Value": str(os.getpid())}
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [tag]
    held.close()
    while ask(client, "deployed") == "two":
        pass  # until the region has seen that the connection has ended
    assert ask(client, "deployed") == "one"
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
    sagemaker.delete_endpoint(EndpointName="deployed")


def test_the_last_request_of_a_client_is_known(
    held: Held, project: Path, client: Callable[[str], Any], region: Address
) -> None:
    held.reload(project)
    assert region.call("POST", "/_hotfire/last", {"lease": held.lease}) is None
    client("sagemaker-runtime").invoke_endpoint(
        EndpointName=held.endpoint, Body=b"1,2", ContentType="text/csv"
    )
    last = region.call("POST", "/_hotfire/last", {"lease": held.lease})
    assert base64.b64decode(last["body"]) == b"1,2"
    assert last["headers"]["Content-Type"] == "text/csv"
    assert base64.b64decode(last["answer"]["body"]) == b"one"


QUIET = {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_MODEL_SERVER_WORKERS": "1", "HOTFIRE_JOURNAL": "false"}


def test_no_request_is_kept_where_that_is_the_wish(
    held: Held, project: Path, client: Callable[[str], Any], region: Address
) -> None:
    def recorded() -> tuple[int, int]:
        found = region.call("POST", "/_hotfire/requests", {"endpoint": held.endpoint, "limit": 9})
        return len(found["requests"]), found["left_out"]

    held.reload(project)
    ask(client, held.endpoint)
    held.reload(project, environment=QUIET)
    ask(client, held.endpoint)
    # Nor what came before, once it is wished for.
    with pytest.raises(RegionError, match="no request is kept that could be saved"):
        region.call("POST", "/_hotfire/last", {"lease": held.lease})
    assert recorded() == (1, 1)
    (project / "code" / "serve.py").write_text("raise ImportError('no')")
    held.reload(project, environment=QUIET)
    with pytest.raises(ClientError):
        ask(client, held.endpoint)
    assert recorded() == (1, 2)


def test_a_report_is_for_a_lease_that_there_is(held: Held, region: Address) -> None:
    region.call("POST", "/_hotfire/report", {"lease": held.lease, "report": {"examples": []}})
    with pytest.raises(RegionError, match="there is no such lease"):
        region.call("POST", "/_hotfire/report", {"lease": "other", "report": {}})
