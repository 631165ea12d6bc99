"""The holder: has imported the handler and loaded the model, never infers, forks workers."""

import os
import socket
import sys
import time
import traceback
from functools import partial
from typing import Any, Dict, List, Optional

from hotfire_worker import findings, imports, output, worker
from hotfire_worker.parent import Parent, settle
from hotfire_worker.premises import enter
from hotfire_worker.requirements import unmet
from hotfire_worker.service import Service
from hotfire_worker.terminal import VARIABLE
from hotfire_worker.wire import Channel, Header

Spec = Dict[str, Any]
"""`model_dir`: the folder of the model; `environment`: variables to set; `threads`: of a worker;
`alone`: whether this process was not forked, and is not to fork."""


def main(spec: Spec, channel: Channel, descriptor: int) -> None:
    """Load the handler, say how it went, then fork a worker for each command until the region is gone."""
    _stand_apart(spec, channel)
    printed = output.redirect(descriptor)
    # Not for the handler to see.
    terminal = spec["environment"].pop(VARIABLE, None)
    spec["model_dir"] = enter(spec["model_dir"], spec["environment"])
    try:
        service = _load(spec, channel)
    finally:
        printed.finish()
    if service is None:
        return
    serve = partial(worker.main, service, spec["threads"], printed, terminal)
    settle()
    forker = Parent(channel)

    def handle(command: Header, descriptors: List[int]) -> None:
        own = Channel(socket.socket(fileno=descriptors[0]))
        if command["command"] == "serve":
            # Where a fork is not safe the holder itself becomes the one worker that it has.
            channel.send({"answer": {"pid": os.getpid()}})
            forker.retire()
            serve(own, [])
            os._exit(0)
        pid = forker.fork(partial(serve, own, command["edits"]), [])
        own.close()
        channel.send({"answer": {"pid": pid}})

    forker.run(handle)


def _stand_apart(spec: Spec, channel: Channel) -> None:
    if not spec["alone"]:
        # A process group of its own, as a process that was not forked has already: what the handler starts
        # can be ended with it.
        os.setpgid(0, 0)
    # What the handler forks must not hold the channel open: nobody would see this process end.
    os.register_at_fork(after_in_child=channel.close)


def _load(spec: Spec, channel: Channel) -> Optional[Service]:
    """The loaded handler, or None; how it went is said."""
    import torch

    wanting = unmet(spec["model_dir"], "install it there, or set `install_requirements: true`")
    if wanting:
        sys.stdout.write("hotfire: " + wanting + "\n")
    # Threads that the load starts would not be there in a forked worker, which then waits for them for ever.
    torch.set_num_threads(1)
    threads, started, before = imports.thread_count(), time.perf_counter(), set(sys.modules)
    try:
        service = Service(spec["model_dir"])
    except BaseException as error:  # noqa: BLE001  # SystemExit and KeyboardInterrupt too: it cannot serve
        message = ". ".join(part for part in (_message(error), wanting) if part)
        found = findings.of_error(error, spec["model_dir"])
        channel.send(
            {"event": "failed", "message": message, "trace": _text(_trace(error)), "findings": found}
        )
        return None
    unsafe = "processes are not forked here" if spec["alone"] else _why_not_fork(threads)
    seconds = time.perf_counter() - started
    imported = imports.third_party(before)
    channel.send({"event": "loaded", "seconds": seconds, "unsafe": unsafe, "imported": imported})
    return service


def _why_not_fork(threads_before: int) -> str:
    """Why workers cannot be forked from this process; empty if they can."""
    import torch

    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return "the model uses CUDA"
    if torch.get_num_threads() > 1:
        return "the handler sets the number of torch's threads"
    if imports.thread_count() > threads_before:
        return "loading the model started threads"
    return ""


def _message(error: BaseException) -> str:
    """The traceback's last line; of a mistake in the source, one that names the place."""
    if isinstance(error, SyntaxError):
        return _text(type(error).__name__ + ": " + str(error))
    return _text("".join(traceback.format_exception_only(type(error), error)).strip())


def _trace(error: BaseException) -> str:
    """The traceback from the toolkit on: how this program came there is nobody's affair."""
    here, frames = os.path.dirname(__file__), error.__traceback__
    while frames is not None and os.path.dirname(frames.tb_frame.f_code.co_filename) == here:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def _text(text: str) -> str:
    """What any program can store and send: a message may hold half a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
