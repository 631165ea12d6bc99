"""numpy's files, read without numpy."""

import io
from typing import Any

import numpy as np
import pytest

from hotfire.arrays import of_npy, of_npz


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["f2", "f4", "<f8", ">f8", "i1", "u1", "i2", ">u2", "i4", "u4", "i8", "u8"])
def test_numbers_of_every_size(kind: str) -> None:
    assert of_npy(npy(np.array([[1, 2, 3], [4, 5, 6]], kind))) == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "array",
    [
        np.array([True, False]),
        np.array(["a", "äöü", ""]),
        np.array(["a", "äöü"], ">U5"),
        np.array(3.5),
        np.zeros((0,)),
        np.zeros((2, 0)),
        np.zeros((0, 2)),
        np.arange(24).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.asfortranarray(np.arange(24).reshape(2, 3, 4)),
        np.asfortranarray(np.zeros((2, 0))),
    ],
    ids=repr,
)
def test_an_array_as_numpy_lists_it(array: Any) -> None:
    assert of_npy(npy(array)) == array.tolist()


def test_bytes_are_texts() -> None:
    assert of_npy(npy(np.array([b"ab", b"\xff"]))) == ["ab", "ÿ"]


def test_a_long_header_of_a_later_version() -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([1.5]), version=(2, 0))
    assert of_npy(file.getvalue()) == [1.5]


def test_several_arrays_by_name() -> None:
    file = io.BytesIO()
    np.savez(file, a=[1, 2], b=[[0.5]])
    assert of_npz(file.getvalue()) == {"a": [1, 2], "b": [[0.5]]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00\x10\x00" + b" " * 30,
        b"\x93NUMPY\x01\x00\xff\x00{}",
        b"\x93NUMPY\x01\x00\x02\x00{}",
        b"\x93NUMPY\x01\x00\x02\x00{(",
        b"\x93NUMPY\x01\x00\x04\x00evil",
        npy(np.array([1.5, 2.5]))[:-1],
        npy(np.array(["ab"]))[:-1],
        npy(np.array([{}], dtype=object)),
        npy(np.array([1j])),
        npy(np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")])),
    ],
)
def test_what_is_no_array_or_one_of_other_things(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        of_npy(data)


def test_what_is_no_archive() -> None:
    with pytest.raises(ValueError, match="no archive of arrays"):
        of_npz(b"PK")
