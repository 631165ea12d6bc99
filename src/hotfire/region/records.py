"""What is recorded of a request to an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from hotfire.region.masking import is_masked

MOST_OF_BODY = 64 * 1024
"""So many bytes of a body are kept; its whole size is told."""
MOST_OF_MESSAGE = 4 * 1024
"""As many characters of what a client was told of a failure."""

Via = Literal["invoke", "stream", "async", "page", "api"]
"""How a request came: by an operation of SageMaker Runtime, from a model's page, or by the public API."""
VIAS: tuple[Via, ...] = get_args(Via)


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer, as it reached the container or came from it; secrets in headers are masked.

    `body` is the beginning, `size` the length of the whole. It is None where bodies are not recorded
    (`journal: false`), or were not asked for.
    """

    headers: Mapping[str, str]
    body: bytes | None
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether all of the body is here."""
        return self.body is not None and len(self.body) == self.size

    @property
    def content_type(self) -> str:
        """What the body is said to be; empty if nothing is."""
        return next((value for name, value in self.headers.items() if name.lower() == "content-type"), "")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A request and what became of it. `time` in milliseconds since the epoch, durations in seconds.

    `request` is the id under which it reached the container: lines of `region.journal` with it were printed
    meanwhile. `variant` and `version`, the endpoint config that then served, are empty where none was found.
    `status` is the container's, 0 where it did not answer; `error` the code of what the client was told
    (empty if all went well), `message` its text. Of an answer in parts, `first` is when the first one came,
    `answer` has the first one's body and the size of all, and `error` says if it broke off. `findings` are
    those about a failure under `hotfire dev`, as `hotfire_worker.findings` has them.
    """

    id: int
    request: str
    time: int
    endpoint: str
    variant: str
    version: str
    via: Via
    status: int
    error: str
    message: str
    seconds: float
    first: float | None
    has_bodies: bool
    times: Mapping[str, float]
    findings: Mapping[str, Any] | None
    sent: Message
    answer: Message

    @property
    def failed(self) -> bool:
        """Whether the client was told of an error."""
        return bool(self.error)

    @property
    def can_be_sent_again(self) -> bool:
        """Whether the very same request could be: nothing of it was cut, left out or masked."""
        return self.sent.is_whole and not any(map(is_masked, self.sent.headers.values()))


class Record(NamedTuple):
    """What is taken down of a request while it is served; the rest is done later and elsewhere.

    Bodies are of `bytes`, cut already; `None` for those that are not to be recorded.
    """

    id: int
    request: str
    time: int
    endpoint: str
    variant: str
    version: str
    via: Via
    status: int
    error: str
    message: str
    seconds: float
    first: float | None
    times: Mapping[str, float]
    findings: Mapping[str, Any] | None
    sent_headers: Mapping[str, str]
    sent: bytes | None
    sent_size: int
    answer_headers: Mapping[str, str]
    answer: bytes | None
    answer_size: int


def cut(body: bytes) -> bytes:
    """What is kept of a body, without the whole of a long one in memory."""
    return body if len(body) <= MOST_OF_BODY else bytes(body[:MOST_OF_BODY])
