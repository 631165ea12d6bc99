"""The worker: answers requests, one at a time."""

import os
import random
import time
from typing import List

from hotfire_worker.edits import Edit
from hotfire_worker.output import TaggedOutput
from hotfire_worker.service import Service
from hotfire_worker.streaming import relay
from hotfire_worker.threads import Threads
from hotfire_worker.wire import Channel


def main(service: Service, threads: int, printed: TaggedOutput, channel: Channel, edits: List[Edit]) -> None:
    """Make the edits to the handler, then answer requests until the region closes the channel."""
    os.register_at_fork(after_in_child=channel.close)
    if edits:
        service.edit(edits)
    _reseed()
    computing = Threads(threads)
    channel.send({"event": "ready"})
    while True:
        received = channel.receive()
        if received is None:
            return
        header, body = received
        if "cancel" in header:
            continue  # of an answer that had just ended
        printed.tag = header["id"].encode()
        if "stream" in header:
            computing.judge(relay(service.stream(header, body), channel, header["id"]))
            printed.finish()
            printed.tag = b""
            continue
        started = time.perf_counter()
        answer, answer_body = service.answer(header, body)
        computing.judge(time.perf_counter() - started)
        printed.finish()
        printed.tag = b""
        channel.send(answer, answer_body)


def _reseed() -> None:
    """What processes forked from one parent must not have in common."""
    import numpy
    import torch

    random.seed()
    numpy.random.seed()
    torch.seed()
