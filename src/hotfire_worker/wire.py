"""Frames on a Unix socket: a 4-byte length, a JSON header, an 8-byte length, a raw body.

Lengths are big-endian. The region and its processes share this module.
"""

import json
import os
import socket
import struct
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

Header = Dict[str, Any]

CHUNK = 256 * 1024
_MAX_DESCRIPTORS = 4
_HEADER_LENGTH = struct.Struct(">I")
_BODY_LENGTH = struct.Struct(">Q")


def encode(header: Header, body: bytes = b"") -> bytes:
    """One frame."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((_HEADER_LENGTH.pack(len(head)), head, _BODY_LENGTH.pack(len(body)), body))


class Parser:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> Iterator[Tuple[Header, bytearray]]:
        """The frames that are complete with `data`."""
        self._buffer += data
        while len(self._buffer) > self._needed:
            frame = self._cut()
            if frame is None:
                return
            yield frame

    def _cut(self) -> Optional[Tuple[Header, bytearray]]:
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        body_length_at = 4 + _HEADER_LENGTH.unpack_from(buffer)[0]
        body_at = body_length_at + 8
        if len(buffer) < body_at:
            return None
        end = body_at + _BODY_LENGTH.unpack_from(buffer, body_length_at)[0]
        if len(buffer) < end:
            # The next look is worth its while only when the whole frame is here.
            self._needed = end - 1
            return None
        header = json.loads(buffer[4:body_length_at])
        body = buffer[body_at:end]
        del buffer[:end]
        self._needed = 0
        return header, body


class Channel:
    """A blocking end of the socket, as the zygote, a holder or a worker has it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._parser = Parser()
        self._frames: List[Tuple[Header, bytearray]] = []
        self._descriptors: List[int] = []

    def fileno(self) -> int:
        """The socket's descriptor, for a selector."""
        return self._sock.fileno()

    def send(self, header: Header, body: bytes = b"") -> None:
        """Send one frame."""
        self._sock.sendall(encode(header, body))

    def receive(self) -> Optional[Tuple[Header, bytearray]]:
        """The next frame, or None when the other end is gone."""
        while not self._frames:
            try:
                data = self._sock.recv(CHUNK)
            except ConnectionError:
                return None
            if not data:
                return None
            self._frames.extend(self._parser.feed(data))
        return self._frames.pop(0)

    def is_cancelled(self, request_id: str) -> bool:
        """Whether the other end wants no more of an answer, or is gone; other frames wait for `receive`."""
        try:
            while True:
                data = self._sock.recv(CHUNK, socket.MSG_DONTWAIT)
                if not data:
                    return True
                self._frames.extend(self._parser.feed(data))
        except BlockingIOError:
            pass
        except ConnectionError:
            return True
        others = [frame for frame in self._frames if frame[0].get("cancel") != request_id]
        cancelled = len(others) < len(self._frames)
        self._frames = others
        return cancelled

    def receive_command(self) -> Optional[Tuple[Header, List[int]]]:
        """The next frame and the descriptors that came with it, or None when the other end is gone.

        Each command is answered before the next is sent, so that its descriptors are its own.
        """
        while not self._frames:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._sock, CHUNK, _MAX_DESCRIPTORS)
            except ConnectionError:
                return None
            if not data:
                return None
            for descriptor in descriptors:
                # Programs that the handler starts would hold it open, and nobody would see this process end.
                os.set_inheritable(descriptor, False)
            self._descriptors.extend(descriptors)
            self._frames.extend(self._parser.feed(data))
        header, _ = self._frames.pop(0)
        descriptors, self._descriptors = self._descriptors, []
        return header, descriptors

    def close(self) -> None:
        """Close this end."""
        self._sock.close()


def send_command(sock: socket.socket, header: Header, descriptors: Sequence[int] = ()) -> bytes:
    """Send a frame and descriptors to the process at the other end; what of the frame did not fit."""
    frame = encode(header)
    return frame[socket.send_fds(sock, [frame], list(descriptors)) :]
