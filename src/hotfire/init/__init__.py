"""The frame of a project around a model that is there already: `hotfire init`."""

from hotfire.init.draft import Draft, draft, write

__all__ = ["Draft", "draft", "write"]
