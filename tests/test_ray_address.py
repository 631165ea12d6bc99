"""Addresses of a Ray cluster's dashboard: which can be asked, and what is said of the others."""

import pytest

from hotfire.ray_address import mistake_in


@pytest.mark.parametrize(
    "address",
    [
        "http://head",
        "http://head:8265",
        "http://head.example.com:8265/",
        "http://ray_head-1.local.:1",
        "http://10.0.0.7:65535",
        "http://[::1]:8265",
    ],
)
def test_these_can_be_asked(address: str) -> None:
    assert mistake_in(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "https://head:8265",
        "ray://head:10001",
        "head:8265",
        "http://",
        "http://:8265",
        "http://head:0",
        "http://head:99999",
        "http://head:eight",
        "http://head:8265/api",
        "http://head:8265?x=1",
        "http://head..example:8265",
        "http://two heads:8265",
        f"http://{'h' * 64}:8265",
        "http://[::1:8265",
        "http://[]:8265",
        "http://[::g]:8265",
    ],
)
def test_these_are_refused_as_they_are_written(address: str) -> None:
    wrong = mistake_in(address)
    assert wrong is not None
    what, advice = wrong
    assert what == f"must be the address of a Ray dashboard, such as http://head:8265, not {address!r}"
    assert advice.startswith("Write `http://HEAD:8265`")


@pytest.mark.parametrize(
    "address", ["http://eva:s3cret@head:8265", "https://s3cret@head", "http://eva:s3/c#ret@head:99999"]
)
def test_a_password_is_refused_and_not_repeated(address: str) -> None:
    wrong = mistake_in(address)
    assert wrong is not None
    what, advice = wrong
    assert what == "holds a user name or a password, which Ray's dashboard does not take"
    assert "RAY_AUTH_TOKEN" in advice
    assert "s3" not in what + advice
