"""`hotfire dev`: serve a project in place, and after every save try its examples on what was saved."""

from __future__ import annotations

import ast
import itertools
import json
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol

from hotfire import changes
from hotfire.address import Address
from hotfire.app_schema import App
from hotfire.deployment import Trial
from hotfire.dev_image import DevImage
from hotfire.endpoint_logs import last_exception
from hotfire.environment import Environment, home
from hotfire.errors import HotfireError, RegionError
from hotfire.examples import Example, accept, check, record
from hotfire.failure import Failure, Sent, doubts
from hotfire.hashes import HashCache
from hotfire.lease import NO_TOOLS, Event, Lease, Reloaded, Tools
from hotfire.local_region import LocalImage
from hotfire.snapshot import Snapshot
from hotfire.wanted import PROJECT_TAG, tag_value
from hotfire.watching import Watch

_RUNS_TO_COMPARE = 3
_SLOWER, _SLOWER_SECONDS = 2.0, 0.005
"""An example is slower if it takes so many times its median and so much more: else it is noise."""
_MEND_SECONDS, _MENDS = 0.02, 5
"""Editors empty a file and then write it: what cannot be parsed gets so many chances of so long."""
_JUST_NOW_SECONDS = 0.2
_WRITTEN_SECONDS = 0.15
"""Weights and data are written for a while: they are whole when nothing has come for so long."""
_LINES = 1_000
"""Of what was printed, which are kept for a reason."""
_ECHOES = 3
"""A file that changed in the course of so many reloads is one that the handler itself writes."""
_ECHO_SECONDS = 0.1
"""After the end of a reload, until what was written during it is known of."""


@dataclass(frozen=True, slots=True)
class Tried:
    """An example that was tried. `median` is that of its runs before, in seconds, None of the first.

    `failure` is what is known of one, `doubts` are what may be wrong with its answer, as `failure` names it.
    """

    trial: Trial
    times: Mapping[str, float]
    median: float | None = None
    failure: Failure | None = None
    doubts: tuple[str, ...] = ()
    profile: tuple[Mapping[str, Any], ...] = ()
    """Where the time of its prediction went, as `hotfire_worker.profiling` has it, if that was asked for."""

    @property
    def is_new(self) -> bool:
        """Whether there is a good answer, and nothing is known yet of what it should be."""
        return not self.trial.example.expect.kinds and self.trial.verdict.passed

    @property
    def is_slower(self) -> bool:
        """Whether it took much longer than before."""
        seconds = self.trial.answer.seconds
        median = self.median
        return median is not None and seconds > _SLOWER * median and seconds > median + _SLOWER_SECONDS


@dataclass(frozen=True, slots=True)
class Result:
    """What a save came to. `seconds` are those from the save until its examples were verified.

    `reason` says whether the model was kept and why; `failure` and `trace` why nothing could be loaded,
    `cause` all that is known about it.
    """

    reason: str
    seconds: float
    kept: bool = False
    tried: tuple[Tried, ...] = ()
    failure: str = ""
    trace: str = ""
    cause: Failure | None = None


class Observer(Protocol):
    """Is shown what happens."""

    def serving(self, url: str, debug_port: int | None) -> None:
        """The endpoint is ours; its page is there, and a debugger attaches at that port, if it may."""

    def began(self, reason: str) -> None:
        """A reload has begun."""

    def ended(self, result: Result) -> None:
        """A reload has ended, well or not."""

    def printed(self, line: str) -> None:
        """The handler printed a line."""

    def noted(self, text: str) -> None:
        """Something beside the results."""

    def failed(self, error: HotfireError) -> None:
        """The project cannot be served as it is; what was served before is."""

    def refused(self, failure: Failure) -> None:
        """The handler failed on a client's request."""


@dataclass(frozen=True, slots=True)
class _Saved:
    """Files that were saved at a moment of `time.perf_counter`."""

    paths: frozenset[Path]
    moment: float


class Session:
    """Serves one project until it is told to stop.

    Everything happens on the thread that runs it; what comes from elsewhere waits in a queue.
    """

    def __init__(
        self,
        load: Callable[[], Environment],
        region: Address,
        observer: Observer,
        *,
        keep_weights: bool = True,
        tools: Tools = NO_TOOLS,
        told: Callable[[Result], Mapping[str, Any]] | None = None,
    ) -> None:
        """`told` puts a result as the endpoint's page is to show it, if it is."""
        self._told = told
        self._load, self._region, self._observer = load, region, observer
        self._keep_weights, self._tools = keep_weights, tools
        self._environment = load()
        self._hashes = HashCache(home() / "hashes.json")
        self._queue: SimpleQueue[Callable[[], None] | _Saved] = SimpleQueue()
        self._history: dict[str, deque[float]] = {}
        self._tried: tuple[Tried, ...] = ()
        self._printed: deque[str] = deque(maxlen=_LINES)
        """Since the last reload began."""
        self._shown: tuple[tuple[Example, ...], App | None] | None = None
        self._images = DevImage(observer, self._hashes)
        self._image: LocalImage | None = None
        self._snapshot: Snapshot | None = None
        self._base: Snapshot | None = None
        self._generation = 0
        self._calls = 0
        self._is_reloading = False
        self._ended_at = 0.0
        self._echoes: Counter[Path] = Counter()
        self._running = True
        self._lease: Lease | None = None
        self._watch = Watch(self)

    def run(self) -> None:
        """Serve until `stop`; raises RegionError if somebody else serves the endpoint, or the region ends."""
        name = self._environment.model_name
        tags = {PROJECT_TAG: tag_value(self._environment.project)}
        with ExitStack() as stack:
            self._lease = Lease(self._region, name, tags, self._heard, self._tools)
            stack.callback(self._lease.close)
            stack.callback(self._watch.close)
            self._observer.serving(f"{self._region.url}/e/{name}", self._lease.debug())
            self._look("started")
            while self._running:
                self._take(self._queue.get())

    def do(self, action: Callable[[], None]) -> None:
        """Have something done on the session's own thread, soon."""
        self._queue.put(action)

    def stop(self) -> None:
        """Serve no more."""
        self.do(self._stop)

    def rerun(self) -> None:
        """Try the examples again on what is live."""
        self.do(self._rerun)

    def accept(self) -> None:
        """Make the last answers what the examples expect."""
        self.do(self._accept)

    def save(self) -> None:
        """Make the last request that a client sent an example, with its answer."""
        self.do(self._save)

    def changed(self, paths: frozenset[Path]) -> None:
        """Files were saved."""
        self._queue.put(_Saved(paths, time.perf_counter()))

    def _stop(self) -> None:
        self._running = False

    def _take(self, item: Callable[[], None] | _Saved) -> None:
        if not isinstance(item, _Saved):
            item()
            return
        paths, others = self._burst(item.paths)
        if not self._are_the_handlers_own(paths, item.moment):
            if self._environment.file.resolve() in paths:
                self._reconfigure()
            self._look(f"{_listed(paths)} saved", item.moment)
        for other in others:
            other()

    def _burst(self, paths: frozenset[Path]) -> tuple[frozenset[Path], list[Callable[[], None]]]:
        """What is saved with these files in one go, and what else was to be done meanwhile."""
        others: list[Callable[[], None]] = []
        while True:
            quiet = max(map(_quiet_seconds, paths), default=0.0)
            try:
                more = self._queue.get(timeout=quiet) if quiet else self._queue.get_nowait()
            except Empty:
                return paths, others
            if isinstance(more, _Saved):
                paths |= more.paths
            else:
                others.append(more)

    def _are_the_handlers_own(self, paths: frozenset[Path], moment: float) -> bool:
        """Whether the handler wrote these files: a reload for them would go on for ever."""
        if self._is_reloading or moment < self._ended_at + _ECHO_SECONDS:
            for path in (path for path in paths if path.suffix != ".py"):
                self._echoes[path] += 1
                if self._echoes[path] == _ECHOES:
                    self._observer.noted(f"{path} is written by the handler itself: it is watched no more.")
        return all(self._echoes[path] >= _ECHOES for path in paths)

    def _reconfigure(self) -> None:
        try:
            environment = self._load()
        except HotfireError as error:
            self._observer.failed(error)
            return
        if environment.model_name != self._environment.model_name:
            self._observer.noted("`model_name` has changed: end `hotfire dev` and start it again.")
            return
        self._environment = environment

    def _look(self, occasion: str, moment: float | None = None) -> None:
        """See what the project is now, and have it served if it is another."""
        begun = time.perf_counter() if moment is None else moment
        try:
            snapshot = self._taken()
        except HotfireError as error:
            self._observer.failed(error)
            self._watch.look_at(self._folders())
            return
        before, self._snapshot = self._snapshot, snapshot
        if self._watch.look_at(self._folders()):
            self.do(lambda: self._look(occasion))
        if before is None or self._is_other(before, snapshot):
            self._reload(snapshot, occasion, begun)
        elif before.examples != snapshot.examples:
            self._rerun()
        else:
            self._show(snapshot.examples)

    def _taken(self) -> Snapshot:
        for _ in range(_MENDS):
            files = [*self._environment.examples.glob("*.json"), *self._modules()]
            if not any(map(_is_half_written, files)):
                break
            time.sleep(_MEND_SECONDS)
        try:
            return Snapshot.take(self._environment, self._hashes)
        except SyntaxError:
            if self._snapshot is None:
                raise
            return self._snapshot.again(self._hashes)

    def _modules(self) -> Iterator[Path]:
        """The files of the modules that were there when it was last looked."""
        if self._snapshot is not None:
            yield from (one.source for one in self._snapshot.data.entries if one.source.suffix == ".py")

    def _is_other(self, before: Snapshot, now: Snapshot) -> bool:
        return (before.data.sha256, before.container_environment) != (
            now.data.sha256,
            now.container_environment,
        )

    def _folders(self) -> Iterator[Path]:
        """Where a change may matter."""
        environment = self._environment
        yield from (environment.file.parent, environment.root, environment.examples)
        yield from (one for one in (environment.source_dir,) if one is not None)
        for artifact in environment.artifacts:
            yield from (artifact, artifact.parent)
        if self._snapshot is not None:
            yield from {entry.source.parent for entry in self._snapshot.data.entries}

    def _reload(self, snapshot: Snapshot, occasion: str, begun: float) -> None:
        try:
            self._image = image = self._images.of(snapshot)
        except HotfireError as error:
            self._observer.failed(error)
            return
        edits, reason = self._decide(snapshot)
        self._printed.clear()
        self._observer.began(f"{occasion}: {reason}" if reason else occasion)
        self._calls += 1
        self._is_reloading = True
        call, lease, generation = self._calls, self._lease, self._generation
        assert lease is not None

        def work() -> None:
            try:
                reloaded = lease.reload(snapshot, edits, generation, image)
            except HotfireError as error:
                found = error
                self.do(lambda: self._observer.failed(found))
                return
            ended = time.perf_counter()
            self.do(lambda: self._ended(call, snapshot, reloaded, reason, ended - begun))

        # On another thread, so that a newer save can overtake it.
        Thread(target=work, daemon=True).start()

    def _decide(self, snapshot: Snapshot) -> tuple[list[dict[str, Any]] | None, str]:
        """The edits with which the loaded model can go on, None if it is to be loaded; and why."""
        if self._base is None:
            return None, ""
        if self._image is not None and not self._image.is_ours:
            return None, f"a new container of {self._image.name}"
        if not self._keep_weights:
            return None, "full reload, as --no-keep-weights says"
        if self._base.container_environment != snapshot.container_environment:
            return None, "full reload: the handler's environment changed"
        try:
            before, after = self._base.importable(), snapshot.importable()
        except HotfireError as error:
            return None, f"full reload: {error.message}"
        others = self._base.differences(snapshot) - self._written_by_the_handler(snapshot)
        decision = changes.decide(before, after, snapshot.data.entry_point, others)
        if not decision.keep:
            return None, decision.reason
        patches = {patch.place: patch for patch in decision.patches}
        edited = (name for name in after if before.get(name) != after[name])
        return [_edit(snapshot, name, patches.get(name)) for name in edited], decision.reason

    def _written_by_the_handler(self, snapshot: Snapshot) -> frozenset[str]:
        """The places of files that it writes itself."""
        own = {path for path, times in self._echoes.items() if times >= _ECHOES}
        return (
            frozenset(e.place for e in snapshot.data.entries if e.source.resolve() in own)
            if own
            else frozenset()
        )

    def _ended(self, call: int, snapshot: Snapshot, reloaded: Reloaded, reason: str, seconds: float) -> None:
        if reloaded.overtaken or call != self._calls:
            return
        self._is_reloading, self._ended_at = False, time.perf_counter()
        if reloaded.failed:
            self._base, self._tried = None, ()
            failure, trace, found = reloaded.message, reloaded.trace, reloaded.findings
            cause = Failure.read(found, snapshot.source_files) if found else Failure.of(failure)
            self._tell(Result(reason, seconds, failure=failure, trace=trace, cause=cause))
            return
        if not reloaded.kept:
            self._base, self._generation = snapshot, reloaded.generation
        self._judge(snapshot.examples, reloaded)
        self._tell(Result(reason, seconds, reloaded.kept, self._tried))
        self._show(snapshot.examples)

    def _show(self, examples: tuple[Example, ...]) -> None:
        """Have the endpoint's page be as the project has it now."""
        shown = examples, self._environment.app
        if self._shown != shown and self._lease is not None:
            try:
                self._lease.show(*shown)
            except RegionError as error:
                self._observer.failed(error)
            self._shown = shown

    def _rerun(self) -> None:
        if self._snapshot is None or self._lease is None:
            return
        begun, examples = time.perf_counter(), self._snapshot.examples
        try:
            reloaded = self._lease.try_again(examples)
        except RegionError as error:
            self._observer.failed(error)
            return
        self._show(examples)
        self._judge(examples, reloaded)
        self._tell(Result("tried again", time.perf_counter() - begun, True, self._tried))

    def _tell(self, result: Result) -> None:
        self._observer.ended(result)
        if self._told is not None and self._lease is not None:
            try:
                self._lease.report(self._told(result))
            except RegionError as error:
                self._observer.failed(error)

    def _judge(self, examples: Sequence[Example], reloaded: Reloaded) -> None:
        tried = []
        for example, timed in zip(examples, reloaded.answers, strict=True):
            past = self._history.setdefault(example.name, deque(maxlen=21))
            median = statistics.median(past) if len(past) >= _RUNS_TO_COMPARE else None
            past.append(timed.answer.seconds)
            trial = Trial(example, timed.answer, check(example, timed.answer))
            failure = self._explained(self._failure(timed.findings, Sent.of_example(example)), trial)
            found = doubts(timed.findings, timed.answer, len(example.request.body))
            profile = tuple((timed.findings or {}).get("profile", ()))
            tried.append(Tried(trial, timed.times, median, failure, found, profile))
        self._tried = tuple(tried)

    def _failure(self, findings: Mapping[str, Any] | None, sent: Sent) -> Failure | None:
        """The failure among what was found about a request, if there is one."""
        if self._snapshot is None or "failure" not in (findings or {}):
            return None
        assert findings is not None
        return Failure.read(findings["failure"], self._snapshot.source_files, sent)

    def _explained(self, failure: Failure | None, trial: Trial) -> Failure | None:
        """With what a container printed of why there is no answer: its server may be ready all the same."""
        if failure is None or trial.answer.status or not self._environment.in_containers:
            return failure
        return failure.because(last_exception(self._printed))

    def _accept(self) -> None:
        trials = [tried.trial for tried in self._tried]
        accepted = [trial.example.name for trial in trials if accept(trial.example, trial.answer)]
        self._observer.noted(
            f"Accepted: {', '.join(accepted)}." if accepted else "There was nothing new to accept."
        )

    def _save(self) -> None:
        assert self._lease is not None
        try:
            last = self._lease.last()
            if last is None:
                self._observer.noted("No client has sent a request yet.")
                return
            folder = self._environment.examples
            numbers = (f"request-{number}" for number in itertools.count(1))
            name = next(name for name in numbers if not (folder / f"{name}.json").exists())
            self._observer.noted(f"Saved as {record(folder, name, *last)}.")
        except HotfireError as error:
            self._observer.failed(error)

    def _heard(self, event: Event) -> None:
        """Something was said on the lease, on its own thread."""
        if event["event"] == "line":
            self.do(lambda: self._print(event["line"]))
        elif event["event"] == "failed":
            self.do(lambda: self._refused(event))
        elif event["event"] == "end":
            self.do(self._lost)

    def _print(self, line: str) -> None:
        self._printed.append(line)
        self._observer.printed(line)

    def _refused(self, event: Event) -> None:
        failure = self._failure(event["findings"], Sent.by_client(event["request"]))
        if failure is not None:
            self._observer.refused(failure)

    def _lost(self) -> None:
        if self._running:
            raise RegionError("the local region has ended", "Run `hotfire dev` again: it starts the region.")


def _edit(snapshot: Snapshot, name: str, patch: changes.Patch | None) -> dict[str, Any]:
    place = snapshot.place_of(name)
    return {
        "place": place,
        "source": snapshot.modules[place],
        "names": list(patch.names) if patch else [],
        "removed": list(patch.removed) if patch else [],
    }


def _quiet_seconds(path: Path) -> float:
    """How long nothing may come any more before a file that was saved can be taken for whole."""
    return 0.0 if path.suffix in (".py", ".json", ".yml") or not path.is_file() else _WRITTEN_SECONDS


def _is_half_written(file: Path) -> bool:
    """Whether it cannot be what is meant, and was written to just now."""
    try:
        if time.time() - file.stat().st_mtime > _JUST_NOW_SECONDS:
            return False
        text = file.read_bytes()
        if file.suffix == ".json":
            json.loads(text)
        else:
            compile(text, file.name, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except OSError:
        return False
    except (SyntaxError, ValueError):
        return True
    return not text.strip()


def _listed(paths: frozenset[Path]) -> str:
    """Files for people: the first few by name."""
    names = sorted({path.name for path in paths})
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
