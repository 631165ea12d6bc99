"""Why a model cannot be kept."""

from __future__ import annotations


class Obstacle(Exception):
    """What stands against it, and where: never leaves the package."""

    def __init__(self, what: str, place: str | None = None, line: int | None = None) -> None:
        at = f"{place} line {line}" if line else place
        super().__init__(f"{at}: {what}" if at else what)
