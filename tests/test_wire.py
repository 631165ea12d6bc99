"""The wire against botocore itself: its serialiser makes our requests, its parser reads our answers."""

import io
import json
import random
import re._constants as sre
import re._parser as sre_parser
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.utils import parse_timestamp

from hotfire.errors import (
    InternalFailure,
    ModelError,
    ResourceInUse,
    SerializationException,
    ServiceError,
    Throttling,
    UnknownOperation,
    UnrecognizedClient,
    ValidationError,
    ValidationException,
)
from hotfire.region.patterns import pattern
from hotfire.region.wire import Call, Request, Response, Service

NAMES = ("sagemaker", "sagemaker-runtime", "iam", "sts", "logs")
EVENT_STREAMS = {"InvokeEndpointWithResponseStream", "StartLiveTail", "GetLogObject"}


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    return {name: Service(name) for name in NAMES}


@pytest.fixture(scope="module")
def models() -> dict[str, ServiceModel]:
    loader = Loader()
    return {name: ServiceModel(loader.load_service_model(name, "service-2"), name) for name in NAMES}


_CATEGORIES = {sre.CATEGORY_DIGIT: "0189", sre.CATEGORY_SPACE: " ", sre.CATEGORY_NOT_WORD: " -!"}


@cache
def _tree(source: str) -> list[Any]:
    """A pattern as Python's own parser sees it."""
    return list(sre_parser.parse(pattern(source).regex.pattern))


class Values:
    """Random values of a service model's shapes, valid by the model; the same seed makes the same values.

    `optional` is the chance of a member that is not required. Times are seconds since the epoch. The query
    protocol cannot say that a structure or a map is there and empty, so for it none is.
    """

    def __init__(self, operation: OperationModel, optional: float) -> None:
        self.random = random.Random(f"{operation.service_model.service_name} {operation.name} {optional}")
        self.optional = optional
        self.least = 1 if operation.service_model.protocol == "query" else 0

    def of(self, shape: Any, depth: int = 0) -> Any:
        match shape.type_name:
            case "structure":
                return self._structure(shape, depth)
            case "list":
                return [self.of(shape.member, depth + 1) for _ in range(self._size(shape))]
            case "map":
                return {self.of(shape.key): self.of(shape.value, depth + 1) for _ in range(self._size(shape))}
            case "string":
                return self._string(shape)
            case kind:
                return self._plain(shape, kind)

    def _plain(self, shape: Any, kind: str) -> Any:
        match kind:
            case "boolean":
                return self.random.random() < 0.5
            case "blob":
                return self.random.randbytes(shape.metadata.get("min", 0) + 3)
            case "timestamp":
                return float(self.random.randrange(2_000_000_000))
            case "integer" | "long":
                return self.random.randint(*self._limits(shape))
            case "float" | "double":
                return self.random.randint(*self._limits(shape)) + 0.0
            case _:
                raise AssertionError(kind)

    def _structure(self, shape: Any, depth: int) -> dict[str, Any]:
        names = list(shape.members)
        if shape.is_tagged_union:
            names = [self.random.choice(names)]
        else:
            chance = self.optional if depth < 4 else 0.0
            chosen = [n for n in names if n in shape.required_members or self.random.random() < chance]
            names = chosen or names[: self.least if depth else 0]
        return {name: self.of(shape.members[name], depth + 1) for name in names}

    def _size(self, shape: Any) -> int:
        least = max(shape.metadata.get("min", 0), self.least)
        return min(shape.metadata.get("max", 3), max(least, self.random.randrange(3)))

    def _limits(self, shape: Any) -> tuple[int, int]:
        least = int(shape.metadata.get("min", 0))
        return least, int(min(shape.metadata.get("max", least + 100), least + 100))

    def _string(self, shape: Any) -> str:
        metadata = shape.metadata
        if "enum" in metadata:
            return self.random.choice(metadata["enum"])
        least, most = metadata.get("min", 0), metadata.get("max", 1000)
        source = metadata.get("pattern")
        for tries in range(1, 2000):
            if source is None:
                text = "".join(self.random.choice("aZ0 é<&>\"'/😀") for _ in range(max(least, 3)))[:most]
            else:
                text = self._matching(_tree(source), 1 + tries // 4)
            fits = least <= len(text) <= most and (source is None or pattern(source).fits(text))
            if fits and (text.isprintable() or "location" not in shape.serialization):  # a header is one line
                return text
        raise AssertionError(f"no value found for {shape.name}: {source}")

    def _matching(self, tree: Iterable[Any], more: int) -> str:
        return "".join(self._part(kind, value, more) for kind, value in tree)

    def _part(self, kind: Any, value: Any, more: int) -> str:
        match kind:
            case sre.LITERAL:
                return chr(value)
            case sre.ANY | sre.NOT_LITERAL:
                return "a"
            case sre.IN:
                return self._member(value)
            case sre.MAX_REPEAT | sre.MIN_REPEAT:
                least, most, inner = value
                times = self.random.randint(least, min(int(most), least + more))
                return "".join(self._matching(inner, more) for _ in range(times))
            case sre.SUBPATTERN:
                return self._matching(value[-1], more)
            case sre.BRANCH:
                return self._matching(self.random.choice(value[1]), more)
            case sre.AT | sre.ASSERT | sre.ASSERT_NOT:
                return ""
            case other:
                raise AssertionError(other)

    def _member(self, members: list[Any]) -> str:
        if members[0][0] is sre.NEGATE:
            return self.random.choice("aZ09")
        kind, value = self.random.choice(members)
        match kind:
            case sre.LITERAL:
                return chr(value)
            case sre.RANGE:
                return chr(self.random.randint(value[0], min(value[1], value[0] + 90)))
            case sre.CATEGORY:
                return self.random.choice(_CATEGORIES.get(value, "aZ09"))
            case other:
                raise AssertionError(other)


def sent(operation: OperationModel, params: dict[str, Any]) -> Request:
    """The request that botocore sends for an operation."""
    serialised = create_serializer(operation.service_model.protocol).serialize_to_request(params, operation)
    url = "http://localhost" + serialised["url_path"]
    prepared = AWSRequest(
        serialised["method"], url, serialised["headers"], serialised["body"], serialised["query_string"]
    ).prepare()
    path, _, query = prepared.url.removeprefix("http://localhost").partition("?")
    body = prepared.body.encode() if isinstance(prepared.body, str) else bytes(prepared.body or b"")
    return Request(
        prepared.method,
        path,
        query,
        {name.lower(): _text(value) for name, value in prepared.headers.items()},
        body,
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def received(response: Response, shape: Any, protocol: str) -> dict[str, Any]:
    """What botocore reads from an answer."""
    payload = None if shape is None else shape.serialization.get("payload")
    raw = {
        "status_code": response.status,
        "headers": HeadersDict(dict(response.headers)),
        "body": io.BytesIO(response.body) if payload and response.status < 300 else response.body,
        "context": {},
    }
    parsed: dict[str, Any] = create_parser(protocol).parse(raw, shape)
    if payload and response.status < 300:
        parsed[payload] = parsed[payload].read()
    return parsed


def timed(shape: Any, value: Any) -> Any:
    """A value with its times as botocore gives them."""
    match shape.type_name:
        case "structure":
            return {name: timed(shape.members[name], member) for name, member in value.items()}
        case "list":
            return [timed(shape.member, member) for member in value]
        case "map":
            return {key: timed(shape.value, member) for key, member in value.items()}
        case "timestamp":
            return parse_timestamp(value)
        case _:
            return value


# Every operation, both ways


@pytest.mark.parametrize("optional", [0.0, 0.35, 0.8])
@pytest.mark.parametrize("name", NAMES)
def test_every_request_of_botocore_is_read(
    name: str, optional: float, services: dict[str, Service], models: dict[str, ServiceModel]
) -> None:
    for operation in map(models[name].operation_model, models[name].operation_names):
        shape = operation.input_shape
        params = {} if shape is None else Values(operation, optional).of(shape)
        call = services[name].parse(sent(operation, params))
        assert call == Call(name, operation.name, params)


@pytest.mark.parametrize("optional", [0.0, 0.35, 0.8])
@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_read_by_botocore(
    name: str, optional: float, services: dict[str, Service], models: dict[str, ServiceModel]
) -> None:
    for operation in map(models[name].operation_model, models[name].operation_names):
        if operation.name in EVENT_STREAMS:
            continue
        shape = operation.output_shape
        result = {} if shape is None else Values(operation, optional).of(shape)
        answer = services[name].answer(Call(name, operation.name, {}), result, "the-id")
        parsed = received(answer, shape, models[name].protocol)
        assert parsed.pop("ResponseMetadata")["RequestId"] == "the-id"
        assert parsed == ({} if shape is None else timed(shape, result))


# json 1.1, as SageMaker speaks it


def posted(operation: str, body: bytes | dict[str, Any]) -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request("POST", "/", "", {"x-amz-target": f"SageMaker.{operation}"}, raw)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("SageMaker.CreateRocket", "SageMaker has no operation 'CreateRocket'."),
        ("Logs_20140328.CreateModel", "SageMaker has no operation 'CreateModel'."),
        ("CreateModel", "SageMaker has no operation 'CreateModel'."),
        ("", "No operation is named."),
    ],
)
def test_an_unknown_operation_is_named(services: dict[str, Service], target: str, message: str) -> None:
    with pytest.raises(UnknownOperation) as refused:
        services["sagemaker"].parse(Request("POST", "/", "", {"x-amz-target": target}, b"{}"))
    assert refused.value.message == message


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff{}",
        b'{"ModelName": NaN}',
        b'{"a":' * 100_000,
        b'{"a": 1' + b"0" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(services: dict[str, Service], body: bytes) -> None:
    with pytest.raises(SerializationException):
        services["sagemaker"].parse(posted("ListModels", body))


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        ("DescribeModel", {"ModelName": 5}, "NUMBER_VALUE can not be converted to a String at 'modelName'"),
        ("DescribeModel", {"ModelName": True}, "TRUE_VALUE can not be converted to a String at 'modelName'"),
        ("DescribeModel", {"ModelName": {}}, "START_OBJECT can not be converted to a String at 'modelName'"),
        (
            "ListModels",
            {"MaxResults": "5"},
            "STRING_VALUE can not be converted to an Integer at 'maxResults'",
        ),
        (
            "ListModels",
            {"MaxResults": 5.5},
            "NUMBER_VALUE can not be converted to an Integer at 'maxResults'",
        ),
        (
            "ListModels",
            {"MaxResults": 2**31},
            "NUMBER_VALUE can not be converted to an Integer at 'maxResults'",
        ),
        (
            "ListModels",
            {"MaxResults": False},
            "FALSE_VALUE can not be converted to an Integer at 'maxResults'",
        ),
        (
            "ListModels",
            b'{"CreationTimeAfter": 1e999}',
            "NUMBER_VALUE can not be converted to a Timestamp at 'creationTimeAfter'",
        ),
        ("CreateModel", {"Containers": {}}, "START_OBJECT can not be converted to a List at 'containers'"),
        (
            "CreateModel",
            {"Containers": [[]]},
            "START_ARRAY can not be converted to a Structure at 'containers.1.member'",
        ),
        (
            "CreateModel",
            {"Containers": [{}, {"Environment": {"A": 1}}]},
            "NUMBER_VALUE can not be converted to a String at 'containers.2.member.environment.A.member'",
        ),
        ("CreateModel", b'{"ModelName": "\\ud800"}', "Invalid Unicode at 'modelName'"),
    ],
)
def test_a_value_of_another_type_is_named(
    services: dict[str, Service], operation: str, body: Any, message: str
) -> None:
    with pytest.raises(SerializationException) as refused:
        services["sagemaker"].parse(posted(operation, body))
    assert refused.value.message == message


@pytest.mark.parametrize("body", [b"", b"{}", b'{"MaxResults": null}', b'{"OfTomorrow": {"a": [1]}}'])
def test_what_is_absent_null_or_unknown_is_left_out(services: dict[str, Service], body: bytes) -> None:
    assert services["sagemaker"].parse(posted("ListModels", body)).params == {}


def test_a_whole_number_may_be_written_as_a_float(services: dict[str, Service]) -> None:
    assert services["sagemaker"].parse(posted("ListModels", b'{"MaxResults": 5.0}')).params == {
        "MaxResults": 5
    }


def test_a_time_may_be_written_as_text(services: dict[str, Service]) -> None:
    body = {"CreationTimeAfter": "1970-01-02T00:00:00Z"}
    assert services["sagemaker"].parse(posted("ListModels", body)).params == {"CreationTimeAfter": 86400.0}


def test_an_answer_leaves_out_what_is_absent_or_unknown(services: dict[str, Service]) -> None:
    result = {"ModelName": "m", "VpcConfig": None, "Surprise": 1, "CreationTime": 1.23456}
    answer = services["sagemaker"].answer(Call("sagemaker", "DescribeModel", {}), result, "id")
    assert answer.body == b'{"ModelName": "m", "CreationTime": 1.235}'
    assert dict(answer.headers)["Content-Type"] == "application/x-amz-json-1.1"


def test_an_operation_without_an_answer_has_an_empty_one(services: dict[str, Service]) -> None:
    assert services["sagemaker"].answer(Call("sagemaker", "DeleteModel", {}), {}).body == b""


def test_every_answer_has_a_request_id_of_its_own(services: dict[str, Service]) -> None:
    call = Call("sagemaker", "DeleteModel", {})
    ids = {dict(services["sagemaker"].answer(call, {}).headers)["x-amzn-RequestId"] for _ in range(3)}
    assert len(ids) == 3


# rest-json, as SageMaker Runtime speaks it


def invoked(
    path: str = "/endpoints/e/invocations", method: str = "POST", body: bytes = b"x", **headers: str
) -> Request:
    return Request(method, path, "", {name.replace("_", "-"): value for name, value in headers.items()}, body)


def test_an_invocations_body_is_its_bytes(services: dict[str, Service]) -> None:
    body = bytes(range(256))
    params = services["sagemaker-runtime"].parse(invoked(body=body, content_type="image/png")).params
    assert params == {"EndpointName": "e", "Body": body, "ContentType": "image/png"}


def test_an_invocations_body_may_be_empty(services: dict[str, Service]) -> None:
    assert services["sagemaker-runtime"].parse(invoked(body=b"")).params == {"EndpointName": "e", "Body": b""}


def test_headers_that_the_api_lacks_are_no_parameters(services: dict[str, Service]) -> None:
    params = services["sagemaker-runtime"].parse(invoked(x_other="1", authorization="2")).params
    assert set(params) == {"EndpointName", "Body"}


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/endpoints/e/invocations", "InvokeEndpoint"),
        ("/endpoints/e/async-invocations", "InvokeEndpointAsync"),
        ("/endpoints/e/invocations-response-stream", "InvokeEndpointWithResponseStream"),
    ],
)
def test_a_path_names_the_operation(services: dict[str, Service], path: str, operation: str) -> None:
    assert services["sagemaker-runtime"].parse(invoked(path)).operation == operation


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/endpoints/e/invocations"),
        ("POST", "/endpoints/e/invocations/"),
        ("POST", "/endpoints//invocations"),
        ("POST", "/endpoints/a/b/invocations"),
        ("POST", "/x/endpoints/e/invocations"),
        ("POST", "/"),
    ],
)
def test_another_path_is_no_operation(services: dict[str, Service], method: str, path: str) -> None:
    with pytest.raises(UnknownOperation) as refused:
        services["sagemaker-runtime"].parse(invoked(path, method))
    assert refused.value.message == f"{method} {path} is no operation of SageMaker Runtime."


@pytest.mark.parametrize(
    ("service", "status"), [("sagemaker", 400), ("sagemaker-runtime", 404), ("sts", 400), ("logs", 400)]
)
def test_an_operation_that_is_a_path_is_not_found(
    services: dict[str, Service], service: str, status: int
) -> None:
    assert services[service].refuse(UnknownOperation("x"), "id").status == status


@pytest.mark.parametrize("path", ["/endpoints/a%2Fb/invocations", "/endpoints/%C3%A9/invocations"])
def test_a_name_in_a_path_is_decoded_and_then_validated(services: dict[str, Service], path: str) -> None:
    with pytest.raises(ValidationError, match=r"Value '(a/b|é)' at 'endpointName' failed to satisfy"):
        services["sagemaker-runtime"].parse(invoked(path))


def test_a_number_in_a_header_is_a_number(services: dict[str, Service]) -> None:
    request = invoked("/endpoints/e/async-invocations", x_amzn_sagemaker_requestttlseconds="60")
    assert services["sagemaker-runtime"].parse(request).params["RequestTTLSeconds"] == 60


def test_a_word_in_place_of_a_number_is_refused(services: dict[str, Service]) -> None:
    request = invoked("/endpoints/e/async-invocations", x_amzn_sagemaker_requestttlseconds="soon")
    with pytest.raises(
        SerializationException, match="can not be converted to an Integer at 'requestTTLSeconds'"
    ):
        services["sagemaker-runtime"].parse(request)


def test_a_payload_over_the_limit_is_refused_without_being_shown(services: dict[str, Service]) -> None:
    with pytest.raises(ValidationError) as refused:
        services["sagemaker-runtime"].parse(invoked(body=b"x" * 6_291_457))
    assert refused.value.message == (
        "1 validation error detected: Value at 'body' failed to satisfy constraint: "
        "Member must have length less than or equal to 6291456"
    )


def test_an_answers_headers_cannot_be_broken_out_of(services: dict[str, Service]) -> None:
    result = {"Body": b"", "CustomAttributes": "a\r\nSet-Cookie: b"}
    answer = services["sagemaker-runtime"].answer(Call("sagemaker-runtime", "InvokeEndpoint", {}), result)
    assert dict(answer.headers)["X-Amzn-SageMaker-Custom-Attributes"] == "a  Set-Cookie: b"


def test_an_asynchronous_invocation_is_accepted(services: dict[str, Service]) -> None:
    result = {"InferenceId": "i", "OutputLocation": "s3://b/o"}
    answer = services["sagemaker-runtime"].answer(
        Call("sagemaker-runtime", "InvokeEndpointAsync", {}), result
    )
    assert (answer.status, answer.body) == (202, b'{"InferenceId": "i"}')
    assert dict(answer.headers)["X-Amzn-SageMaker-OutputLocation"] == "s3://b/o"


# query, as IAM and STS speak it


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"Action=CreateRocket", "IAM has no operation 'CreateRocket'."),
        (b"RoleName=r", "No operation is named."),
    ],
)
def test_an_unknown_action_is_named(services: dict[str, Service], body: bytes, message: str) -> None:
    with pytest.raises(UnknownOperation) as refused:
        services["iam"].parse(Request("POST", "/", "", {}, body))
    assert refused.value.message == message


def test_an_action_may_stand_in_the_query_string(services: dict[str, Service]) -> None:
    call = services["iam"].parse(Request("GET", "/", "Action=GetRole&RoleName=r", {}, b""))
    assert call == Call("iam", "GetRole", {"RoleName": "r"})


def test_items_are_read_in_the_order_of_their_numbers(services: dict[str, Service]) -> None:
    fields = "&".join(f"ActionNames.member.{number}=iam:a{number}" for number in (10, 9, 1))
    body = f"Action=SimulateCustomPolicy&PolicyInputList.member.1=p&{fields}"
    call = services["iam"].parse(Request("POST", "/", "", {}, body.encode()))
    assert call.params["ActionNames"] == ["iam:a1", "iam:a9", "iam:a10"]


@pytest.mark.parametrize(
    "fields",
    [
        "RoleName=a&RoleName=b",
        "RoleName=a&RoleName.x=b",
        "RoleName.x=a",
        "RoleName=r&Tags=x",
        "RoleName=r&Tags.member.x.Key=k",
        "RoleName=r&Tags.member.1=k",
        f"RoleName=r&Tags.member.{'1' * 5000}.Key=k",
        "RoleName=r&Tags.Key=k",
        "RoleName=%ff",
        "RoleName=r&MaxSessionDuration=long",
    ],
)
def test_fields_that_do_not_fit_the_shape_are_refused(services: dict[str, Service], fields: str) -> None:
    with pytest.raises(SerializationException):
        services["iam"].parse(Request("POST", "/", "", {}, f"Action=CreateRole&{fields}".encode()))


def test_the_query_protocol_has_its_own_word_for_a_bad_parameter(services: dict[str, Service]) -> None:
    with pytest.raises(ValidationError, match="Value null at 'roleName' failed to satisfy"):
        services["iam"].parse(Request("POST", "/", "", {}, b"Action=GetRole"))


# Errors


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ResourceInUse("<in> use"), "ResourceInUse"),
        (Throttling("slower"), "ThrottlingException"),
        (InternalFailure("ours & not yours"), "InternalFailure"),
    ],
)
def test_botocore_reads_an_error(
    services: dict[str, Service], models: dict[str, ServiceModel], name: str, error: ServiceError, code: str
) -> None:
    answer = services[name].refuse(error, "the-id")
    operation = models[name].operation_model(models[name].operation_names[0])
    parsed = received(answer, operation.output_shape, models[name].protocol)
    assert answer.status == error.status
    assert parsed["Error"]["Code"] == code
    assert parsed["Error"]["Message"] == error.message
    assert parsed["ResponseMetadata"]["RequestId"] == "the-id"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValidationException("x"), "ValidationError"),
        (UnknownOperation("x"), "InvalidAction"),
        (UnrecognizedClient("x"), "InvalidClientTokenId"),
    ],
)
def test_the_query_protocol_has_its_own_codes(
    services: dict[str, Service], error: ServiceError, code: str
) -> None:
    assert received(services["sts"].refuse(error, "id"), None, "query")["Error"]["Code"] == code


def test_an_error_has_the_members_of_its_shape(
    services: dict[str, Service], models: dict[str, ServiceModel]
) -> None:
    error = ModelError("It raised.", OriginalStatusCode=500, OriginalMessage="Traceback", Surprise=1)
    answer = services["sagemaker-runtime"].refuse(error, "id")
    assert answer.status == 424
    assert dict(answer.headers)["x-amzn-errortype"] == "ModelError"
    shape = models["sagemaker-runtime"].shape_for("ModelError")
    assert received(answer, shape, "rest-json") == {
        "Message": "It raised.",
        "OriginalStatusCode": 500,
        "OriginalMessage": "Traceback",
    }


def test_an_error_of_a_shape_in_xml_is_escaped(services: dict[str, Service]) -> None:
    answer = services["iam"].refuse(ValidationException("<a> & \x00 b"), "id")
    assert received(answer, None, "query")["Error"]["Message"] == "<a> & \ufffd b"
