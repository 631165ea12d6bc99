"""The zygote: has imported torch and the toolkit, never computes, forks holders."""

import contextlib
import importlib
import os
import socket
import sys
import time
import traceback
from typing import Any, Dict, List

from hotfire_worker import holder, imports
from hotfire_worker.lifeline import die_with
from hotfire_worker.parent import Parent, settle
from hotfire_worker.wire import Channel, Header

REQUIRED = (
    "numpy",
    "torch",
    "sagemaker_inference.transformer",
    "sagemaker_pytorch_serving_container.default_pytorch_inference_handler",
)
"""What every handler is served with."""


def main(descriptor: int, parent: int, preload: List[str]) -> None:
    """Import, say so, then fork a holder for each command until the region is gone."""
    die_with(parent)
    channel = Channel(socket.socket(fileno=descriptor))
    report = _import(preload)
    channel.send(report)
    if report["event"] != "ready":
        return
    settle()
    forker = Parent(channel)

    def hold(command: Header, descriptors: List[int]) -> None:
        own, output = descriptors
        if command["command"] == "become":
            # Where forking is not safe each zygote becomes the holder of one model.
            channel.send({"answer": {"pid": os.getpid()}})
            forker.retire()
            channel.close()
            holder.main(command["spec"], Channel(socket.socket(fileno=own)), output)
            os._exit(0)
        pid = forker.fork(
            lambda: holder.main(command["spec"], Channel(socket.socket(fileno=own)), output), descriptors
        )
        # Here too, so that the group is there when its number is told; unless the holder has ended already.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        channel.send({"answer": {"pid": pid}})

    forker.run(hold)


def _import(preload: List[str]) -> Dict[str, Any]:
    # A BLAS that starts its threads now could not be forked from; a worker sets its own number later.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # Threads that wait for work by spinning take the cores from whoever has some.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    started = time.perf_counter()
    try:
        for name in REQUIRED:
            importlib.import_module(name)
    except ImportError as error:
        return {
            "event": "failed",
            "missing": error.name or "",
            "message": str(error),
            "trace": traceback.format_exc(),
        }
    left_out, spoiled = imports.preload(preload)
    if spoiled is not None:
        return {"event": "spoiled", "module": spoiled[0], "reason": spoiled[1]}
    os.environ.pop("OPENBLAS_NUM_THREADS")
    return {
        "event": "ready",
        "seconds": time.perf_counter() - started,
        "python": sys.version.split()[0],
        "torch": sys.modules["torch"].__version__,
        "left_out": left_out,
    }
