"""What is said where AWS refuses a call: by errors of botocore, of moto and of clients that reach nobody."""

import json
import socket
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hotfire.errors import DeployError
from hotfire.inventory import errors
from hotfire.refusals import refusal_of, refused, statement


def client_error(code: str, message: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


DENIED = (
    "User: arn:aws:iam::123456789012:user/eva is not authorized to perform: sagemaker:CreateEndpoint "
    "on resource: arn:aws:sagemaker:us-east-1:123456789012:endpoint/news because no identity-based policy "
    "allows the sagemaker:CreateEndpoint action"
)
QUOTA = (
    "The account-level service limit 'ml.g5.xlarge for endpoint usage' is 0 Instances, with current "
    "utilization of 0 Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request "
    "an increase for this quota."
)
TYPE = (
    "1 validation error detected: Value 'ml.m5.lage' at 'productionVariants.1.member.instanceType' failed to "
    "satisfy constraint: Member must satisfy enum value set: [ml.r5.large, ml.m5.large, ml.c5.large]"
)
ROLE = (
    "Could not assume role arn:aws:iam::123456789012:role/x. Please ensure that the role exists and allows "
    "principal 'sagemaker.amazonaws.com' to assume the role."
)


@pytest.mark.parametrize(
    ("code", "message", "operation", "said", "advice"),
    [
        ("ExpiredToken", "The provided token has expired.", "HeadBucket", "have expired", "Log in again"),
        (
            "ExpiredTokenException",
            "The security token is expired",
            "ListModels",
            "have expired",
            "aws sso login",
        ),
        (
            "UnrecognizedClientException",
            "The security token is invalid.",
            "ListModels",
            "does not know",
            "aws configure",
        ),
        ("SignatureDoesNotMatch", "…", "ListModels", "secret access key", "aws configure"),
        ("RequestTimeTooSkewed", "The difference is too large.", "PutObject", "clock is wrong", "NTP"),
        (
            "AccessDeniedException",
            DENIED,
            "CreateEndpoint",
            "sagemaker:CreateEndpoint is not allowed to arn:aws:iam::123456789012:user/eva on",
            "Add this statement",
        ),
        ("403", "Forbidden", "HeadObject", "s3:GetObject is not allowed", '"Action": "s3:GetObject"'),
        (
            "AccessDenied",
            "Access Denied",
            "PutObject",
            "s3:PutObject is not allowed",
            '"Action": "s3:PutObject"',
        ),
        (
            "AccessDenied",
            "Access Denied",
            "ListMultipartUploads",
            "s3:ListBucketMultipartUploads is not allowed",
            "Add this",
        ),
        (
            "AccessDeniedException",
            "Access Denied",
            "DeregisterScalableTarget",
            "application-autoscaling:DeregisterScalableTarget is not allowed",
            "Add this",
        ),
        ("AccessDenied", "Access Denied", "", "access is denied", ""),
        ("AccessDenied", "not you", "ListModels", "sagemaker:ListModels is not allowed: not you", "Add this"),
        (
            "ResourceLimitExceeded",
            QUOTA,
            "CreateEndpoint",
            "'ml.g5.xlarge for endpoint usage' is 0, 0 in use, and this needs 1 more",
            "Service Quotas",
        ),
        (
            "ResourceLimitExceeded",
            "Too many.",
            "CreateModel",
            "a quota of the account is used up",
            "Service Quotas",
        ),
        (
            "ValidationException",
            TYPE,
            "CreateEndpointConfig",
            "hosts nothing on the instance type 'ml.m5.lage'",
            "Did you mean ml.m5.large",
        ),
        ("ValidationException", ROLE, "CreateModel", "Could not assume role", '"sts:AssumeRole"'),
        (
            "ValidationException",
            "Could not access model data at s3://b/k.",
            "CreateModel",
            "Could not access",
            "s3:GetObject",
        ),
        (
            "ThrottlingException",
            "Rate exceeded",
            "DescribeEndpoint",
            "no more calls for now",
            "Wait a minute",
        ),
        ("503", "Slow down", "PutObject", "AWS itself has trouble", "again"),
        (
            "AuthorizationHeaderMalformed",
            "the region 'us-east-1' is wrong; expecting 'eu-west-1'",
            "HeadBucket",
            "the bucket is in eu-west-1",
            "model_data_path",
        ),
        ("BucketAlreadyExists", "…", "CreateBucket", "another account's", "model_data_path"),
        ("OptInRequired", "You are not subscribed", "ListModels", "has not enabled", "console"),
        ("SomethingNew", "What is that?", "ListModels", "What is that? (SomethingNew)", ""),
    ],
)
def test_a_refused_call(code: str, message: str, operation: str, said: str, advice: str) -> None:
    error = refusal_of(client_error(code, message, operation), doing="create endpoint news")
    assert error.message.startswith("create endpoint news: ")
    assert said in error.message
    assert advice in error.advice
    assert bool(error.advice) == bool(advice)


def test_the_statement_to_add_is_json_as_iam_takes_it() -> None:
    error = refused("AccessDeniedException", DENIED)
    assert json.loads(error.advice[error.advice.index("{") :]) == {
        "Effect": "Allow",
        "Action": "sagemaker:CreateEndpoint",
        "Resource": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/news",
    }


def test_to_pass_a_role_is_allowed_for_sagemaker_alone() -> None:
    condition = json.loads(statement("iam:PassRole", "arn:aws:iam::1:role/r"))["Condition"]
    assert condition == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_an_explicit_denial_cannot_be_allowed_away() -> None:
    denial = DENIED.partition(" because")[0] + " with an explicit deny in a service control policy"
    error = refused("AccessDeniedException", denial)
    assert error.message.endswith("a service control policy denies it")
    assert "statement" not in error.advice


def reaching(service: str, **settings: Any) -> Any:
    """A client that is let try once, and not for long."""
    from botocore.config import Config
    from botocore.session import Session

    session = Session()
    config = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1})
    return session.create_client(service, config=config, **settings)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_local_region_that_is_down(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client = reaching("sagemaker", region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{closed_port}")
    with pytest.raises(DeployError) as raised, errors("list models"):
        client.list_models()
    assert raised.value.message == f"list models: nothing answers at http://127.0.0.1:{closed_port}"
    assert "hotfire up" in raised.value.advice


def test_no_credentials() -> None:
    client = reaching("sagemaker", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(DeployError) as raised, errors("list models"):
        client.list_models()
    assert raised.value.message == "list models: there are no AWS credentials"
    assert "aws configure" in raised.value.advice


def test_no_region() -> None:
    with pytest.raises(DeployError) as raised, errors("list models"):
        reaching("sagemaker")
    assert raised.value.message == "list models: the AWS region is not known"
    assert "`region:`" in raised.value.advice


def test_a_region_that_is_none() -> None:
    with pytest.raises(DeployError) as raised, errors("list models"):
        reaching("sagemaker", region_name="us east 1")
    assert "us east 1" in raised.value.message
    assert raised.value.advice == "Mend `region:` in config.yml."


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("api.sagemaker.us-est-1.amazonaws.com", "Mend `region:`; the nearest is 'us-west-1'."),
        ("api.sagemaker.us-east-1.amazonaws.com", "See that this machine is online"),
        ("b.s3.eu-nord-1.amazonaws.com", "the nearest is 'eu-north-1'"),
    ],
)
def test_a_region_that_nobody_answers_for(host: str, advice: str) -> None:
    message = f'Could not connect to the endpoint URL: "https://{host}/"'
    assert advice in refused("EndpointConnectionError", message).advice


def test_a_profile_that_is_not_there() -> None:
    from botocore.session import Session

    with pytest.raises(DeployError) as raised, errors("log in"):
        Session(profile="work").create_client("sagemaker", region_name="us-east-1")
    assert raised.value.message == "log in: The config profile (work) could not be found"
    assert "list-profiles" in raised.value.advice


def test_what_botocore_itself_refuses_says_what() -> None:
    client = reaching("sagemaker", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(DeployError) as raised, errors("read endpoint"):
        client.describe_endpoint(EndpointName=1)
    assert "Invalid type for parameter EndpointName" in raised.value.message


def test_what_is_not_aws_s_passes() -> None:
    with pytest.raises(KeyError), errors("read"):
        raise KeyError("x")


@pytest.fixture
def imitation(monkeypatch: pytest.MonkeyPatch) -> Any:
    """moto, which answers with AWS's codes and messages."""
    moto = pytest.importorskip("moto", reason="pip install moto[server]")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with moto.mock_aws():
        yield moto


def test_a_bucket_that_is_not_there(imitation: Any) -> None:
    import boto3

    s3 = boto3.client("s3", region_name="us-east-1")
    with pytest.raises(DeployError) as raised, errors("read s3://absent/model.tar.gz"):
        s3.get_object(Bucket="absent", Key="model.tar.gz")
    assert "read s3://absent/model.tar.gz: The specified bucket does not exist" in raised.value.message


def test_an_instance_type_that_does_not_exist(imitation: Any) -> None:
    import boto3

    sagemaker = boto3.client("sagemaker", region_name="us-east-1")
    sagemaker.create_model(ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/xyzzyxyzzy")
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "m",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.lage",
    }
    with pytest.raises(DeployError) as raised, errors("create endpoint config news"):
        sagemaker.create_endpoint_config(EndpointConfigName="news", ProductionVariants=[variant])
    assert "hosts nothing on the instance type 'ml.m5.lage'" in raised.value.message
    assert "ml.m5.large" in raised.value.advice
