"""Where a region listens, by which names."""

import socket

import psutil
import pytest

from hotfire.address import Exposure
from hotfire.errors import PortInUse, RegionError
from hotfire.server.listening import bound, listening, names, reached_at


def where(exposure: Exposure) -> list[str]:
    with listening(0, exposure) as sockets:
        assert len({listener.getsockname()[1] for listener in sockets}) == 1
        return [str(listener.getsockname()[0]) for listener in sockets]


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("127.0.0.2", ["127.0.0.1", "127.0.0.2"]),
        ("0.0.0.0", ["0.0.0.0"]),
    ],
)
def test_the_loopback_is_always_among_the_addresses(host: str, addresses: list[str]) -> None:
    assert where(Exposure(host)) == addresses


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(("host", "addresses"), [("::1", ["127.0.0.1", "::1"]), ("::", ["0.0.0.0", "::"])])
def test_the_addresses_of_ipv6_are_beside_those_of_ipv4(host: str, addresses: list[str]) -> None:
    assert where(Exposure(host)) == addresses


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(RegionError) as caught, listening(0, Exposure("192.0.2.1")):
        pass
    assert caught.value.message == "192.0.2.1 is no address of this machine"
    assert caught.value.advice == "`--host 0.0.0.0` listens on all that it has."


def test_a_port_that_is_taken_is_told_if_it_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} is in use"), listening(port, Exposure()):
            pass


def test_all_is_let_go_in_the_end() -> None:
    with listening(0, Exposure("127.0.0.2")) as sockets:
        port = sockets[0].getsockname()[1]
    with listening(port, Exposure("127.0.0.2")):
        pass


def test_of_itself_a_region_is_known_by_the_names_of_the_loopback() -> None:
    assert names(4774, Exposure()) == {"127.0.0.1:4774", "localhost:4774", "[::1]:4774"}


def test_an_address_that_it_listens_on_is_one_of_its_names() -> None:
    assert "192.168.1.5:4774" in names(4774, Exposure("192.168.1.5"))
    assert "[fe80::1]:4774" in names(4774, Exposure("fe80::1"))


def test_where_it_listens_everywhere_it_is_known_by_all_of_the_machines_addresses() -> None:
    found = names(4774, Exposure("0.0.0.0"))
    assert f"{socket.gethostname().lower()}:4774" in found
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET:
                assert f"{address.address}:4774" in found


def test_a_name_that_is_allowed_is_known_with_its_port_and_without() -> None:
    found = names(4774, Exposure(allowed=("Host.Docker.Internal", "proxy:80")))
    assert {"host.docker.internal", "host.docker.internal:4774", "proxy:80"} <= found


def test_a_single_address_is_listened_on_alone() -> None:
    with bound("127.0.0.2", None) as first, bound("127.0.0.3", first.getsockname()[1]) as second:
        assert (first.getsockname()[0], second.getsockname()[0]) == ("127.0.0.2", "127.0.0.3")


def test_a_port_that_is_taken_at_that_address_is_told() -> None:
    with bound("127.0.0.2", None) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} of 127.0.0.2 is in use by another program"):
            bound("127.0.0.2", port)


def test_a_single_address_of_another_machine_is_told() -> None:
    with pytest.raises(RegionError, match=r"192\.0\.2\.1 is no address of this machine"):
        bound("192.0.2.1", None)


def test_others_reach_one_address_by_itself() -> None:
    assert reached_at("10.0.0.1") == ["10.0.0.1"]


class Found:
    def __init__(self, address: str, family: int = socket.AF_INET) -> None:
        self.address, self.family = address, family


def test_others_reach_all_addresses_by_those_of_networks_with_people(monkeypatch: pytest.MonkeyPatch) -> None:
    interfaces = {
        "lo": [Found("127.0.0.1"), Found("::1", socket.AF_INET6)],
        "docker0": [Found("172.17.0.1")],
        "wlan0": [Found("192.168.0.7"), Found("fe80::1%wlan0", socket.AF_INET6)],
        "eth0": [Found("10.0.0.7")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: interfaces)
    assert sorted(reached_at("0.0.0.0")) == ["10.0.0.7", "192.168.0.7"]
