"""The content of an upload: unwrapped as it comes in, measured, and compared with what it should be."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import AsyncIterator, Mapping

from hotfire.errors import SerializationException
from hotfire.region import checksums
from hotfire.region.s3_errors import (
    BadDigest,
    ContentMismatch,
    IncompleteBody,
    InvalidArgument,
    InvalidDigest,
    MissingContentLength,
)

_LONGEST_LINE = 8192
_CRLF = b"\r\n"


class Content:
    """A request's content, to be iterated once; what is known of it at the end is right only then.

    Iterating raises BadDigest, ContentMismatch or IncompleteBody when it is not what the headers say.
    """

    def __init__(self, headers: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        self._headers = headers
        self._signed = headers.get("x-amz-content-sha256", "")
        self._trailer: dict[str, str] = {}
        encodings = [item.strip() for item in headers.get("content-encoding", "").split(",") if item.strip()]
        self._is_wrapped = "aws-chunked" in encodings or self._signed.startswith("STREAMING-")
        self.encoding = ", ".join(item for item in encodings if item != "aws-chunked")
        self._chunks = _unwrapped(chunks, self._trailer) if self._is_wrapped else chunks
        self.length = self._length()
        self.etag = ""
        self.checksums: dict[str, str] = {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        md5 = hashlib.md5(usedforsecurity=False)
        digests = {name: checksums.digest(name) for name in self._wanted()}
        signed = None if self._is_wrapped or len(self._signed) != 64 else hashlib.sha256()
        size = 0
        async for chunk in self._chunks:
            size += len(chunk)
            md5.update(chunk)
            for one in digests.values():
                one.update(chunk)
            if signed is not None:
                signed.update(chunk)
            yield chunk
        if size != self.length:
            raise IncompleteBody(f"{size} bytes came, and {self.length} were announced.")
        if signed is not None and signed.hexdigest() != self._signed.lower():
            raise ContentMismatch("The provided 'x-amz-content-sha256' header does not match what came.")
        self._check_md5(md5.digest())
        self.etag = md5.hexdigest()
        self.checksums = {name: checksums.text(one.digest()) for name, one in digests.items()}
        for name, expected in self._expected().items():
            if self.checksums[name] != expected:
                raise BadDigest(f"The {name} you specified did not match the calculated checksum.")

    def _length(self) -> int:
        name = "x-amz-decoded-content-length" if self._is_wrapped else "content-length"
        try:
            length = int(self._headers[name])
        except KeyError:
            raise MissingContentLength("You must provide the Content-Length HTTP header.") from None
        except ValueError:
            length = -1
        if length < 0:
            raise InvalidArgument(f"{name} is no length.")
        return length

    def _wanted(self) -> list[str]:
        """The checksums that are given or will be, or that the object shall be known by."""
        named = self._headers.get("x-amz-sdk-checksum-algorithm", "").upper()
        trailing = [name.strip().lower() for name in self._headers.get("x-amz-trailer", "").split(",")]
        return [
            name
            for name in checksums.ALGORITHMS
            if name == named or checksums.header(name) in self._headers or checksums.header(name) in trailing
        ]

    def _expected(self) -> dict[str, str]:
        sent = {**self._headers, **self._trailer}
        return {
            name: sent[checksums.header(name)]
            for name in checksums.ALGORITHMS
            if checksums.header(name) in sent and name in self.checksums
        }

    def _check_md5(self, found: bytes) -> None:
        given = self._headers.get("content-md5")
        if given is None:
            return
        try:
            expected = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            expected = b""
        if len(expected) != len(found):
            raise InvalidDigest("The Content-MD5 you specified is not valid.")
        if expected != found:
            raise BadDigest("The Content-MD5 you specified did not match what we received.")


async def _unwrapped(chunks: AsyncIterator[bytes], trailer: dict[str, str]) -> AsyncIterator[bytes]:
    """The content of a body in chunks of AWS's own form; `trailer` gets the headers that follow it.

    The chunks' signatures are not looked at: who may ask was told by the key.
    """
    source = _Source(chunks)
    while True:
        size = (await source.line()).partition(b";")[0]
        try:
            left = int(size, 16)
        except ValueError:
            raise SerializationException("The body is not in the form of aws-chunked.") from None
        if left == 0:
            break
        while left:
            piece = await source.some(left)
            left -= len(piece)
            yield piece
        if await source.line() != b"":
            raise SerializationException("A chunk of the body is longer than it says.")
    while line := await source.line(at_end=b""):
        name, _, value = line.decode("latin-1").partition(":")
        trailer[name.strip().lower()] = value.strip()
    await source.exhaust()


class _Source:
    """Lines and pieces of what comes in chunks of any size."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""

    async def some(self, most: int) -> bytes:
        """The next piece."""
        while not self._held:
            self._held = await self._next()
        piece, self._held = self._held[:most], self._held[most:]
        return piece

    async def line(self, at_end: bytes | None = None) -> bytes:
        """The next line without its end; `at_end` if nothing follows and that is no fault."""
        while (end := self._held.find(_CRLF)) < 0:
            if len(self._held) > _LONGEST_LINE:
                raise SerializationException("The body is not in the form of aws-chunked.")
            try:
                self._held += await self._next()
            except IncompleteBody:
                if at_end is None or self._held:
                    raise
                return at_end
        line, self._held = self._held[:end], self._held[end + len(_CRLF) :]
        return line

    async def exhaust(self) -> None:
        """Read to the end, where nothing should be."""
        async for _ in self._chunks:
            pass

    async def _next(self) -> bytes:
        async for chunk in self._chunks:
            return chunk
        raise IncompleteBody("The body ends before its last chunk.")
