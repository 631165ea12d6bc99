"""`own_image:` in config.yml: of what an image of one's own is built."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path

from hotfire.config_file import Section, listed, nearest

NONE = "none"
"""In place of an index's address: no index."""

_REPOSITORY = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")
_VERSION = re.compile(r"\d+(\.\d+)*(\.?(a|b|rc|post|dev)\d+)*(\+[a-z0-9.]+)?")
_MOST_OF_REPOSITORY = 256
_NETWORKS = ("default", "host", "none")


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What `own_image` says; None is what Hotfire chooses.

    `index` and `torch_index` are addresses of package indexes, or `NONE`; `wheels` is a folder of further
    packages, `certificate` a file of certificates that pip is to trust, `network` what a build has of it.
    """

    base: str | None = None
    torch: str | None = None
    cuda: bool = False
    index: str | None = None
    torch_index: str | None = None
    wheels: Path | None = None
    certificate: Path | None = None
    network: str = "default"
    lock: Path | None = None
    repository: str | None = None


KEYS = tuple(one.name for one in fields(ImageSettings))


def image_settings(section: Section | None, root: Path) -> ImageSettings:
    """The settings of an environment; paths are relative to the project's root. Raises ConfigError."""
    if section is None:
        return ImageSettings()
    for key in section.values:
        if key not in KEYS:
            near = nearest(key, KEYS)
            advice = f"Did you mean {near!r}?" if near else f"It has {listed(KEYS)}."
            raise section.error(f"own_image has no key {key!r}", advice, key=key)
    return ImageSettings(
        base=section.text("base"),
        torch=_version(section),
        cuda=section.flag("cuda", default=False),
        index=_address(section, "index"),
        torch_index=_address(section, "torch_index"),
        network=section.choice("network", _NETWORKS, "default"),
        repository=_repository(section),
        wheels=_path(section, "wheels", root),
        certificate=_path(section, "certificate", root),
        lock=_path(section, "lock", root),
    )


def _version(section: Section) -> str | None:
    text = section.text("torch")
    if text is not None and not _VERSION.fullmatch(text):
        raise section.wrong_type("torch", "one version, such as 2.9.1")
    return text


def _address(section: Section, key: str) -> str | None:
    text = section.text(key)
    if text not in (None, NONE) and not text.startswith(("http://", "https://")):
        raise section.wrong_type(key, f"an address that begins with http:// or https://, or {NONE!r}")
    return text


def _repository(section: Section) -> str | None:
    text = section.text("repository")
    if text is not None and not (_REPOSITORY.fullmatch(text) and len(text) <= _MOST_OF_REPOSITORY):
        raise section.wrong_type("repository", "a repository's name in lower case, without its registry")
    return text


def _path(section: Section, key: str, root: Path) -> Path | None:
    text = section.text(key)
    return None if text is None else root / Path(text).expanduser()
