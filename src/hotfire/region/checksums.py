"""Checksums of contents, by the names that S3's API and its headers have for them."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


class Digest(Protocol):
    """A checksum in the making; hashlib's objects are of this kind."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, function: Callable[[bytes, int], int], size: int) -> None:
        self._function, self._size, self._value = function, size, 0

    def update(self, data: bytes, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def digest(algorithm: str) -> Digest:
    """A new checksum of one of the algorithms."""
    if algorithm == "CRC32":
        return _Crc(zlib.crc32, 4)
    if algorithm.startswith("CRC"):
        from awscrt import checksums  # a part of the extra, as the standard library has neither of the two

        return _Crc(checksums.crc32c, 4) if algorithm == "CRC32C" else _Crc(checksums.crc64nvme, 8)
    return hashlib.new(algorithm.lower(), usedforsecurity=False)


def member(algorithm: str) -> str:
    """The API's name of a checksum: `ChecksumSHA256`."""
    return f"Checksum{algorithm}"


def header(algorithm: str) -> str:
    """The header of a checksum: `x-amz-checksum-sha256`."""
    return f"x-amz-checksum-{algorithm.lower()}"


def text(value: bytes) -> str:
    """A checksum as it is sent."""
    return base64.b64encode(value).decode()


def given(params: Mapping[str, Any]) -> dict[str, str]:
    """The checksums that parameters, or facts of an object, hold; by the names of the algorithms."""
    return {name: params[member(name)] for name in ALGORITHMS if params.get(member(name))}


def composite(algorithm: str, parts: Iterable[str]) -> str:
    """The checksum of an object's parts' checksums."""
    values = [base64.b64decode(part) for part in parts]
    whole = digest(algorithm)
    whole.update(b"".join(values))
    return f"{text(whole.digest())}-{len(values)}"
