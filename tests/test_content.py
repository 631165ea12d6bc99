"""The content of an upload: unwrapped, measured, compared."""

import base64
import hashlib
import zlib
from collections.abc import AsyncIterator

import pytest

from hotfire.errors import SerializationException
from hotfire.region.content import Content
from hotfire.region.s3_errors import (
    BadDigest,
    ContentMismatch,
    IncompleteBody,
    InvalidArgument,
    InvalidDigest,
    MissingContentLength,
)

BODY = b"The Wimbledon tennis tournament starts next week!"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def content(body: bytes = BODY, size: int = 7, **headers: str) -> Content:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Content({"content-length": str(len(body)), **named}, pieces(body, size))


async def read(given: Content) -> bytes:
    return b"".join([piece async for piece in given])


def wrapped(*chunks: bytes, trailer: bytes = b"", signed: bool = False) -> bytes:
    mark = b";chunk-signature=" + b"0" * 64 if signed else b""
    parts = [b"%x%s\r\n%s\r\n" % (len(chunk), mark, chunk) for chunk in chunks]
    return b"".join([*parts, b"0", mark, b"\r\n", trailer, b"\r\n"])


def crc32(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


async def test_a_plain_body_is_measured() -> None:
    given = content()
    assert await read(given) == BODY
    assert given.etag == hashlib.md5(BODY).hexdigest()
    assert given.checksums == {}


@pytest.mark.parametrize("size", [1, 3, 64, 1000])
@pytest.mark.parametrize("signed", [True, False])
async def test_chunks_are_unwrapped_however_they_come(size: int, signed: bool) -> None:
    body = wrapped(BODY, b"and more", signed=signed)
    given = content(
        body,
        size,
        content_encoding="aws-chunked",
        x_amz_decoded_content_length=str(len(BODY) + 8),
        x_amz_content_sha256="STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    )
    assert await read(given) == BODY + b"and more"
    assert given.encoding == ""


async def test_another_encoding_is_the_object_s_own() -> None:
    given = content(wrapped(BODY), content_encoding="gzip,aws-chunked", x_amz_decoded_content_length="49")
    assert given.encoding == "gzip"


@pytest.mark.parametrize("size", [1, 5, 1000])
async def test_a_checksum_may_follow_the_chunks(size: int) -> None:
    body = wrapped(BODY, trailer=f"x-amz-checksum-crc32:{crc32(BODY)}\r\n".encode())
    given = content(
        body,
        size,
        x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        x_amz_decoded_content_length=str(len(BODY)),
        x_amz_trailer="x-amz-checksum-crc32",
    )
    assert await read(given) == BODY
    assert given.checksums == {"CRC32": crc32(BODY)}


async def test_a_checksum_that_follows_and_is_wrong_is_refused() -> None:
    body = wrapped(BODY, trailer=f"x-amz-checksum-crc32:{crc32(b'other')}\r\n".encode())
    given = content(
        body,
        content_encoding="aws-chunked",
        x_amz_decoded_content_length=str(len(BODY)),
        x_amz_trailer="x-amz-checksum-crc32",
    )
    with pytest.raises(BadDigest, match="CRC32"):
        await read(given)


@pytest.mark.parametrize(
    ("algorithm", "value"),
    # Of "123456789", as the catalogues of checksums have them.
    [
        ("crc32", "y/Q5Jg=="),
        ("crc32c", "4waSgw=="),
        ("crc64nvme", "rosUhgp5mIg="),
        ("sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ],
)
async def test_every_checksum_of_s3_is_compared(algorithm: str, value: str) -> None:
    header = f"x_amz_checksum_{algorithm}"
    assert await read(content(b"123456789", **{header: value})) == b"123456789"
    with pytest.raises(BadDigest, match=algorithm.upper()):
        await read(content(b"123456780", **{header: value}))


async def test_an_md5_is_compared() -> None:
    right = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    assert await read(content(content_md5=right)) == BODY
    with pytest.raises(BadDigest):
        await read(content(content_md5=base64.b64encode(bytes(16)).decode()))


@pytest.mark.parametrize("text", ["", "x", "AAAA", "é"])
async def test_an_md5_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigest):
        await read(content(content_md5=text))


async def test_the_signed_hash_is_compared() -> None:
    assert await read(content(x_amz_content_sha256=hashlib.sha256(BODY).hexdigest())) == BODY
    with pytest.raises(ContentMismatch):
        await read(content(x_amz_content_sha256=hashlib.sha256(b"").hexdigest()))


@pytest.mark.parametrize("length", [0, 1, 100])
async def test_a_body_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(IncompleteBody):
        await read(content(content_length=str(length)))


async def test_a_length_must_be_said() -> None:
    with pytest.raises(MissingContentLength):
        Content({}, pieces(BODY, 9))
    with pytest.raises(InvalidArgument):
        Content({"content-length": "-1"}, pieces(BODY, 9))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"5\r\nhello", IncompleteBody),
        (b"5\r\nhello\r\n", IncompleteBody),
        (b"x\r\nhello\r\n0\r\n\r\n", SerializationException),
        (b"3\r\nhello\r\n0\r\n\r\n", SerializationException),
        (b"h" * 20000, SerializationException),
        (b"", IncompleteBody),
    ],
)
async def test_what_is_not_wrapped_as_it_says_is_refused(body: bytes, error: type[Exception]) -> None:
    given = content(body, 100, content_encoding="aws-chunked", x_amz_decoded_content_length="5")
    with pytest.raises(error):
        await read(given)
