"""Bodies that are what was signed: hashed as they come, their chunks' signatures checked one by one."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, Protocol

from hotfire.errors import InvalidSignature
from hotfire.region.wire import Request
from hotfire.server.signature import Claim, Signatures, claim_of, is_older, payload_of

Receive = Callable[[], Awaitable[Any]]

_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_CHUNKS_WITH_TRAILER = f"{_CHUNKS}-TRAILER"
_UNSIGNED = frozenset({"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
_NOTHING = sha256().hexdigest()
_LONGEST_LINE = 16 * 1024


class Seal(Protocol):
    """Looks at a body as it passes. Raises InvalidSignature."""

    def update(self, data: bytes) -> None:
        """Look at what comes next."""

    def end(self) -> None:
        """Nothing more comes."""


def seal_of(signatures: Signatures, request: Request) -> Seal:
    """What looks at a request's body. Raises InvalidSignature for a kind of signing that is not known."""
    if is_older(request):
        return _Open()
    claim = claim_of(request)
    payload = payload_of(request, claim)
    if payload in _UNSIGNED:
        return _Open()
    if payload in (_CHUNKS, _CHUNKS_WITH_TRAILER):
        return _Chunks(signatures, claim, has_trailer=payload == _CHUNKS_WITH_TRAILER)
    if payload.startswith("STREAMING-"):
        raise InvalidSignature(f"Bodies that are signed as {payload} are not known here.")
    return _Whole(payload)


def guarded(receive: Receive, seal: Seal) -> Receive:
    """The same messages of ASGI; one raises InvalidSignature if the body is not what was signed, once.

    What is left may be read to its end.
    """
    watching, left = True, True

    async def receive_next() -> Any:
        nonlocal watching, left
        if not left:
            return {"type": "http.request", "body": b"", "more_body": False}
        message = await receive()
        if watching and message["type"] == "http.request":
            left = message.get("more_body", False)
            try:
                seal.update(message.get("body", b""))
                if not left:
                    seal.end()
            except InvalidSignature:
                watching = False
                raise
        return message

    return receive_next


class _Open:
    """A body of which nothing was signed."""

    def update(self, data: bytes) -> None:
        """It may be anything."""

    def end(self) -> None:
        """It may be of any length."""


class _Whole:
    """A body whose hash was signed."""

    def __init__(self, expected: str) -> None:
        self._expected, self._hash = expected, sha256()

    def update(self, data: bytes) -> None:
        """Hash it."""
        self._hash.update(data)

    def end(self) -> None:
        """Compare."""
        if not hmac.compare_digest(self._hash.hexdigest().encode(), self._expected.encode()):
            raise InvalidSignature("The body is not what was signed.")


class _Chunks:
    """A body in chunks, each signed together with the signature before it, the first with the request's.

    A chunk is a line `SIZE;chunk-signature=SIGNATURE`, so many bytes in hexadecimal, and the end of a line.
    An empty one is the last; signed lines of headers may follow it.
    """

    def __init__(self, signatures: Signatures, claim: Claim, *, has_trailer: bool) -> None:
        self._signatures, self._claim, self._has_trailer = signatures, claim, has_trailer
        self._before = claim.signature
        self._held = b""
        self._left = 0
        self._expected = ""
        self._hash = sha256()
        self._trailer = b""
        self._read: Callable[[], bool] = self._read_head

    def update(self, data: bytes) -> None:
        """Read as far as it goes."""
        self._held += data
        while self._read():
            pass

    def end(self) -> None:
        """See that the last chunk, and what follows it, was there."""
        if self._read != self._read_rest:
            raise InvalidSignature("The body ends before its last signed chunk.")

    def _read_head(self) -> bool:
        line = self._line()
        if line is None:
            return False
        size, _, extension = line.partition(b";")
        name, _, signature = extension.partition(b"=")
        try:
            self._left = int(size, 16)
        except ValueError:
            self._left = -1
        if self._left < 0 or name.strip() != b"chunk-signature":
            raise InvalidSignature("A chunk of the body is not signed.")
        self._expected, self._hash = signature.strip().decode("latin-1"), sha256()
        self._read = self._read_data
        if self._left == 0:
            self._check_chunk()
            self._read = self._read_trailer if self._has_trailer else self._read_rest
        return True

    def _read_data(self) -> bool:
        if not self._held:
            return False
        piece, self._held = self._held[: self._left], self._held[self._left :]
        self._hash.update(piece)
        self._left -= len(piece)
        if self._left == 0:
            self._check_chunk()
            self._read = self._read_end
        return True

    def _read_end(self) -> bool:
        line = self._line()
        if line:
            raise InvalidSignature("A chunk of the body is longer than it says.")
        if line is not None:
            self._read = self._read_head
        return line is not None

    def _read_trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        name, _, value = line.partition(b":")
        if name.lower().strip() == b"x-amz-trailer-signature":
            self._check(
                "AWS4-HMAC-SHA256-TRAILER",
                [sha256(self._trailer).hexdigest()],
                value.strip().decode("latin-1"),
            )
            self._read = self._read_rest
        elif len(self._trailer) > _LONGEST_LINE:
            raise InvalidSignature("The body's trailer is too long.")
        elif line:
            self._trailer += name.lower().strip() + b":" + value.strip() + b"\n"
        return True

    def _read_rest(self) -> bool:
        if self._held.strip(b"\r\n"):
            raise InvalidSignature("Something that is not signed follows the body's last chunk.")
        self._held = b""
        return False

    def _line(self) -> bytes | None:
        line, end, rest = self._held.partition(b"\n")
        if end:
            self._held = rest
            return line.removesuffix(b"\r")
        if len(line) > _LONGEST_LINE:
            raise InvalidSignature("A chunk of the body is not signed.")
        return None

    def _check_chunk(self) -> None:
        self._check("AWS4-HMAC-SHA256-PAYLOAD", [_NOTHING, self._hash.hexdigest()], self._expected)

    def _check(self, kind: str, hashes: list[str], given: str) -> None:
        claim = self._claim
        text = "\n".join([kind, claim.stamp, claim.scope, self._before, *hashes])
        expected = self._signatures.sign(claim, text)
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise InvalidSignature("A chunk of the body is not what was signed.")
        self._before = expected
