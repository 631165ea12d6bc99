import os
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from hotfire_worker.wire import Channel, Parser, encode, send_command


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_frame_is_length_header_length_body() -> None:
    assert encode({"a": 1}, b"xy") == b'\x00\x00\x00\x07{"a":1}\x00\x00\x00\x00\x00\x00\x00\x02xy'


def test_a_frame_comes_back_as_it_was() -> None:
    header = {"id": "é\n", "headers": {"Content-Type": "text/plain"}}
    assert list(Parser().feed(encode(header, b"\x00\xff"))) == [(header, b"\x00\xff")]


def test_a_body_can_be_changed_in_place_as_handlers_expect() -> None:
    ((_, body),) = Parser().feed(encode({}, b"abc"))
    assert isinstance(body, bytearray)


def test_frames_are_cut_wherever_the_stream_is() -> None:
    frames = [({"n": n}, bytes(n * 7)) for n in range(40)]
    stream = b"".join(encode(*frame) for frame in frames)
    chance = random.Random(4)
    for _ in range(50):
        parser, found, at = Parser(), [], 0
        while at < len(stream):
            size = chance.randint(1, 90)
            found += list(parser.feed(stream[at : at + size]))
            at += size
        assert found == frames


def test_a_frame_is_not_given_before_its_last_byte() -> None:
    parser, frame = Parser(), encode({"a": 1}, b"body")
    assert list(parser.feed(frame[:-1])) == []
    assert list(parser.feed(frame[-1:])) == [({"a": 1}, b"body")]


def test_a_frame_without_a_body_is_given_by_its_last_byte() -> None:
    parser, frame = Parser(), encode({"a": 1})
    assert list(parser.feed(frame[:-1])) == []
    assert list(parser.feed(frame[-1:])) == [({"a": 1}, b"")]


def test_a_channel_receives_what_the_other_end_sends(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = Channel(ends[0]), Channel(ends[1])
    ours.send({"n": 1}, b"one")
    ours.send({"n": 2})
    assert theirs.receive() == ({"n": 1}, b"one")
    assert theirs.receive() == ({"n": 2}, b"")


def test_a_channel_ends_with_its_other_end(ends: tuple[socket.socket, socket.socket]) -> None:
    theirs = Channel(ends[1])
    Channel(ends[0]).close()
    assert theirs.receive() is None
    assert theirs.receive_command() is None


def test_half_a_frame_is_none(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].sendall(encode({"n": 1}, b"one")[:-1])
    ends[0].close()
    assert Channel(ends[1]).receive() is None


def test_what_was_not_read_when_the_other_end_goes_is_the_end(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """A connection that is reset, as one whose reader ends with bytes unread."""
    theirs = Channel(ends[1])
    theirs.send({"unread": True})
    ends[0].close()
    assert theirs.receive() is None


def test_a_command_brings_its_descriptors(ends: tuple[socket.socket, socket.socket]) -> None:
    with ExitStack() as stack:
        read_end, write_end = os.pipe()
        stack.callback(os.close, read_end)
        send_command(ends[0], {"command": "hold"}, [write_end])
        os.close(write_end)
        received = Channel(ends[1]).receive_command()
        assert received is not None
        header, (descriptor,) = received
        os.write(descriptor, b"through")
        os.close(descriptor)
        assert (header, os.read(read_end, 100)) == ({"command": "hold"}, b"through")


def test_programs_that_a_handler_starts_do_not_get_the_descriptors(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    send_command(ends[0], {}, [0])
    received = Channel(ends[1]).receive_command()
    assert received is not None
    _, (descriptor,) = received
    inheritable = os.get_inheritable(descriptor)
    os.close(descriptor)
    assert inheritable is False


def test_each_command_has_its_own_descriptors(ends: tuple[socket.socket, socket.socket]) -> None:
    channel = Channel(ends[1])
    for descriptors in ([0], [], [0, 1]):
        send_command(ends[0], {}, descriptors)
        received = channel.receive_command()
        assert received is not None
        for descriptor in received[1]:
            os.close(descriptor)
        assert len(received[1]) == len(descriptors)


def test_a_command_that_does_not_fit_at_once_leaves_a_rest(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """The region's end does not block, and a container's environment may be larger than a socket's buffer."""
    ours, theirs = ends
    command = {"environment": {f"V{n}": "é" * 1024 for n in range(100)}}
    ours.setblocking(False)
    rest = send_command(ours, command, [0])
    assert rest != b""
    ours.setblocking(True)
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(ours.sendall, rest)
        received = Channel(theirs).receive_command()
        sending.result()
    assert received is not None
    os.close(received[1][0])
    assert received[0] == command
