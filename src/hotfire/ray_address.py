"""The address of a Ray cluster's dashboard, as config.yml or a model's environment names it."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

_LABEL = r"[A-Za-z0-9_-]{1,63}"
_ADDRESS = re.compile(
    rf"http://(?:\[(?P<literal>[^\]]*)\]|{_LABEL}(?:\.{_LABEL})*\.?)(?::(?P<port>[0-9]{{1,5}}))?/*", re.ASCII
)
_MOST_PORT = 65535
_ADVICE = "Write `http://HEAD:8265`, with the head node's name and the port of its dashboard."


def mistake_in(address: str) -> tuple[str, str] | None:
    """What is wrong with an address, to be said after its name, and what to do; None if nothing is.

    A user name or password is not repeated: what is said here is printed and kept in logs.
    """
    if "@" in address:
        advice = (
            "Leave them out: a dashboard that wants a token gets RAY_AUTH_TOKEN of the environment in which "
            "the region was started."
        )
        return "holds a user name or a password, which Ray's dashboard does not take", advice
    if _is_well_formed(address):
        return None
    return f"must be the address of a Ray dashboard, such as http://head:8265, not {address!r}", _ADVICE


def _is_well_formed(address: str) -> bool:
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"] or 1) <= _MOST_PORT:
        return False
    try:
        IPv6Address(match["literal"] or "::")
    except AddressValueError:
        return False
    return match["literal"] != ""
