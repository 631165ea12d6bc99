"""An instance made of processes: a holder with the model, and the workers forked from it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from hotfire.errors import DeadlineExceeded, InstanceError, LoadFailed, QueueFull
from hotfire.instances.base import Answer, Change, Output, Request, Spec
from hotfire.instances.fates import fate
from hotfire.instances.household import Household
from hotfire.instances.jobs import Job, StreamJob
from hotfire.instances.settings import ServerSettings
from hotfire.instances.workers import Worker
from hotfire.instances.zygotes import ZygoteKey, Zygotes
from hotfire_worker.edits import Edit
from hotfire_worker.findings import of_reason
from hotfire_worker.service import refusal_body

_PATIENCE = (0.0, 0.1, 0.5, 2.0, 5.0)
"""Seconds before each new try to replace what ends; a worker that never answered is not worth the first."""


class ProcessInstance:
    """A model served by processes of this machine, as its container would serve it."""

    def __init__(self, spec: Spec, household: Household) -> None:
        self._spec, self._household = spec, household
        self._predecessor: ProcessInstance | None = None
        self._changes: Sequence[Change] = ()
        self._edits: Sequence[Edit] = ()
        self._settings = ServerSettings.read(spec.environment, os.cpu_count() or 1)
        self._threads = max((os.cpu_count() or 1) // self._settings.workers, 1)
        self._workers: list[Worker] = []
        self._waiting: deque[Job] = deque()
        self._staffing = asyncio.Lock()
        self._furnishing: asyncio.Task[None] | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._inquests: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._is_owner = True
        self._quiet = asyncio.Event()

    @property
    def load(self) -> int:
        """How many requests it has in hand or waiting."""
        return len(self._waiting) + sum(len(worker.jobs) for worker in self._workers)

    @property
    def pids(self) -> list[int]:
        """Its workers' processes."""
        return [worker.pid for worker in self._workers]

    async def start(self) -> None:
        """Load the model and start the workers; raises LoadFailed."""
        try:
            # It goes on when the start is given up: who stops us waits for it.
            self._furnishing = asyncio.ensure_future(self._furnish())
            await asyncio.shield(self._furnishing)
            async with asyncio.timeout(self._spec.startup_timeout):
                await self._staff()
        except TimeoutError:
            raise LoadFailed(f"it was not ready within {self._spec.startup_timeout:g} s") from None
        except OSError as error:
            raise LoadFailed(f"its files and processes cannot be made: {error}") from error
        except LoadFailed:
            raise
        except InstanceError as error:
            raise LoadFailed(error.message) from error
        if self._predecessor is not None:
            self._predecessor._is_owner, self._is_owner = False, True
            self._predecessor = None

    def successor(self, changes: Sequence[Change]) -> ProcessInstance | None:
        """An instance, to be started, of the same loaded model with newer code; then this one is to stop.

        `changes` are all those since the model was loaded. None if each worker loads the model itself.
        """
        if not self._household.forks:
            return None
        heir = ProcessInstance(self._spec, self._household)
        heir._predecessor, heir._changes, heir._is_owner = self, changes, False
        return heir

    async def invoke(self, request: Request) -> Answer:
        """Answer a request; raises `DeadlineExceeded` past its limit, `QueueFull` when too many wait."""
        if len(request.body) > self._settings.max_request:
            return self._too_large(request)
        job = self._enter(Job, request)
        return self._fitting(await job.future, request)

    async def stream(self, request: Request) -> Answer:
        """Answer a request as `invoke` does, but in parts where the handler returns an iterator."""
        if len(request.body) > self._settings.max_request:
            return self._too_large(request)
        job = self._enter(StreamJob, request)
        return self._fitting(await job.future, request)

    def _enter(self, kind: type[Job], request: Request) -> Job:
        """Have a request answered, at once or when its turn comes; raises QueueFull."""
        if len(self._waiting) >= self._settings.most_waiting:
            raise QueueFull(f"{self._settings.most_waiting} requests wait already")
        job = kind(request, self._expire)
        job.over.add_done_callback(self._settled)
        self._waiting.append(job)
        self._dispatch()
        if not self._workers:
            self._recover()
        return job

    def _too_large(self, request: Request) -> Answer:
        size, most = len(request.body), self._settings.max_request
        reason = f"the request of {size} bytes is over TS_MAX_REQUEST_SIZE, {most}"
        return _because(reason, Answer(413, {}, b""), request)

    def _fitting(self, answer: Answer, request: Request) -> Answer:
        """The answer, unless it is longer than the container lets through."""
        most = self._settings.max_response
        if len(answer.body) <= most:
            return answer
        reason = f"The answer of {len(answer.body)} bytes is over TS_MAX_RESPONSE_SIZE, {most}."
        return _because(reason, _server_error(reason), request)

    async def stop(self) -> None:
        """End, after the requests in hand are answered."""
        self._stopping = True
        if self._is_owing():
            await self._quiet.wait()
        await asyncio.gather(*self._inquests)
        tasks = [task for task in (self._furnishing, self._recovery) if task is not None]
        if self._recovery is not None:
            self._recovery.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._is_owner:
            await self._household.close()
        for worker in self._workers:
            worker.kill()

    async def _furnish(self) -> None:
        if self._predecessor is None:
            await self._household.furnish()
        else:
            self._edits = await self._household.revise(self._changes)

    async def _staff(self) -> None:
        """Have as many workers as the settings say."""
        async with self._staffing:
            while len(self._workers) < self._settings.workers and (self._waiting or not self._stopping):
                await self._add_worker()

    async def _add_worker(self) -> None:
        worker = Worker(self._settings.response_timeout, self._worker_lost, self._dispatch, self._spare)
        ours, theirs = socket.socketpair()
        try:
            await worker.open(ours)
            worker.pid = await self._household.recruit(theirs.fileno(), self._threads, self._edits)
        finally:
            theirs.close()
        try:
            await worker.ready()
        except TimeoutError:
            worker.kill()
            self._household.distrust_forks()
            return
        if worker.gone:
            raise InstanceError("a worker ended before it could answer")
        self._workers.append(worker)
        self._dispatch()

    async def debug(self) -> tuple[int, Path]:
        """Have debugpy listen in the first worker, as `Debuggable` says. Raises InstanceError."""
        if not self._workers:
            raise InstanceError("nothing is loaded that could be debugged")
        port = await self._workers[0].debug()
        self._spare()
        return port, self._household.folder

    def _spare(self) -> None:
        """Have a worker more where all may be held in a debugger: others' requests are to be answered."""
        if all(worker.is_debugged for worker in self._workers):
            self._settings = replace(self._settings, workers=len(self._workers) + 1)
            self._recover()

    def _dispatch(self) -> None:
        """Give waiting requests to workers that have room."""
        while self._waiting:
            worker = min(self._workers, key=lambda one: len(one.jobs), default=None)
            if worker is None or not worker.has_room:
                return
            job = self._waiting.popleft()
            if not job.future.done():
                worker.give(job)

    def _settled(self, _: asyncio.Future[Any]) -> None:
        if self._stopping and not self._is_owing():
            self._quiet.set()

    def _is_owing(self) -> bool:
        """Whether anybody waits for an answer."""
        jobs = chain(self._waiting, *(worker.jobs for worker in self._workers))
        return not all(job.over.done() for job in jobs)

    def _worker_lost(self, worker: Worker) -> None:
        """Answer the request that it had in hand; what waited goes to another."""
        if worker not in self._workers:
            return  # it never came up: whoever made it is told
        self._workers.remove(worker)
        in_hand = worker.jobs.popleft() if worker.jobs else None
        if in_hand is not None:
            in_hand.end()
        if in_hand is not None or not self._stopping:
            self._inquire(worker, in_hand)
        self._waiting.extendleft(reversed(worker.jobs))
        worker.jobs.clear()
        if not self._stopping or self._waiting:
            self._recover(not worker.has_answered)
        self._dispatch()

    def _inquire(self, worker: Worker, in_hand: Job | None) -> None:
        """Say how a worker ended, as soon as that is known; whoever examines a request is told too."""
        answer, is_short = _server_error("Worker died."), worker.memory.is_short
        late = self._late(worker, in_hand) if in_hand is not None else ""
        if in_hand is not None and not in_hand.request.examined:
            in_hand.settle(answer)

        async def inquire() -> None:
            said = fate(await self._household.ended(worker.pid), lacked_memory=is_short)
            if not worker.is_killed:
                self._household.say(f"hotfire: worker {worker.pid} {said}")
            if in_hand is not None and in_hand.request.examined:
                reason = late or f"the process that answers {said}"
                in_hand.settle(_because(reason, answer, in_hand.request))

        inquest = asyncio.ensure_future(inquire())
        self._inquests.add(inquest)
        inquest.add_done_callback(self._inquests.discard)

    def _late(self, worker: Worker, job: Job) -> str:
        """That a request had its worker ended, if it took too long."""
        limit = min(self._settings.response_timeout, job.request.limit)
        if worker.seconds < limit:
            return ""
        return f"the handler had no answer within {limit:g} s, and its process was ended"

    def _expire(self, job: Job) -> None:
        """The service waits no longer."""
        job.fail(DeadlineExceeded(f"no answer within {job.request.limit:g} s"))
        if job in self._waiting:
            self._waiting.remove(job)
            return
        for worker in self._workers:
            if worker.jobs and worker.jobs[0] is job:
                worker.kill()

    def _recover(self, hurt: bool = False) -> None:
        """Begin to replace what is missing, unless that has begun."""
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.ensure_future(self._replace(_PATIENCE[1 if hurt else 0 :]))

    async def _replace(self, pauses: Sequence[float]) -> None:
        """Replace workers; what cannot be replaced is tried again, ever more patiently."""
        for pause in pauses:
            await asyncio.sleep(pause)
            try:
                await self._staff()
                return
            except (InstanceError, OSError) as error:
                self._household.say(f"hotfire: a worker could not be replaced: {error}")
        # The next request is another try.
        if not self._workers:
            while self._waiting:
                self._waiting.popleft().settle(_server_error("Worker died."))


class ProcessHost:
    """Makes process instances; their zygotes are shared."""

    def __init__(self, zygotes: Zygotes, folder: Path) -> None:
        self._zygotes = zygotes
        self._folder = folder
        self._made = 0

    def instance(self, spec: Spec, output: Output) -> ProcessInstance:
        """An instance that is not started yet, with a folder of its own."""
        self._made += 1
        folder = self._folder / str(self._made) / "model"
        return ProcessInstance(spec, Household(spec, self._zygotes, folder, output))

    async def warm(self, python: Path) -> None:
        """Have a zygote ready for this Python."""
        await self._zygotes.get(ZygoteKey.of(python, {}))

    async def close(self) -> None:
        """End the zygotes."""
        self._zygotes.close()


def _because(reason: str, answer: Answer, request: Request) -> Answer:
    """The answer, with its reason for whoever examines the request."""
    return replace(answer, findings={"failure": of_reason(reason)}) if request.examined else answer


def _server_error(message: str) -> Answer:
    return Answer(500, {"content-type": "application/json"}, refusal_body(500, message))
