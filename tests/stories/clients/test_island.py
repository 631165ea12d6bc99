"""The network of these stories shows what would leave the machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

CONNECT = """
import socket
away = socket.socket({family})
away.settimeout(0.2)
try:
    away.connect(("{host}", 443))
except OSError:
    pass
"""


@pytest.mark.parametrize(
    ("family", "host"), [("socket.AF_INET", "192.0.2.1"), ("socket.AF_INET6", "2001:db8::1")]
)
def test_a_connection_is_seen(
    machine: Machine, sent: Callable[[], list[str]], family: str, host: str
) -> None:
    machine.run([sys.executable, "-c", CONNECT.format(family=family, host=host)])
    assert f"tcp {host} 443" in sent()


def test_to_look_up_a_name_is_seen(machine: Machine, sent: Callable[[], list[str]]) -> None:
    machine.run([sys.executable, "-c", "import socket; socket.gethostbyname('sts.amazonaws.com')"])
    assert "udp 192.0.2.53 53" in sent()


def test_what_stays_on_the_machine_is_not_seen(machine: Machine, sent: Callable[[], list[str]]) -> None:
    before = sent()
    machine.hotfire("up")
    assert machine.told("up")["started"] is False
    assert sent() == before
