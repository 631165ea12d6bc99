"""What handlers were seen to import, so that a zygote has imported it before they do."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

_MOST_MODULES = 3000


class Preloads:
    """Third-party modules by project, kept in `file` between regions. Losing it costs only time."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: dict[str, dict[str, Any]] = _read(file)

    def of(self, project: str) -> tuple[str, ...]:
        """The modules to import for a project, in the order in which its handler did."""
        known = self._known.get(project, {})
        left_out = known.get("left_out", {})
        return tuple(name for name in known.get("modules", ()) if name not in left_out)

    def learn(self, project: str, modules: Iterable[str]) -> bool:
        """Take what a project's handler has imported; whether there is anything new."""
        known = self._known.setdefault(project, {"modules": [], "left_out": {}})
        new = [name for name in modules if name not in known["modules"] and name not in known["left_out"]]
        known["modules"] = [*known["modules"], *new][:_MOST_MODULES]
        if new:
            self._write()
        return bool(new)

    def leave_out(self, modules: Iterable[str], reason: str) -> None:
        """Import these nowhere before a handler does."""
        for name in modules:
            for known in self._known.values():
                if name in known["modules"]:
                    known["left_out"][name] = reason
        self._write()

    def _write(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                part = self._file.with_name(f"{self._file.name}.new")
                part.write_text(json.dumps(self._known), "utf-8")
                part.replace(self._file)


def _read(file: Path | None) -> dict[str, dict[str, Any]]:
    if file is None:
        return {}
    try:
        value = json.loads(file.read_text("utf-8"))
        return {
            str(project): {"modules": [*map(str, one["modules"])], "left_out": dict(one["left_out"])}
            for project, one in value.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
