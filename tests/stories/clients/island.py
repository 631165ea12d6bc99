"""A network of one machine, with a way out that leads nowhere and is listened to.

Run by `unshare --net --mount`: lays the network, then writes to RECORD each destination that a packet was
sent to beyond this machine, until it is ended. Whoever looks up a name is found out too: the name server
is beyond.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

NAME_SERVER = "192.0.2.53"  # an address that the standards keep for documentation
_PORTS = {6: "tcp", 17: "udp"}
_ANY = 0x0003  # ETH_P_ALL
_PR_SET_PDEATHSIG = 1
_LAY = """
ip link set lo up
ip link add out type veth peer name beyond
ip link set out arp off
ip addr add 198.51.100.2/24 dev out
ip link set beyond up
ip link set out up
ip route add default dev out
ip -6 route add default dev out
"""


def lay(resolver: Path) -> socket.socket:
    """The network; returns what is listened by."""
    for line in _LAY.strip().splitlines():
        subprocess.run(line.split(), check=True)
    resolver.write_text(f"nameserver {NAME_SERVER}\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", str(resolver), "/etc/resolv.conf"], check=True)
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ANY))
    listener.bind(("beyond", 0))
    return listener


def destination(frame: bytes) -> str | None:
    """Where a program wanted to go; None of what the kernel says of its own accord."""
    kind, packet = frame[12:14], frame[14:]
    if kind == b"\x08\x00":
        protocol, address, payload = packet[9], packet[16:20], packet[(packet[0] & 15) * 4 :]
        host = socket.inet_ntop(socket.AF_INET, address)
    elif kind == b"\x86\xdd":
        protocol, address, payload = packet[6], packet[24:40], packet[40:]
        host = socket.inet_ntop(socket.AF_INET6, address)
    else:
        return None
    if protocol not in _PORTS:
        return None
    (port,) = struct.unpack("!H", payload[2:4])
    return f"{_PORTS[protocol]} {host} {port}"


def main(record: Path) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # what is killed with its test leaves nothing
    listener = lay(record.with_suffix(".resolver"))
    with record.open("w", buffering=1) as file:
        print("ready", flush=True)  # noqa: T201  # to whoever waits for it
        while True:
            found = destination(listener.recv(65536))
            if found is not None:
                file.write(f"{found}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
