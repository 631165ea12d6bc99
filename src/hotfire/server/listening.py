"""Where a region listens, and the names by which it is known there."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from ipaddress import ip_address

from hotfire.address import Exposure
from hotfire.errors import PortInUse, RegionError

PORT = 4774
LOCAL = "127.0.0.1"
_PORTS_TRIED = 100
_ANY_4, _ANY_6 = "0.0.0.0", "::"
_BRIDGES = ("docker", "br-", "veth", "virbr", "cni", "podman", "lxc", "lxd")
"""How the interfaces of containers and virtual machines begin, to which no people are connected."""
_SOMEWHERE = ("192.0.2.1", 9)
"""An address that is nobody's, which all networks would lead to."""
_TAKEN = (errno.EADDRINUSE, errno.EACCES)


@contextlib.contextmanager
def listening(port: int | None, exposure: Exposure) -> Iterator[list[socket.socket]]:
    """Sockets on the port that is asked for, else on the first free one from the usual on.

    The first is on this machine's loopback, whatever others there are. Raises PortInUse, and RegionError for
    an address that is not this machine's.
    """
    candidates = range(PORT, PORT + _PORTS_TRIED) if port is None else [port]
    for candidate in candidates:
        with contextlib.ExitStack() as stack:
            try:
                sockets = _listen(stack, candidate, exposure.host)
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    raise _not_ours(exposure.host) from error
                if error.errno not in _TAKEN:
                    raise
                continue
            yield sockets
            return
    tried = f"port {port}" if port is not None else f"every port from {PORT} to {PORT + _PORTS_TRIED - 1}"
    raise PortInUse(f"{tried} is in use by another program", "Name another: `hotfire up --port N`.")


def bound(host: str, port: int | None) -> socket.socket:
    """A socket that listens at one address of this machine, on a free port if none is asked for.

    Raises PortInUse, and RegionError for an address that is not this machine's.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port or 0))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise _not_ours(host) from error
        if error.errno not in _TAKEN:
            raise
        message = f"port {port} of {host} is in use by another program"
        raise PortInUse(message, "Name another: `--port N`.") from error
    return listener


def reached_at(host: str) -> list[str]:
    """The addresses by which others reach what listens there; first the one from which this machine calls."""
    if host not in (_ANY_4, _ANY_6):
        return [host]
    import psutil

    own = [
        found.address
        for name, addresses in psutil.net_if_addrs().items()
        if not name.startswith(_BRIDGES)
        for found in addresses
        if found.family == socket.AF_INET and not ip_address(found.address).is_loopback
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(_SOMEWHERE)  # which sends nothing, but finds the way
        first = probe.getsockname()[0]
        own.sort(key=lambda address: address != first)
    return own


def names(port: int, exposure: Exposure) -> frozenset[str]:
    """What a request's Host may be: a web page of another name must not reach the region by its own."""
    known = {LOCAL, "localhost", "::1", *_own(exposure.host)}
    return frozenset(
        [f"{_in_address(name)}:{port}" for name in known]
        # Behind a proxy the port may be another, or the usual one, which is not named.
        + [text for name in exposure.allowed for text in (name.lower(), f"{name.lower()}:{port}")]
    )


def _not_ours(host: str) -> RegionError:
    message = f"{host} is no address of this machine"
    return RegionError(message, "`--host 0.0.0.0` listens on all that it has.")


def _listen(stack: contextlib.ExitStack, port: int, host: str) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    for address in _addresses(host):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = stack.enter_context(socket.socket(family))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # The others take the port that the first was given.
        listener.bind((address, sockets[0].getsockname()[1] if sockets else port))
        listener.listen(2048)
        sockets.append(listener)
    return sockets


def _addresses(host: str) -> list[str]:
    """All to listen on: Hotfire's own commands come by the loopback."""
    if host in (LOCAL, _ANY_4):
        return [host]
    return [_ANY_4, _ANY_6] if host == _ANY_6 else [LOCAL, host]


def _own(host: str) -> set[str]:
    """The addresses that stand for this one; those of all interfaces where it stands for any."""
    if host not in (_ANY_4, _ANY_6):
        return {host}
    import psutil

    interfaces = psutil.net_if_addrs().values()
    found = {address.address.partition("%")[0] for addresses in interfaces for address in addresses}
    return {address for address in found if _is_ip(address)} | {socket.gethostname().lower()}


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
