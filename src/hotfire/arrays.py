"""numpy's files as lists: `.npy` and `.npz` are read without numpy, which Hotfire's own Python may lack."""

from __future__ import annotations

import ast
import io
import math
import struct
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

MAGIC = b"\x93NUMPY"

_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}
"""How a header's length is written, by the format's version."""
_LONGEST_HEADER = 65_536
_ITEMS = {
    "b1": "?",
    "i1": "b",
    "u1": "B",
    "i2": "h",
    "u2": "H",
    "i4": "i",
    "u4": "I",
    "i8": "q",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
"""How an item is unpacked, by its kind and its size in bytes."""


def of_npy(data: bytes) -> Any:
    """The array as lists in lists, one of no dimensions as its item.

    Raises ValueError if the bytes are no such file, or hold other items than numbers, truth and text:
    objects are a pickle, which is never opened.
    """
    header, rest = _header(data)
    order, kind = header["descr"][:1], header["descr"][1:]
    shape = header["shape"]
    items = _items(order, kind, rest, math.prod(shape))
    if header["fortran_order"] and items:
        return _transposed(_nested(items, shape[::-1]), len(shape))
    return _nested(items, shape)


def of_npz(data: bytes) -> dict[str, Any]:
    """Each array by its name. Raises ValueError as `of_npy` does."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name.removesuffix(".npy"): of_npy(archive.read(name)) for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"no archive of arrays: {error}") from error


def _header(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """What the file says about its items, and their bytes."""
    length = _LENGTHS.get(data[6]) if data.startswith(MAGIC) and len(data) >= 12 else None
    if length is None:
        raise ValueError("no array of numpy's")
    begin = 8 + struct.calcsize(length)
    (size,) = struct.unpack_from(length, data, 8)
    if size > _LONGEST_HEADER or begin + size > len(data):
        raise ValueError("an array's header that is cut off")
    try:
        header = ast.literal_eval(data[begin : begin + size].decode("utf-8" if data[6] == 3 else "latin-1"))
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"an array's header that cannot be read: {error}") from error
    if not _is_plain(header):
        raise ValueError("an array of other items than numbers, truth and text")
    return header, memoryview(data)[begin + size :]


def _is_plain(header: Any) -> bool:
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        return False
    shape = header["shape"]
    has_shape = isinstance(shape, tuple) and all(isinstance(size, int) and size >= 0 for size in shape)
    return has_shape and isinstance(header["descr"], str) and header["descr"][:1] in tuple("<>|")


def _items(order: str, kind: str, data: memoryview, count: int) -> Sequence[Any]:
    if kind in _ITEMS:
        pattern = f"{'>' if order == '>' else '<'}{count}{_ITEMS[kind]}"
        if struct.calcsize(pattern) != len(data):
            raise ValueError("an array of another length than its header says")
        return struct.unpack(pattern, data)
    return list(_texts(order, kind, data, count))


def _texts(order: str, kind: str, data: memoryview, count: int) -> Iterator[str]:
    """The items of `<U5` or `|S5`: texts that are filled up with zeros."""
    width = int(kind[1:]) * {"U": 4, "S": 1}.get(kind[:1], -1)
    if width < 0 or width * count != len(data):
        raise ValueError(f"an array of {kind!r}, or of another length than its header says")
    encoding = ("utf-32-be" if order == ">" else "utf-32-le") if kind[0] == "U" else "latin-1"
    for place in range(count):
        yield str(data[place * width : (place + 1) * width], encoding).rstrip("\0")


def _nested(items: Sequence[Any], shape: Sequence[int]) -> Any:
    """Items in a row as lists in lists of this shape."""
    if not shape:
        return items[0]
    if len(shape) == 1:
        return list(items)
    size = math.prod(shape[1:])
    return [_nested(items[place * size : (place + 1) * size], shape[1:]) for place in range(shape[0])]


def _transposed(nested: Any, dimensions: int) -> Any:
    """The lists with their dimensions in the reverse order."""
    if dimensions < 2:
        return nested
    inner = [_transposed(one, dimensions - 1) for one in nested]
    return _last_first(inner, dimensions)


def _last_first(nested: list[Any], dimensions: int) -> list[Any]:
    """The first dimension made the last one."""
    if dimensions == 1:
        return nested
    return [_last_first(list(row), dimensions - 1) for row in zip(*nested, strict=True)]
