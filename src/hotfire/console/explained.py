"""A failure as `hotfire dev` tells it, for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hotfire.failure import Failure, Sent, lines

_WIDTH = 100


def explained(findings: Mapping[str, Any] | None, sent: Sent | None = None) -> Sequence[tuple[str, str]]:
    """Lines with what each is, as `hotfire.failure.Part` names it; none where no failure was found.

    The handler's own files are named by their places in the model data.
    """
    found = (findings or {}).get("failure")
    if found is None:
        return ()
    frames = [*found["frames"], *([found["focus"]] if found["focus"] is not None else ())]
    places = {one["place"]: Path(one["place"]) for one in frames if one["place"] is not None}
    return [(part.value, line) for part, line in lines(Failure.read(found, places, sent), Path(), _WIDTH)]
