"""What AWS refuses, and what does not reach it, each as one message that says what to do; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from hotfire.errors import DeployError
from hotfire.images import ACCOUNTS

PERHAPS_LOCAL = "If that is the local region: `hotfire up` starts it again."
"""The advice where nothing answers at an address of this machine."""

_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

_ACTIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": "s3:PutObject",
    "CreateBucket": "s3:CreateBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "CreateRepository": "ecr:CreateRepository",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "DeleteRepository": "ecr:DeleteRepository",
    "DescribeImages": "ecr:DescribeImages",
    "DescribeRepositories": "ecr:DescribeRepositories",
    "GetAuthorizationToken": "ecr:GetAuthorizationToken",
    "GetBucketLocation": "s3:GetBucketLocation",
    "GetObject": "s3:GetObject",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "ListObjects": "s3:ListBucket",
    "ListTagsForResource": "ecr:ListTagsForResource",
    "ListObjectsV2": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutObject": "s3:PutObject",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
    "GetRole": "iam:GetRole",
    "ListRoles": "iam:ListRoles",
    "PassRole": "iam:PassRole",
    "GetCallerIdentity": "sts:GetCallerIdentity",
    "DescribeLogStreams": "logs:DescribeLogStreams",
    "FilterLogEvents": "logs:FilterLogEvents",
    "GetLogEvents": "logs:GetLogEvents",
    "DeregisterScalableTarget": "application-autoscaling:DeregisterScalableTarget",
    "RegisterScalableTarget": "application-autoscaling:RegisterScalableTarget",
    "PutScalingPolicy": "application-autoscaling:PutScalingPolicy",
}
"""The IAM action of an operation, where it is not `sagemaker:` and the operation's name."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused call: botocore's code (or the name of its exception), its message and the operation."""

    code: str
    message: str
    operation: str = ""


def refused(code: str, message: str, operation: str = "", *, doing: str = "") -> DeployError:
    """The error for a code of AWS's, or for the name of an exception of botocore's.

    `doing` is what the call was for, and begins the message.
    """
    refusal = Refusal(code, message, operation)
    explain = _EXPLAINED.get(code, _plain)
    said, advice = explain(refusal)
    return DeployError(f"{doing}: {said}" if doing else said, advice)


def refusal_of(error: Exception, *, doing: str = "") -> DeployError:
    """The same for an exception of botocore's, a ClientError or another."""
    response: Mapping[str, Any] | None = getattr(error, "response", None)
    if response is None:
        return refused(type(error).__name__, str(error), doing=doing)
    reason = response.get("Error", {})
    code, message = str(reason.get("Code", "")), str(reason.get("Message", ""))
    return refused(code, message, str(getattr(error, "operation_name", "")), doing=doing)


def statement(action: str, resource: str = "*") -> str:
    """The statement of an IAM policy that allows an action, as JSON."""
    allowed: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    if action == "iam:PassRole":
        allowed["Condition"] = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    return json.dumps(allowed)


Said = tuple[str, str]


def _plain(refusal: Refusal) -> Said:
    if refusal.operation or not refusal.code.endswith("Error"):
        return f"{refusal.message} ({refusal.code})", ""
    return refusal.message, ""  # an exception of botocore's says in its message all that it has to say


def _no_credentials(refusal: Refusal) -> Said:
    return "there are no AWS credentials", (
        "Set them up by `aws configure` or `aws configure sso`, or name a `profile:` in config.yml."
    )


def _unusable_credentials(refusal: Refusal) -> Said:
    return f"the AWS credentials cannot be used: {refusal.message}", "See `aws configure list`."


def _no_profile(refusal: Refusal) -> Said:
    return refusal.message, "`aws configure list-profiles` shows which there are; mend `profile:`."


def _expired(refusal: Refusal) -> Said:
    return f"the AWS credentials have expired ({refusal.code})", (
        "Log in again (`aws sso login`, or as you got them) and run the command again: what was done is kept."
    )


def _unknown_key(refusal: Refusal) -> Said:
    if "hotfire" in refusal.message:  # a local region has said what to do
        return refusal.message, ""
    return f"AWS does not know these credentials: {refusal.message} ({refusal.code})", (
        "See `aws configure list` for where they come from; a region that must be enabled first says so, too."
    )


def _wrong_secret(refusal: Refusal) -> Said:
    return f"the secret access key does not belong to the access key ({refusal.code})", (
        "Set both again by `aws configure`, or unset AWS_SECRET_ACCESS_KEY."
    )


def _clock(refusal: Refusal) -> Said:
    return f"this machine's clock is wrong: {refusal.message} ({refusal.code})", "Set it by NTP."


def _no_region(refusal: Refusal) -> Said:
    return "the AWS region is not known", "Add `region:` to the environment in config.yml."


def _bad_region(refusal: Refusal) -> Said:
    return refusal.message, "Mend `region:` in config.yml."


def _other_region(refusal: Refusal) -> Said:
    match = re.search(r"expecting '([\w-]+)'", refusal.message)
    where = f" in {match[1]}" if match else " in another region"
    return f"the bucket is{where}: {refusal.message} ({refusal.code})", (
        "SageMaker reads model data in its own region: name a bucket there by `model_data_path`, or mend "
        "`region:`."
    )


def _not_enabled(refusal: Refusal) -> Said:
    return f"this account has not enabled the region: {refusal.message}", (
        "Enable it on the account page of the AWS console, or choose another `region:`."
    )


def _unreachable(refusal: Refusal) -> Said:
    found = re.search(r'"(https?://[^"]+)"', refusal.message)
    url = urlsplit(found[1]) if found else None
    if url is None or url.hostname is None:
        return refusal.message, "See that this machine is online, and which proxy it has to use."
    message = f"nothing answers at {url.scheme}://{url.netloc}"
    if url.hostname in _LOCAL_HOSTS:
        return message, PERHAPS_LOCAL
    region = _region_of(url.hostname)
    if region and region not in ACCOUNTS:
        near = get_close_matches(region, ACCOUNTS, n=1, cutoff=0.0)[0]
        return f"{message}: no AWS region {region!r} is known", f"Mend `region:`; the nearest is {near!r}."
    return message, "See that this machine is online, and which proxy it has to use."


def _region_of(host: str) -> str | None:
    """The region of one of AWS's hosts: `us-east-1` of `api.sagemaker.us-east-1.amazonaws.com`."""
    match = re.search(r"\.([a-z]{2}(?:-[a-z]+)+-?\d*)\.amazonaws\.com", host)
    return match[1] if match else None


def _timed_out(refusal: Refusal) -> Said:
    return refusal.message, "Try again; if it stays so, see that this machine is online."


def _certificate(refusal: Refusal) -> Said:
    return refusal.message, "Behind a proxy that opens TLS, name its certificate by AWS_CA_BUNDLE."


def _denied(refusal: Refusal) -> Said:
    match = re.search(
        r"(?:(?P<who>arn:\S+) )?is not authorized to perform: (?P<action>[\w*-]+:[\w*-]+)"
        r"(?: on resource: \"?(?P<resource>[^\s\"]+))?",
        refusal.message,
    )
    action = match["action"] if match else _action(refusal.operation)
    who = f" to {match['who']}" if match and match["who"] else ""
    if not action:
        return f"access is denied: {refusal.message} ({refusal.code})", ""
    resource = (match["resource"] if match else None) or "*"
    message = f"{action} is not allowed{who}" + (f" on {resource}" if resource != "*" else "")
    if match is None and refusal.message not in ("Access Denied", "Forbidden"):
        message += f": {refusal.message}"
    if "explicit deny" in refusal.message:
        kind = re.search(r"explicit deny in (?:an? )?([\w-]+(?: [\w-]+)*? policy)", refusal.message)
        where = kind[1] if kind else "policy"
        return f"{message}: a {where} denies it", "Only who manages that policy can take the denial out."
    return message, f"Add this statement to a policy of that user or role: {statement(action, resource)}"


def _action(operation: str) -> str:
    return _ACTIONS.get(operation) or (f"sagemaker:{operation}" if operation else "")


def _quota(refusal: Refusal) -> Said:
    match = re.search(r"limit '(?P<name>[^']+)' is (?P<limit>[\d.]+)", refusal.message)
    if match is None:
        return f"a quota of the account is used up: {refusal.message}", (
            "Ask for more in the console of Service Quotas, or delete what is not needed."
        )
    message = f"the account's quota {match['name']!r} is {match['limit']}"
    used = re.search(r"current utilization of (?P<used>[\d.]+)", refusal.message)
    wanted = re.search(r"request delta of (?P<more>[\d.]+)", refusal.message)
    if used and wanted:
        message += f", {used['used']} in use, and this needs {wanted['more']} more"
    return message, (
        f"Ask for more in the console of Service Quotas (Amazon SageMaker, {match['name']!r}), choose "
        "another instance_type, or delete an endpoint that is not needed (`hotfire status --all`)."
    )


def _invalid(refusal: Refusal) -> Said:
    """SageMaker has one code for all that a request may have wrong."""
    message = refusal.message
    kind = re.search(
        r"Value '(?P<kind>[^']*)' at '[\w.]*instanceType' failed to satisfy constraint: "
        r"Member must satisfy enum value set: \[(?P<known>[^\]]*)",
        message,
        re.IGNORECASE,
    )
    if kind:
        return _unknown_type(kind["kind"], [name.strip() for name in kind["known"].split(",")])
    if re.search(r"could not assume role", message, re.IGNORECASE):
        trust = json.dumps(
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        )
        return message, f"The trust policy of `aws_role` must hold this statement: {trust}"
    from hotfire.hints import advice

    return f"{message} ({refusal.code})", advice(message) or ""


def _unknown_type(kind: str, known: list[str]) -> Said:
    near = get_close_matches(kind, known, n=3, cutoff=0.6)
    message = f"SageMaker hosts nothing on the instance type {kind!r}"
    return message, f"Did you mean {' or '.join(near)}?" if near else "Mend `instance_type`."


def _throttled(refusal: Refusal) -> Said:
    return f"AWS answers no more calls for now: {refusal.message} ({refusal.code})", (
        "Wait a minute and run the command again: what was done is kept."
    )


def _trouble(refusal: Refusal) -> Said:
    return f"AWS itself has trouble: {refusal.message} ({refusal.code})", (
        "Run the command again: what was done is kept."
    )


def _foreign_bucket(refusal: Refusal) -> Said:
    return f"the bucket is another account's ({refusal.code})", (
        "Bucket names are shared by all of AWS: choose another one in `model_data_path`."
    )


_CODES: tuple[tuple[Callable[[Refusal], Said], str], ...] = (
    (_no_credentials, "NoCredentialsError NoAuthTokenError"),
    (_unusable_credentials, "PartialCredentialsError CredentialRetrievalError ConfigParseError"),
    (_unusable_credentials, "InvalidConfigError MetadataRetrievalError UnknownCredentialError"),
    (_no_profile, "ProfileNotFound"),
    (_expired, "ExpiredToken ExpiredTokenException TokenRefreshRequired SSOTokenLoadError"),
    (_expired, "UnauthorizedSSOTokenError TokenRetrievalError SSOError LoginRefreshRequired"),
    (_unknown_key, "UnrecognizedClientException InvalidClientTokenId InvalidAccessKeyId AuthFailure"),
    (_unknown_key, "InvalidToken MissingAuthenticationToken MissingAuthenticationTokenException"),
    (_wrong_secret, "SignatureDoesNotMatch InvalidSignatureException IncompleteSignature"),
    (_clock, "RequestTimeTooSkewed RequestExpired RequestInTheFuture"),
    (_no_region, "NoRegionError"),
    (_bad_region, "InvalidRegionError UnknownRegionError"),
    (_other_region, "AuthorizationHeaderMalformed PermanentRedirect IllegalLocationConstraintException 301"),
    (_not_enabled, "OptInRequired RegionDisabledException"),
    (_unreachable, "EndpointConnectionError ConnectionError ProxyConnectionError"),
    (_timed_out, "ConnectTimeoutError ReadTimeoutError ConnectionClosedError HTTPClientError"),
    (_certificate, "SSLError"),
    (_denied, "AccessDeniedException AccessDenied UnauthorizedOperation UnauthorizedException 403"),
    (_denied, "AuthorizationError AccessDeniedFault Forbidden AllAccessDisabled"),
    (_quota, "ResourceLimitExceeded LimitExceededException LimitExceeded TooManyBuckets"),
    (_quota, "ServiceQuotaExceededException"),
    (_invalid, "ValidationException ValidationError"),
    (_throttled, "ThrottlingException Throttling ThrottledException TooManyRequestsException"),
    (_throttled, "RequestLimitExceeded RequestThrottled SlowDown BandwidthLimitExceeded"),
    (_trouble, "InternalFailure InternalServerError InternalError ServiceUnavailable 500 502 503 504"),
    (_trouble, "ServiceUnavailableException InternalServiceError InternalServerException"),
    (_foreign_bucket, "BucketAlreadyExists"),
)

_EXPLAINED = {code: explain for explain, codes in _CODES for code in codes.split()}
