"""Where the time of a handler's function goes, by pyinstrument, which the project's Python has for it."""

import functools
import os
from typing import Any, Callable, Dict, List

_INTERVAL = 0.0001
_LEAST = 0.05
"""Of the whole; what takes a smaller part is not told."""
_DEEPEST, _MOST = 12, 25

Line = Dict[str, Any]
"""A function: its `depth` under the one that was asked for, `name`, `file`, `line`, `seconds`."""


class Profile:
    """Of one call."""

    def __init__(self) -> None:
        self.lines: List[Line] = []

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function; a call of it is looked at."""
        from pyinstrument import Profiler

        @functools.wraps(function)
        def looked_at(*args: Any, **kwargs: Any) -> Any:
            profiler = Profiler(interval=_INTERVAL, async_mode="disabled")
            profiler.start()
            try:
                return function(*args, **kwargs)
            finally:
                session = profiler.stop()
                self._take(session.root_frame(), function.__name__)

        return looked_at

    def _take(self, frame: Any, name: str) -> None:
        while frame is not None and frame.function != name:
            frame = frame.children[0] if frame.children else None
        if frame is not None:
            self._add(frame, 0, frame.time * _LEAST)

    def _add(self, frame: Any, depth: int, least: float) -> None:
        if len(self.lines) >= _MOST or depth > _DEEPEST or frame.function.startswith("["):
            return
        place = os.path.relpath(frame.file_path or "")
        place = frame.file_path_short or place if place.startswith("..") else place
        self.lines.append(
            {
                "depth": depth,
                "name": frame.function,
                "file": place,
                "line": frame.line_no,
                "seconds": frame.time,
            }
        )
        for child in sorted(frame.children, key=lambda one: -one.time):
            if child.time >= least:
                self._add(child, depth + 1, least)
