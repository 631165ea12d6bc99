"""The worker: answers requests, one at a time."""

import os
import random
import time
from typing import List, Optional

from hotfire_worker import debugger
from hotfire_worker.edits import Edit
from hotfire_worker.output import TaggedOutput
from hotfire_worker.service import Service
from hotfire_worker.streaming import relay
from hotfire_worker.terminal import Terminal
from hotfire_worker.threads import Threads
from hotfire_worker.wire import Channel


def main(
    service: Service,
    threads: int,
    printed: TaggedOutput,
    terminal: Optional[str],
    channel: Channel,
    edits: List[Edit],
) -> None:
    """Make the edits to the handler, then answer requests until the region closes the channel.

    `terminal` is where a breakpoint of the handler's leads, if somebody works on it.
    """
    os.register_at_fork(after_in_child=channel.close)
    if edits:
        service.edit(edits)
    _reseed()
    computing = Threads(threads)
    breakpoints = Terminal(terminal, channel)
    channel.send({"event": "ready"})
    while True:
        received = channel.receive()
        if received is None:
            return
        header, body = received
        if "cancel" in header:
            continue  # of an answer that had just ended
        if "debug" in header:
            channel.send(debugger.listen())
            continue
        printed.tag = header["id"].encode()
        answer = None
        started = time.perf_counter()
        if "stream" in header:
            computing.judge(relay(service.stream(header, body), channel, header["id"]))
        else:
            answer = service.answer(header, body)
            computing.judge(time.perf_counter() - started)
        breakpoints.finish()
        printed.finish()
        printed.tag = b""
        if answer is not None:
            channel.send(*answer)


def _reseed() -> None:
    """What processes forked from one parent must not have in common."""
    import numpy
    import torch

    random.seed()
    numpy.random.seed()
    torch.seed()
