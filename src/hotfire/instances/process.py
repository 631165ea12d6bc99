"""An instance made of processes: a holder with the model, and the workers forked from it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from hotfire.errors import DeadlineExceeded, InstanceError, LoadFailed, QueueFull
from hotfire.instances.base import Answer, Output, Request, Spec
from hotfire.instances.household import Household
from hotfire.instances.settings import ServerSettings
from hotfire.instances.workers import Job, Worker
from hotfire.instances.zygotes import ZygoteKey, Zygotes
from hotfire_worker.service import refusal_body

_PATIENCE = (0.0, 0.1, 0.5, 2.0, 5.0)
"""Seconds before each new try to replace what ends; a worker that never answered is not worth the first."""


class ProcessInstance:
    """A model served by processes of this machine, as its container would serve it."""

    def __init__(self, spec: Spec, zygotes: Zygotes, folder: Path, output: Output) -> None:
        self._startup_timeout = spec.startup_timeout
        self._household = Household(spec, zygotes, folder, output)
        self._settings = ServerSettings.read(spec.environment, os.cpu_count() or 1)
        self._threads = max((os.cpu_count() or 1) // self._settings.workers, 1)
        self._workers: list[Worker] = []
        self._waiting: deque[Job] = deque()
        self._staffing = asyncio.Lock()
        self._furnishing: asyncio.Task[None] | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._stopping = False
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
            self._furnishing = asyncio.ensure_future(self._household.furnish())
            await asyncio.shield(self._furnishing)
            async with asyncio.timeout(self._startup_timeout):
                await self._staff()
        except TimeoutError:
            raise LoadFailed(f"it was not ready within {self._startup_timeout:g} s") from None
        except OSError as error:
            raise LoadFailed(f"its files and processes cannot be made: {error}") from error
        except LoadFailed:
            raise
        except InstanceError as error:
            raise LoadFailed(error.message) from error

    async def invoke(self, request: Request) -> Answer:
        """Answer a request; raises `DeadlineExceeded` past its limit, `QueueFull` when too many wait."""
        settings = self._settings
        if len(request.body) > settings.max_request:
            return Answer(413, {}, b"")
        if len(self._waiting) >= settings.most_waiting:
            raise QueueFull(f"{settings.most_waiting} requests wait already")
        job = Job(request, self._expire)
        job.future.add_done_callback(self._settled)
        self._waiting.append(job)
        self._dispatch()
        if not self._workers:
            self._recover()
        answer = await job.future
        if len(answer.body) > settings.max_response:
            limit = f"TS_MAX_RESPONSE_SIZE, {settings.max_response}"
            message = f"The answer of {len(answer.body)} bytes is over {limit}."
            return _server_error(message)
        return answer

    async def stop(self) -> None:
        """End, after the requests in hand are answered."""
        self._stopping = True
        if self._is_owing():
            await self._quiet.wait()
        tasks = [task for task in (self._furnishing, self._recovery) if task is not None]
        if self._recovery is not None:
            self._recovery.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._household.close()

    async def _staff(self) -> None:
        """Have as many workers as the settings say."""
        async with self._staffing:
            while len(self._workers) < self._settings.workers and (self._waiting or not self._stopping):
                await self._add_worker()

    async def _add_worker(self) -> None:
        worker = Worker(self._settings.response_timeout, self._worker_lost, self._dispatch)
        ours, theirs = socket.socketpair()
        await worker.open(ours)
        try:
            worker.pid = await self._household.recruit(theirs.fileno(), self._threads, ())
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

    def _dispatch(self) -> None:
        """Give waiting requests to workers that have room."""
        while self._waiting:
            worker = min(self._workers, key=lambda one: len(one.jobs), default=None)
            if worker is None or not worker.has_room:
                return
            job = self._waiting.popleft()
            if not job.future.done():
                worker.give(job)

    def _settled(self, _: asyncio.Future[Answer]) -> None:
        if self._stopping and not self._is_owing():
            self._quiet.set()

    def _is_owing(self) -> bool:
        """Whether anybody waits for an answer."""
        jobs = chain(self._waiting, *(worker.jobs for worker in self._workers))
        return not all(job.future.done() for job in jobs)

    def _worker_lost(self, worker: Worker) -> None:
        """Answer the request that it had in hand; what waited goes to another."""
        if worker not in self._workers:
            return  # it never came up: whoever made it is told
        self._workers.remove(worker)
        if worker.jobs:
            job = worker.jobs.popleft()
            job.end()
            job.settle(_server_error("Worker died."))
        self._waiting.extendleft(reversed(worker.jobs))
        worker.jobs.clear()
        if not self._stopping or self._waiting:
            self._recover(not worker.has_answered)
        self._dispatch()

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
        return ProcessInstance(spec, self._zygotes, self._folder / str(self._made) / "model", output)

    async def warm(self, python: Path) -> None:
        """Have a zygote ready for this Python."""
        await self._zygotes.get(ZygoteKey.of(python, {}))

    async def close(self) -> None:
        """End the zygotes."""
        self._zygotes.close()


def _server_error(message: str) -> Answer:
    return Answer(500, {"content-type": "application/json"}, refusal_body(500, message))
