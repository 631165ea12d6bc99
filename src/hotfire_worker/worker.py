"""The worker: answers requests, one at a time."""

import random

from hotfire_worker.output import TaggedOutput
from hotfire_worker.service import Service
from hotfire_worker.wire import Channel


def main(service: Service, threads: int, printed: TaggedOutput, channel: Channel) -> None:
    """Answer requests until the region closes the channel."""
    _settle_in(threads)
    channel.send({"event": "ready"})
    while True:
        received = channel.receive()
        if received is None:
            return
        header, body = received
        printed.tag = header["id"].encode()
        answer, answer_body = service.answer(header, body)
        printed.finish()
        printed.tag = b""
        channel.send(answer, answer_body)


def _settle_in(threads: int) -> None:
    """What processes forked from one parent must not have in common."""
    import numpy
    import torch

    torch.set_num_threads(threads)
    random.seed()
    numpy.random.seed()
    torch.seed()
