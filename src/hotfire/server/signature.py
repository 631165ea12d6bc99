"""Signatures of requests (Signature Version 4), checked with botocore's own signer.

A request is signed in its headers or, presigned, in its address. What it says of its body is checked where
the body is read: see `sealed`.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from hotfire.address import Key
from hotfire.errors import InvalidSignature
from hotfire.region.wire import Request

UNSIGNED = "UNSIGNED-PAYLOAD"
CLOCK_ERROR = 300.0
"""By so many seconds a client's clock may be wrong."""
_LONGEST_EXPIRY = 7 * 24 * 3600
_ALGORITHM = "AWS4-HMAC-SHA256"
_STAMP = "%Y%m%dT%H%M%SZ"
_NOT_THE_SAME = (
    "The request signature we calculated does not match the signature you provided. Check the secret key: "
    "`hotfire env` prints it on the region's machine."
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its signature. `expires` is of one in an address: seconds from `stamp` on."""

    access_key: str
    date: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str
    stamp: str
    expires: float | None = None

    @property
    def scope(self) -> str:
        """The credential scope as it is signed."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def claim_of(request: Request) -> Claim:
    """What a request says of its signature. Raises InvalidSignature where it says too little."""
    query = dict(parse_qsl(request.query))
    headers = request.headers
    try:
        if "X-Amz-Signature" in query:
            if "authorization" in headers:
                raise ValueError("signed in two places")
            fields, stamp = _of_query(query), query["X-Amz-Date"]
            expires: float | None = float(int(query["X-Amz-Expires"]))
        else:
            fields, stamp, expires = _of_header(headers.get("authorization", "")), _stamp(headers), None
        access_key, date, region, service, end = fields["Credential"].split("/")
        moment = _moment(stamp)
        signed = tuple(fields["SignedHeaders"].lower().split(";"))
        claim = Claim(access_key, date, region, service, signed, fields["Signature"], stamp, expires)
    except (KeyError, ValueError) as error:
        raise InvalidSignature("The request is not signed, or not by Signature Version 4.") from error
    if end != "aws4_request" or date != f"{moment:%Y%m%d}":
        raise InvalidSignature("The credential scope is not of the day at which the request was signed.")
    return claim


def is_older(request: Request) -> bool:
    """Whether a request is presigned in S3's way before Signature Version 4, which says nothing of a body."""
    query = dict(parse_qsl(request.query))
    return (
        "AWSAccessKeyId" in query
        and "X-Amz-Signature" not in query
        and "authorization" not in request.headers
    )


class Signatures:
    """Knows by the key what a request's signature must be."""

    def __init__(self, key: Key, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = key, clock

    def check(self, request: Request) -> None:
        """See that a request was signed by the key, lately, as it is. Raises InvalidSignature.

        A body that is not read yet counts as empty where nothing is said of it.
        """
        if is_older(request):
            self._check_older(request, dict(parse_qsl(request.query)))
            return
        claim = claim_of(request)
        self._check_time(claim)
        _check_signed_headers(request.headers, claim)
        payload = payload_of(request, claim)
        if not hmac.compare_digest(
            self._signature(request, claim, payload).encode(), claim.signature.encode()
        ):
            raise InvalidSignature(_NOT_THE_SAME)

    def sign(self, claim: Claim, text: str) -> str:
        """The signature of any text by the key of a claim's day, region and service."""
        signer = self._signer(claim)
        return str(signer.signature(text, _signing(claim)))

    def _check_time(self, claim: Claim) -> None:
        age = self._clock() - _moment(claim.stamp).timestamp()
        oldest = CLOCK_ERROR if claim.expires is None else claim.expires
        if age < -CLOCK_ERROR or age > oldest or oldest > _LONGEST_EXPIRY:
            now = datetime.fromtimestamp(self._clock(), UTC)
            raise InvalidSignature(
                f"Signature expired: it is of {claim.stamp}, and here it is {now:{_STAMP}}."
            )

    def _signature(self, request: Request, claim: Claim, payload: str) -> str:
        from botocore.awsrequest import HTTPHeaders

        signer = self._signer(claim)
        signed = HTTPHeaders()
        for name in claim.signed:
            signed[name] = request.headers.get(name, "")
        signing = _signing(claim, request.method, _address(request, claim), {"X-Amz-Content-SHA256": payload})
        # It would leave out what no client of its own signs.
        signer.headers_to_sign = lambda _: signed
        canonical = signer.canonical_request(signing)
        return str(signer.signature(signer.string_to_sign(signing, canonical), signing))

    def _signer(self, claim: Claim) -> Any:
        from botocore.auth import S3SigV4Auth, SigV4Auth
        from botocore.credentials import Credentials

        credentials = Credentials(self._key.access_key, self._key.secret_key)
        kind = S3SigV4Auth if claim.service == "s3" else SigV4Auth
        return kind(credentials, claim.service, claim.region)

    def _check_older(self, request: Request, query: Mapping[str, str]) -> None:
        """See that an address of S3 was presigned in the way before Signature Version 4."""
        from botocore.auth import HmacV1QueryAuth
        from botocore.awsrequest import HTTPHeaders
        from botocore.credentials import Credentials

        signer = HmacV1QueryAuth(Credentials(self._key.access_key, self._key.secret_key))
        # It would sign a time by its own clock.
        signer._get_date = lambda: query.get("Expires", "")
        headers = HTTPHeaders()
        for name, value in (*request.headers.items(), *query.items()):
            if name.startswith("x-amz-") or name in ("content-type", "content-md5"):
                headers[name] = value
        split = urlsplit(f"http://region{request.path}?{request.query}")
        expected = signer.get_signature(request.method, split, headers)
        if not hmac.compare_digest(expected.encode(), query.get("Signature", "").encode()):
            raise InvalidSignature(_NOT_THE_SAME)
        try:
            ended = self._clock() > float(int(query["Expires"]))
        except (KeyError, ValueError):
            ended = True
        if ended:
            raise InvalidSignature("Signature expired: the address was presigned for a time that is over.")


def payload_of(request: Request, claim: Claim) -> str:
    """What is signed of the body: its SHA-256 in hex, or a word in its place."""
    given = request.headers.get("x-amz-content-sha256")
    if given is not None:
        return given
    if claim.expires is not None and claim.service == "s3":
        return UNSIGNED
    return sha256(request.body).hexdigest()


def _check_signed_headers(headers: Mapping[str, str], claim: Claim) -> None:
    must = {"host"} | {name for name in headers if name.startswith("x-amz-")} - {"x-amz-content-sha256"}
    if missing := must - set(claim.signed):
        raise InvalidSignature(f"These headers are sent and must be signed: {', '.join(sorted(missing))}.")


def _signing(claim: Claim, method: str = "", url: str = "", headers: Mapping[str, str] | None = None) -> Any:
    """A request as botocore's signer takes one."""
    from botocore.awsrequest import AWSRequest

    request = AWSRequest(method, url, headers=dict(headers or {}))
    request.context["timestamp"] = claim.stamp
    return request


def _address(request: Request, claim: Claim) -> str:
    """The address in the one spelling that is signed."""
    path = quote(unquote(request.path), safe="/-_.~") if claim.service == "s3" else request.path
    pairs = [pair.partition("=")[::2] for pair in request.query.split("&") if pair]
    query = "&".join(
        f"{_spelled(name)}={_spelled(value)}" for name, value in pairs if name != "X-Amz-Signature"
    )
    return f"http://region{path}?{query}"


def _spelled(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


def _of_query(query: Mapping[str, str]) -> dict[str, str]:
    if query["X-Amz-Algorithm"] != _ALGORITHM:
        raise ValueError("another algorithm")
    return {name: query[f"X-Amz-{name}"] for name in ("Credential", "SignedHeaders", "Signature")}


def _of_header(authorization: str) -> dict[str, str]:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != _ALGORITHM:
        raise ValueError("another algorithm")
    pairs = (part.strip().partition("=") for part in rest.split(","))
    return {name: value for name, _, value in pairs}


def _stamp(headers: Mapping[str, str]) -> str:
    """When a request was signed, as Signature Version 4 writes it."""
    if "x-amz-date" in headers:
        return headers["x-amz-date"]
    return parsedate_to_datetime(headers["date"]).astimezone(UTC).strftime(_STAMP)


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
