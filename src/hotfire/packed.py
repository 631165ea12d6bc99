"""A `model.tar.gz` as model data: to deploy the very bytes that were tried elsewhere."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hotfire.archive import unpack
from hotfire.environment import HANDLER_NAMES, Environment, home
from hotfire.errors import ArchiveError
from hotfire.hashes import HashCache
from hotfire.model_data import Entry, ModelData, Packed, tree_sha256
from hotfire.sources import CODE


@contextmanager
def opened(environment: Environment, archive: Path) -> Iterator[ModelData]:
    """The archive's files, for as long as they are needed.

    Raises ArchiveError for what is no archive, or holds no handler.
    """
    state = home()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=state) as folder:
        root = Path(folder) / "model"
        unpack(archive, root)
        yield _model_data(environment, archive, root)


def _model_data(environment: Environment, archive: Path, root: Path) -> ModelData:
    entries = _entries(root)
    handler = _handler(environment, archive, {entry.place for entry in entries})
    with archive.open("rb") as stream:
        packed = Packed(archive, hashlib.file_digest(stream, "sha256").hexdigest(), archive.stat().st_size)
    return ModelData(entries, tree_sha256(entries), handler, packed=packed)


def _entries(root: Path) -> tuple[Entry, ...]:
    """Without a cache: what was just unpacked has never been hashed."""
    hashes = HashCache(root / "none")
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file():
            digest = hashes.digest(path)
            place = path.relative_to(root).as_posix()
            found.append(Entry(place, path, digest.size, digest.mode, digest.sha256))
    return tuple(sorted(found, key=lambda entry: entry.place))


def _handler(environment: Environment, archive: Path, places: set[str]) -> str:
    """The handler's name in `code/`."""
    given = environment.entry_point
    names = (Path(given).name,) if given else tuple(dict.fromkeys(Path(name).name for name in HANDLER_NAMES))
    for name in names:
        if CODE + name in places:
            return name
    looked_for = " or ".join(CODE + name for name in names)
    raise ArchiveError(f"{archive} holds no {looked_for}.", "Set `entry_point:` to the handler's name in it.")
