"""Who looks at pages or asks the public API, and which models are there for them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who was let in; `models` are the names of the endpoints that there are for them.

    The region's owner sees everything. Whoever was given a key or a link to some models, or to all of them
    (`models` is None), sees these models' pages and API, and nothing of the console besides: no other page,
    no link to one, no traceback. `key` is the one that they may show to the public API, where it is known.
    """

    is_owner: bool = False
    models: frozenset[str] | None = None
    key: str = field(default="", repr=False)

    def sees(self, model: str) -> bool:
        """Whether there is a model of this name for them, if there is one at all."""
        return self.models is None or model in self.models


OWNER = Visitor(is_owner=True)
"""The user whose region it is."""
