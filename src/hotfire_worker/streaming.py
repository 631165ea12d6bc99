"""An answer in parts: what a handler's generator yields, sent as it comes."""

import time
import traceback
from contextlib import closing
from types import TracebackType
from typing import Any, Generator, Iterator, Optional, Tuple

from hotfire_worker.wire import CHUNK, Channel, Header

Frames = Generator[Tuple[Header, bytes], None, None]
"""The frames of one answer: all but the last say that more follow."""


def pieces(parts: Iterator[Any]) -> Iterator[bytes]:
    """What the parts hold, none empty and none longer than a frame should be."""
    for part in parts:
        data = part.encode("utf-8") if isinstance(part, str) else part
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError("a part of a streamed answer is bytes or text, not " + type(part).__name__)
        view = memoryview(data).cast("B")
        for start in range(0, len(view), CHUNK):
            yield bytes(view[start : start + CHUNK])


def rest(following: Iterator[bytes]) -> Frames:
    """The frames after an answer's first. What fails now cannot change the status: it goes to the log."""
    try:
        for piece in following:
            yield {"more": True}, piece
    except Exception as error:  # noqa: BLE001  # the handler's
        print_failure(error)
        yield {"failed": True}, b""
    else:
        yield {}, b""


def close(parts: Iterator[Any]) -> None:
    """Let the handler's generator clean up, as far as it is one."""
    try:
        getattr(parts, "close", lambda: None)()
    except Exception as error:  # noqa: BLE001  # the handler's
        print_failure(error)


def print_failure(error: BaseException) -> None:
    """Print a traceback that begins in the handler."""
    traceback.print_exception(type(error), error, handlers_own(error))


def handlers_own(error: BaseException) -> Optional[TracebackType]:
    """An error's traceback without the frames of ours that it begins with; None if there are no others."""
    at = error.__traceback__
    while at is not None and at.tb_frame.f_globals.get("__package__") == __package__:
        at = at.tb_next
    return at


def relay(frames: Frames, channel: Channel, request_id: str) -> float:
    """Send an answer's frames until they end or nobody wants more; the seconds that it took to make them."""
    seconds = 0.0
    header: Header = {"more": True}
    with closing(frames):
        while "more" in header:
            started = time.perf_counter()
            header, body = next(frames)
            seconds += time.perf_counter() - started
            if "more" in header and channel.is_cancelled(request_id):
                break
            channel.send(header, body)
    if "more" in header:
        channel.send({})
    return seconds
