"""What a handler imports, and whether that may be imported in a process that others are forked from."""

import importlib
import os
import sys
import sysconfig
from typing import Dict, List, Optional, Set, Tuple

Spoiled = Tuple[str, str]
"""A module, and what it has done to the process that imported it."""


def third_party(before: Set[str]) -> List[str]:
    """The modules that were imported since then and lie where packages are installed, in their order."""
    folders = tuple({sysconfig.get_path("purelib") + os.sep, sysconfig.get_path("platlib") + os.sep})
    found = []
    for name, module in list(sys.modules.items()):
        if name not in before and (getattr(module, "__file__", None) or "").startswith(folders):
            found.append(name)
    return found


def preload(names: List[str]) -> Tuple[Dict[str, str], Optional[Spoiled]]:
    """Import these; which of them could not be, and why, and the first that spoiled this process."""
    left_out: Dict[str, str] = {}
    threads = thread_count()
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  # what cannot be preloaded is the handler's affair
            left_out[name] = repr(error)
        harm = _harm(threads)
        if harm:
            return left_out, (name, harm)
    return left_out, None


def thread_count() -> int:
    """How many threads this process has, Python's or not."""
    if sys.platform == "linux":
        return len(os.listdir("/proc/self/task"))
    import threading

    return threading.active_count()


def _harm(threads: int) -> str:
    import torch

    if thread_count() > threads:
        return "it starts a thread"
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return "it touches the GPU"
    return ""
