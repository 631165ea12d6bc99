"""Bodies that are what was signed; the chunks are those of AWS's own worked example."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from hotfire.address import Key
from hotfire.errors import InvalidSignature
from hotfire.region.wire import Request
from hotfire.server.sealed import Receive, guarded, seal_of
from hotfire.server.signature import Signatures, claim_of

KEY = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHUNKS = [
    (b"a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (b"a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (b"", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]
SIGNATURES = Signatures(KEY)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def request(payload: str) -> Request:
    scope = f"{KEY.access_key}/20130524/us-east-1/s3/aws4_request"
    headers = {
        "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={SEED}",
        "x-amz-date": "20130524T000000Z",
        "x-amz-content-sha256": payload,
    }
    return Request("PUT", "/examplebucket/chunkObject.txt", "", headers, b"")


def chunked(chunks: list[tuple[bytes, str]]) -> bytes:
    parts = [b"%x;chunk-signature=%s\r\n%s\r\n" % (len(data), sign.encode(), data) for data, sign in chunks]
    return b"".join(parts)


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)] or [b""]


def received(body: list[bytes]) -> Receive:
    """A body as ASGI tells it, and nothing after it."""

    def messages() -> Iterator[dict[str, Any]]:
        for number, piece in enumerate(body, 1):
            yield {"type": "http.request", "body": piece, "more_body": number < len(body)}

    left = messages()

    async def receive() -> Any:
        return next(left)

    return receive


async def read(payload: str, body: list[bytes]) -> bytes:
    """What comes out of a guarded body."""
    receive = guarded(received(body), seal_of(SIGNATURES, request(payload)))
    found, more = b"", True
    while more:
        message = await receive()
        found += message["body"]
        more = message["more_body"]
    return found


async def all_of(receive: Receive) -> None:
    while True:
        await receive()


SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
WITH_TRAILER = f"{SIGNED_CHUNKS}-TRAILER"


@pytest.mark.parametrize("size", [1_000_000, 4096, 7])
async def test_signed_chunks_pass_however_they_come(size: int) -> None:
    body = chunked(CHUNKS)
    assert await read(SIGNED_CHUNKS, pieces(body, size)) == body


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a_chunk_that_is_not_what_was_signed_is_refused(number: int) -> None:
    chunks = [
        (data[:-1] + b"b", sign) if place == number else (data, sign)
        for place, (data, sign) in enumerate(CHUNKS)
    ]
    with pytest.raises(InvalidSignature):
        await read(SIGNED_CHUNKS, pieces(chunked(chunks), 4096))


async def test_chunks_in_another_order_are_refused() -> None:
    with pytest.raises(InvalidSignature, match="A chunk of the body is not what was signed"):
        await read(SIGNED_CHUNKS, [chunked([CHUNKS[1], CHUNKS[0], CHUNKS[2]])])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (chunked(CHUNKS[:2]), "ends before its last signed chunk"),
        (b"", "ends before its last signed chunk"),
        (chunked(CHUNKS) + b"more", "Something that is not signed follows"),
        (b"5\r\nhello\r\n", "A chunk of the body is not signed"),
        (b"x;chunk-signature=00\r\n", "A chunk of the body is not signed"),
        (b"-5;chunk-signature=00\r\n", "A chunk of the body is not signed"),
        (b"x" * 100_000, "A chunk of the body is not signed"),
        (chunked(CHUNKS[:1])[:-2] + b"more\r\n", "longer than it says"),
        (b"1;chunk-signature=schl\xfcssel\r\na\r\n", "is not what was signed"),
    ],
)
async def test_a_body_that_is_no_row_of_signed_chunks_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidSignature, match=said):
        await read(SIGNED_CHUNKS, pieces(body, 4096))


def trailer(value: bytes, *, signed_for: bytes) -> bytes:
    """A trailer after the last chunk, with a signature for another value if one likes."""
    hashed = sha256(b"x-amz-checksum-crc32:" + signed_for + b"\n").hexdigest()
    claim = claim_of(request(WITH_TRAILER))
    text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", claim.stamp, claim.scope, CHUNKS[-1][1], hashed])
    signature = SIGNATURES.sign(claim, text).encode()
    lines = [b"x-amz-checksum-crc32:" + value, b"x-amz-trailer-signature:" + signature, b"", b""]
    return b"\r\n".join(lines)


@pytest.mark.parametrize("size", [1_000_000, 7])
async def test_a_signed_trailer_passes(size: int) -> None:
    body = chunked(CHUNKS)[:-2] + trailer(b"abc=", signed_for=b"abc=")
    assert await read(WITH_TRAILER, pieces(body, size)) == body


@pytest.mark.parametrize(
    "end",
    [
        b"",
        trailer(b"xyz=", signed_for=b"abc="),
        trailer(b"abc=", signed_for=b"abc=") + b"more",
        b"a" * 99_999,
    ],
)
async def test_a_trailer_that_is_not_what_was_signed_is_refused(end: bytes) -> None:
    with pytest.raises(InvalidSignature):
        await read(WITH_TRAILER, pieces(chunked(CHUNKS)[:-2] + end, 4096))


async def test_a_body_whose_hash_was_signed_passes() -> None:
    assert await read(sha256(b"hello").hexdigest(), [b"he", b"llo"]) == b"hello"


@pytest.mark.parametrize("body", [[b"hallo"], [b"hello", b"!"], [b""]])
async def test_a_body_of_another_hash_is_refused(body: list[bytes]) -> None:
    with pytest.raises(InvalidSignature, match="The body is not what was signed"):
        await read(sha256(b"hello").hexdigest(), body)


@pytest.mark.parametrize("payload", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
async def test_a_body_that_was_left_unsigned_passes(payload: str) -> None:
    assert await read(payload, [b"any", b"thing"]) == b"anything"


async def test_a_way_of_signing_that_is_not_known_is_told() -> None:
    with pytest.raises(InvalidSignature, match="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD are not known"):
        seal_of(SIGNATURES, request("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"))


@pytest.mark.parametrize("body", [[b"wrong"], [b"wrong;\r\n", b"more", b"end"]])
@pytest.mark.parametrize("payload", [sha256(b"hello").hexdigest(), SIGNED_CHUNKS])
async def test_what_is_left_may_be_read_to_its_end(payload: str, body: list[bytes]) -> None:
    receive = guarded(received(body), seal_of(SIGNATURES, request(payload)))
    with pytest.raises(InvalidSignature):
        await all_of(receive)
    more = True
    while more:
        more = (await receive())["more_body"]


async def test_a_client_that_goes_away_is_told_as_it_is() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    seal = seal_of(SIGNATURES, request(SIGNED_CHUNKS))
    assert await guarded(receive, seal)() == {"type": "http.disconnect"}
