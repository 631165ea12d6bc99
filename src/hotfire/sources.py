"""Where model data comes from: the project's handler, sources and artifacts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hotfire import tracing
from hotfire.errors import ProjectError
from hotfire.folders import HOTFIREIGNORE, Identity, Rules, files, identity
from hotfire.hashes import HashCache
from hotfire.model_data import Entry, ModelData, check_places, tree_sha256
from hotfire.tracing import Module, SearchFolder, Use

CODE = "code/"
REQUIREMENTS = "requirements.txt"

TESTS = frozenset({"test", "tests"})
"""Folders that are never taken along with what a handler uses."""

TRAINING = TESTS | {
    *("build", "data", "dataset", "datasets", "dist", "doc", "docs", "embeddings", "examples"),
    *("log", "logs", "mlruns", "notebooks", "runs", "wandb"),
}
"""Folders that a handler's sources often name, but that serve training: not taken along whole, unasked."""

LARGE_CODE = 100 << 20
"""Code of more bytes than this probably holds something else."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a project gives to its model data. Paths are absolute.

    `left_out` are files and folders that are no part of it wherever they lie: the archive that is
    written, examples, `config.yml`.
    """

    root: Path
    handler: Path
    source_dir: Path | None = None
    artifacts: tuple[Path, ...] = ()
    left_out: tuple[Path, ...] = ()

    @property
    def search_folders(self) -> tuple[SearchFolder, ...]:
        """Where the handler's imports are found, here and in the container."""
        beside = SearchFolder(self.handler.parent, CODE)
        if self.source_dir is not None:
            return SearchFolder(self.source_dir, CODE), beside
        return beside, SearchFolder(self.root, "")


def collect(sources: Sources, hashes: HashCache, traced: Sequence[Module] | None = None) -> ModelData:
    """The model data of a project, hashed; `traced` are its sources, where they have been traced before.

    Raises ProjectError for a missing handler or artifact, ArchiveError for what model data cannot hold.
    """
    if not sources.handler.is_file():
        raise ProjectError(f"There is no handler {sources.handler}.", "Mend `entry_point` in config.yml.")
    gathering = _Gathering(sources, traced)
    gathering.run()
    claims = gathering.claims.items()
    check_places(claims)
    try:
        entries = tuple(sorted((_entry(*claim, hashes) for claim in claims), key=lambda entry: entry.place))
    finally:
        # Also when interrupted: what was hashed need not be hashed again.
        hashes.save()
    notes = (*gathering.notes, *_note_on_size(entries))
    return ModelData(entries, tree_sha256(entries), sources.handler.name, notes)


def _entry(place: str, source: Path, hashes: HashCache) -> Entry:
    digest = hashes.digest(source)
    return Entry(place, source, digest.size, digest.mode, digest.sha256)


class _Gathering:
    """The places that files of the project claim."""

    def __init__(self, sources: Sources, traced: Sequence[Module] | None) -> None:
        self._sources, self._traced = sources, traced
        self._rules = Rules((HOTFIREIGNORE,)).within(sources.root)
        self._left_out = _identities(sources.left_out)
        self.claims: dict[str, Path] = {}
        self.notes: list[str] = []

    def run(self) -> None:
        sources = self._sources
        folders = sources.search_folders
        traced = self._trace() if self._needs_trace() else []
        imported = tracing.imported(traced, folders)
        named: list[Use] = []
        for artifact in sources.artifacts:
            self._add_artifact(artifact)
        if not sources.artifacts:
            packages = _identities(use.source for use in imported)
            named = [
                use
                for use in tracing.named(traced, sources.root)
                if identity(use.source) not in packages and self._is_meant(use)
            ]
        if sources.source_dir is not None:
            self._add_source_dir(sources.source_dir, named)
            # What is found in source_dir is in code/ already; what lies only beside the handler is not.
            imported = [use for use in imported if use.source.parent != sources.source_dir]
        self._claim(CODE + sources.handler.name, sources.handler)
        self._add_requirements()
        self._take_along(imported)
        self._take_along(named)

    def _trace(self) -> Sequence[Module]:
        if self._traced is not None:
            return self._traced
        return tracing.modules(self._sources.handler, self._sources.search_folders)

    def _needs_trace(self) -> bool:
        """Not if all is named: the artifacts, and a `source_dir` that the handler lies in."""
        sources = self._sources
        return not sources.artifacts or sources.handler.parent != sources.source_dir

    def _claim(self, place: str, source: Path) -> bool:
        """Whether the place was free. One file may claim its place twice; two files may not."""
        holder = self.claims.setdefault(place, source)
        if holder is not source and identity(holder) != identity(source):
            check_places([(place, holder), (place, source)])
        return holder is source

    def _add_artifact(self, artifact: Path) -> None:
        if artifact.is_dir():
            for place, path in files(artifact, Rules((HOTFIREIGNORE,)), left_out=self._left_out):
                self._claim(place, path)
        elif artifact.exists():
            self._claim(artifact.name, artifact)
        else:
            root = self._sources.root
            shown = artifact.relative_to(root) if artifact.is_relative_to(root) else artifact
            leads = f" (a link to {artifact.readlink()})" if artifact.is_symlink() else ""
            raise ProjectError(
                f"artifacts: there is no {shown}{leads} in {root}.",
                "Train the model first, or mend `artifacts` in config.yml.",
            )

    def _add_source_dir(self, folder: Path, named: Sequence[Use]) -> None:
        if not folder.is_dir():
            raise ProjectError(
                f"source_dir: there is no folder {folder}.", "Mend `source_dir` in config.yml."
            )
        elsewhere = (*self._sources.artifacts, *(use.source for use in named if not use.by_source))
        # An artifact may hold the sources, or be them; only what lies inside them is left out of them.
        around = _identities((folder, *folder.resolve().parents))
        left_out = self._left_out | (_identities(elsewhere) - around)
        rules = Rules().above(folder, self._sources.root)
        own_requirements = self._requirements_beside() is not None
        for place, path in files(folder, rules, left_out=left_out):
            if not (own_requirements and place == REQUIREMENTS):
                self._claim(CODE + place, path)

    def _requirements_beside(self) -> Path | None:
        """The handler's own requirements, which go before those of `source_dir`."""
        beside = self._sources.handler.with_name(REQUIREMENTS)
        return beside if beside.is_file() else None

    def _add_requirements(self) -> None:
        sources = self._sources
        beside, above = self._requirements_beside(), sources.root / REQUIREMENTS
        if beside is not None:
            self._claim(CODE + REQUIREMENTS, beside)
            other = (sources.source_dir or beside.parent) / REQUIREMENTS
            if other != beside and other.is_file():
                self.notes.append(f"{beside} is code/{REQUIREMENTS}; {other} is not taken.")
        elif sources.source_dir is None and above.is_file():
            self._claim(CODE + REQUIREMENTS, above)
            self.notes.append(f"{REQUIREMENTS} is taken along to code/: SageMaker installs it there.")

    def _is_meant(self, use: Use) -> bool:
        """Whether a name in a source is surely that of something that the handler needs."""
        parts = PurePosixPath(use.place.removeprefix(CODE)).parts
        if TESTS & set(parts) or use.source.suffix == ".py" or identity(use.source) in self._left_out:
            return False
        if not use.source.is_dir():
            return True
        around = [path for path in (self._sources.handler, self._sources.source_dir) if path is not None]
        if any(path.is_relative_to(use.source) for path in around):
            return False
        return len(parts) > 1 or parts[0] not in TRAINING or self._is_asked_for(use)

    def _is_asked_for(self, use: Use) -> bool:
        """Whether `.hotfireignore` takes the folder in by `!name/`; said if it does not."""
        verdict = self._rules.verdict(str(use.source), is_folder=True)
        if verdict is None and any(use.source.iterdir()):
            name = use.source.name
            self.notes.append(
                f"{name}/ is left out although {use.reason.removesuffix(' names it')} names it: it looks "
                f"like a folder of training. If the handler needs it, write !{name}/ in {HOTFIREIGNORE}."
            )
        return verdict is False

    def _take_along(self, uses: Sequence[Use]) -> None:
        for use in uses:
            inside_another = any(use.place.startswith(f"{other.place}/") for other in uses)
            if inside_another or self._rules.leaves_out(str(use.source), is_folder=use.source.is_dir()):
                continue
            new = [place for place, path in self._below(use) if self._claim(place, path)]
            if new:
                name = use.place.removeprefix(CODE) + ("/" if use.source.is_dir() else "")
                where = "code/" if use.place.startswith(CODE) else "the model folder"
                self.notes.append(f"{name} is taken along to {where}: {use.reason}.")

    def _below(self, use: Use) -> Iterator[tuple[str, Path]]:
        if not use.source.is_dir():
            yield use.place, use.source
            return
        rules = self._rules.above(use.source, self._sources.root)
        found = files(use.source, rules, left_out=self._left_out, names_left_out=TESTS)
        yield from ((f"{use.place}/{place}", path) for place, path in found)


def _identities(paths: Iterable[Path]) -> frozenset[Identity]:
    return frozenset(found for path in paths if (found := identity(path)) is not None)


def _note_on_size(entries: Sequence[Entry]) -> Iterator[str]:
    code = [entry for entry in entries if entry.place.startswith(CODE)]
    total = sum(entry.size for entry in code)
    if total > LARGE_CODE:
        largest = max(code, key=lambda entry: entry.size)
        yield (
            f"code/ holds {total >> 20:,} MB, {largest.place} {largest.size >> 20:,} MB of it. What the "
            f"handler does not need can be named in {HOTFIREIGNORE}."
        )
