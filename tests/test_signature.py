"""Signatures that botocore makes, and what is not what was signed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from hotfire.address import Key
from hotfire.errors import InvalidSignature
from hotfire.region.wire import Request
from hotfire.server.signature import Signatures, claim_of

KEY = Key("HOTFIREABCDEFGHIJKLM", "secret")
HOST = "region.example:4774"
TARGET = {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"}


def given(signed: AWSRequest) -> Request:
    """The request as a server gets it."""
    prepared = signed.prepare()
    parts = urlsplit(prepared.url)
    headers = {name.lower(): _text(value) for name, value in prepared.headers.items()}
    return Request(
        prepared.method, parts.path or "/", parts.query, {"host": HOST, **headers}, prepared.body or b""
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def sign(
    signer: type[Any] = SigV4Auth,
    service: str = "sagemaker",
    method: str = "POST",
    path: str = "/",
    headers: Mapping[str, str] = TARGET,
    body: bytes = b"{}",
    key: Key = KEY,
    **more: Any,
) -> Request:
    request = AWSRequest(method, f"http://{HOST}{path}", headers=dict(headers), data=body)
    credentials = Credentials(key.access_key, key.secret_key)
    signer(credentials, service, "eu-central-1", **more).add_auth(request)
    return given(request)


def check(request: Request, clock: float | None = None) -> None:
    Signatures(KEY, lambda: time.time() if clock is None else clock).check(request)


def changed(request: Request, **headers: str) -> Request:
    return replace(
        request, headers={**request.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
    )


SIGNED = [
    {},
    {"path": "/endpoints/my%20name/invocations", "headers": {"Accept": "a,  b"}},
    {"path": "/?b=2&a=1&a=0&c"},
    {"service": "iam", "body": b"Action=GetRole&Version=2010-05-08"},
    {"signer": S3SigV4Auth, "service": "s3", "method": "PUT", "path": "/b/a%20b%2B~%C3%A9", "headers": {}},
    {
        "signer": S3SigV4Auth,
        "service": "s3",
        "method": "GET",
        "path": "/b/a//b/../c",
        "headers": {},
        "body": b"",
    },
    {
        "signer": SigV4QueryAuth,
        "service": "sts",
        "method": "GET",
        "headers": {},
        "body": b"",
        "path": "/?Action=A",
    },
    {
        "signer": S3SigV4QueryAuth,
        "service": "s3",
        "method": "GET",
        "headers": {},
        "body": b"",
        "path": "/b/k%20",
    },
]


@pytest.mark.parametrize("how", SIGNED)
def test_what_botocore_signs_is_let_in(how: dict[str, Any]) -> None:
    check(sign(**how))


@pytest.mark.parametrize("how", SIGNED)
def test_what_is_signed_by_another_secret_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignature, match="does not match the signature you provided"):
        check(sign(key=Key(KEY.access_key, "guess"), **how))


@pytest.mark.parametrize("how", SIGNED)
def test_another_path_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignature, match="does not match"):
        check(replace(sign(**how), path="/other"))


@pytest.mark.parametrize("how", SIGNED)
def test_another_query_is_refused(how: dict[str, Any]) -> None:
    request = sign(**how)
    with pytest.raises(InvalidSignature, match="does not match"):
        check(replace(request, query=f"{request.query}&more=1"))


def test_another_method_is_refused() -> None:
    with pytest.raises(InvalidSignature, match="does not match"):
        check(replace(sign(), method="DELETE"))


def test_another_target_is_refused() -> None:
    with pytest.raises(InvalidSignature, match="does not match"):
        check(changed(sign(), x_amz_target="SageMaker.DeleteModel"))


def test_another_host_is_refused() -> None:
    with pytest.raises(InvalidSignature, match="does not match"):
        check(changed(sign(), host="elsewhere:4774"))


def test_another_body_is_refused() -> None:
    with pytest.raises(InvalidSignature, match="does not match"):
        check(replace(sign(), body=b"[]"))


@pytest.mark.parametrize("how", SIGNED)
def test_another_service_or_region_is_refused(how: dict[str, Any]) -> None:
    request = sign(**how)
    if "authorization" in request.headers:
        header = request.headers["authorization"].replace("eu-central-1", "us-east-1")
        request = changed(request, authorization=header)
    else:
        request = replace(request, query=request.query.replace("eu-central-1", "us-east-1"))
    with pytest.raises(InvalidSignature, match="does not match"):
        check(request)


def test_a_header_that_the_service_acts_on_must_be_signed() -> None:
    with pytest.raises(InvalidSignature, match="must be signed: x-amz-copy-source"):
        check(changed(sign(), x_amz_copy_source="/b/k"))


def test_the_host_must_be_signed() -> None:
    request = sign()
    header = request.headers["authorization"].replace(";host;", ";")
    with pytest.raises(InvalidSignature, match="must be signed: host"):
        check(changed(request, authorization=header))


@pytest.mark.parametrize(
    ("late", "is_let_in"), [(0, True), (299, True), (301, False), (-299, True), (-301, False)]
)
def test_a_clock_may_be_wrong_by_five_minutes(late: float, is_let_in: bool) -> None:
    request = sign()
    if is_let_in:
        check(request, int(time.time()) + late)
        return
    with pytest.raises(InvalidSignature, match=r"Signature expired: it is of .*, and here it is"):
        check(request, int(time.time()) + late)


def test_an_address_is_good_for_as_long_as_it_says() -> None:
    how = {"service": "sts", "method": "GET", "headers": {}, "body": b"", "expires": 3600}
    request = sign(SigV4QueryAuth, **how)
    check(request, int(time.time()) + 3599)
    for late in (3602, -302):
        with pytest.raises(InvalidSignature, match="Signature expired"):
            check(request, int(time.time()) + late)


def test_no_address_is_good_for_ever() -> None:
    request = sign(SigV4QueryAuth, service="sts", method="GET", headers={}, body=b"", expires=8 * 24 * 3600)
    with pytest.raises(InvalidSignature, match="Signature expired"):
        check(request)


def test_a_date_header_tells_when_too() -> None:
    request = sign(headers={**TARGET, "Date": "set by the signer"})
    assert "x-amz-date" not in request.headers
    check(request)


@pytest.mark.parametrize("payload", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_a_body_may_be_left_unsigned_if_that_is_signed(payload: str) -> None:
    request = sign(headers={**TARGET, "X-Amz-Content-SHA256": payload})
    check(replace(request, body=b"anything"))
    with pytest.raises(InvalidSignature, match="does not match"):
        check(changed(request, x_amz_content_sha256="0" * 64))


def older(expires: int = 3600, **headers: str) -> Request:
    request = AWSRequest("GET", f"http://{HOST}/b/k?versionId=1", headers=headers)
    HmacV1QueryAuth(Credentials(KEY.access_key, KEY.secret_key), expires).add_auth(request)
    return given(request)


def test_an_address_of_s3_in_the_older_way_is_checked_too() -> None:
    request = older()
    check(request)
    for other in (replace(request, path="/b/other"), replace(request, method="PUT")):
        with pytest.raises(InvalidSignature, match="does not match"):
            check(other)
    with pytest.raises(InvalidSignature, match="Signature expired"):
        check(older(-10))


def test_nobody_passes_by_the_older_way_who_signs_in_the_newer_one_too() -> None:
    request = sign()
    with pytest.raises(InvalidSignature):
        check(replace(request, query=f"AWSAccessKeyId={KEY.access_key}&Signature=x"))


def test_a_request_is_signed_in_one_place() -> None:
    presigned = sign(SigV4QueryAuth, service="sts", method="GET", headers={}, body=b"")
    with pytest.raises(InvalidSignature, match="is not signed"):
        check(changed(presigned, authorization=sign().headers["authorization"]))


SCOPE = f"{KEY.access_key}/20261122/us-east-1/s3/aws4_request"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer x",
        "AWS4-HMAC-SHA256",
        f"AWS4-HMAC-SHA256 Credential={SCOPE}",
        f"AWS4-ECDSA-P256-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00",
    ],
)
def test_what_says_too_little_is_not_signed(authorization: str) -> None:
    request = Request("GET", "/", "", {"host": HOST, "x-amz-date": "20261122T000000Z"}, b"")
    with pytest.raises(InvalidSignature, match="is not signed, or not by Signature Version 4"):
        claim_of(changed(request, authorization=authorization))


@pytest.mark.parametrize("stamp", ["", "yesterday", "20261122T000000"])
def test_a_time_that_is_none_is_told(stamp: str) -> None:
    header = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=00"
    with pytest.raises(InvalidSignature):
        claim_of(Request("GET", "/", "", {"authorization": header, "x-amz-date": stamp}, b""))


def test_the_scope_is_of_the_day_of_the_signature() -> None:
    header = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=00"
    headers = {"authorization": header, "x-amz-date": "20261123T000000Z"}
    with pytest.raises(InvalidSignature, match="not of the day"):
        claim_of(Request("GET", "/", "", headers, b""))


def test_a_signature_of_strange_letters_is_none() -> None:
    request = sign()
    header = request.headers["authorization"].partition("Signature=")[0]
    with pytest.raises(InvalidSignature, match="does not match"):
        check(changed(request, authorization=f"{header}Signature=schl\xfcssel"))
