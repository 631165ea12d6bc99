"""Rules about what a running endpoint showed: its answers, its memory, what it reads, how it loads."""

from __future__ import annotations

from collections.abc import Iterator

from hotfire.hosting_settings import STARTUP_SECONDS
from hotfire.instance_types import GIB, memory, vcpus
from hotfire.preflight.finding import Found, Rule, Severity
from hotfire.preflight.subject import CODE, Subject
from hotfire.ray_settings import fixed_replicas

MEGABYTE = 1 << 20

REAL_TIME_BYTES = 6 * MEGABYTE
SERVERLESS_BYTES = 4 * MEGABYTE
ASYNC_BYTES = 1 << 30
REAL_TIME_SECONDS = 60.0
ASYNC_SECONDS = 3600.0
LEAST_STARTUP_SECONDS, MOST_STARTUP_SECONDS = STARTUP_SECONDS

_SMALLEST_WEIGHTS = 64 << 10


def _weights_each_request(subject: Subject) -> Iterator[Found]:
    measured = subject.measured
    if measured is None or measured.read is None or subject.sizes is None:
        return
    weights = [size for place, size in subject.sizes.items() if not place.startswith(CODE)]
    total = sum(weights)
    if total >= _SMALLEST_WEIGHTS and measured.read >= total / 2:
        message = (
            f"Each request reads {_size(measured.read)} from files, of {_size(total)} of weights: they are "
            "loaded again each time."
        )
        advice = "Load them in model_fn and return the model: predict_fn gets it as its second argument."
        yield Found(message, advice, subject.handler)


def _payload(subject: Subject) -> Iterator[Found]:
    limit, mode = _most_bytes(subject)
    for one in subject.measured.exchanges if subject.measured else ():
        for what, size in (("request", one.sent), ("answer", one.received)):
            if size > limit:
                message = (
                    f"The {what} of the example {one.name!r} has {_size(size)}; {mode} takes {_size(limit)}."
                )
                advice = "Send less at once, or take `async:`, whose data go by S3."
                yield Found(message, advice, subject.handler)


def _latency(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    limit = ASYNC_SECONDS if environment and environment.async_ else REAL_TIME_SECONDS
    for one in subject.measured.exchanges if subject.measured else ():
        if one.seconds > limit / 2:
            severity: Severity = "error" if one.seconds > limit else "warning"
            message = (
                f"The example {one.name!r} took {one.seconds:.0f} s here; SageMaker ends a request after "
                f"{limit:.0f} s."
            )
            advice = "Make it faster, take a larger instance, or `async:`, which gives up to an hour."
            yield Found(message, advice, subject.handler, None, severity)


def _cold_start(subject: Subject) -> Iterator[Found]:
    environment, measured = subject.environment, subject.measured
    if environment is None or measured is None or measured.load is None:
        return
    given = environment.startup_timeout
    if measured.load > (given or LEAST_STARTUP_SECONDS):
        allowed = f"startup_timeout allows {given} s" if given else "SageMaker may wait for no more than 60 s"
        message = f"Loading the model took {measured.load:.0f} s here; {allowed}."
        advice = f"Set `startup_timeout: {_rounded(2 * measured.load)}`, or make model_fn faster."
        line = subject.line_of("startup_timeout")
        yield Found(message, advice, environment.file, line, "error" if given else "warning")


def _memory(subject: Subject) -> Iterator[Found]:
    environment, measured = subject.environment, subject.measured
    if environment is None or measured is None or measured.memory is None:
        return
    kind = environment.instance_type or ""
    serverless = environment.serverless
    room = serverless.memory_mb * MEGABYTE if serverless else memory(kind)
    if room is None:
        return
    name = "the serverless endpoint" if serverless else kind
    workers = _workers(subject)
    needed = measured.memory * workers
    if needed > room:
        by_ray = environment.serving == "ray"
        noun = "replicas" if by_ray else "workers"
        each = f"{workers} {noun} of " if workers > 1 else ""
        message = f"{each}{_size(measured.memory)} do not fit into the {room / GIB:.1f} GiB of {name}."
        way = "lower `ray.num_replicas`" if by_ray else "set SAGEMAKER_MODEL_SERVER_WORKERS"
        advice = f"Take more memory, or {way}: each of the {noun} loads the model itself."
        severity: Severity = "error" if measured.memory > room else "warning"
        line = subject.line_of("serverless" if serverless else "instance_type")
        yield Found(message, advice, environment.file, line, severity)


def _workers(subject: Subject) -> int:
    """How many the container starts: as many as it is told, or one for each processor; Ray at least one."""
    environment = subject.environment
    if environment is None or environment.serverless:
        return 1
    if environment.serving == "ray":
        return fixed_replicas(environment) or 1
    given = environment.container_env.get("SAGEMAKER_MODEL_SERVER_WORKERS", "")
    if given.isdigit() and int(given):
        return int(given)
    return vcpus(environment.instance_type or "") or 1


def _most_bytes(subject: Subject) -> tuple[int, str]:
    environment = subject.environment
    if environment and environment.serverless:
        return SERVERLESS_BYTES, "a serverless endpoint"
    if environment and environment.async_:
        return ASYNC_BYTES, "an asynchronous endpoint"
    return REAL_TIME_BYTES, "a real-time endpoint"


def _size(count: float) -> str:
    return f"{count / MEGABYTE:.1f} MB"


def _rounded(seconds: float) -> int:
    """Up to whole minutes, and not more than SageMaker takes."""
    return min(60 * max(1, -int(-seconds // 60)), MOST_STARTUP_SECONDS)


RULES = (
    Rule(
        "weights-each-request",
        "warning",
        "Each request reads the weights again, for model_fn does not load them.",
        "Load them in model_fn and return the model.",
        _weights_each_request,
        of_aws=False,
    ),
    Rule(
        "payload",
        "error",
        "An example's request or answer is larger than the mode takes: 6 MB, 4 MB serverless.",
        "Send less at once, or take `async`.",
        _payload,
    ),
    Rule(
        "latency",
        "error",
        "An example took longer here than SageMaker lets a request take. (A warning from half of that.)",
        "Make it faster, take a larger instance, or `async`.",
        _latency,
    ),
    Rule(
        "cold-start",
        "error",
        "Loading the model took longer than `startup_timeout`. (A warning without one, from 60 seconds.)",
        "Set `startup_timeout`, or make model_fn faster.",
        _cold_start,
    ),
    Rule(
        "memory",
        "error",
        "A worker's memory is more than the instance has. (A warning if it is that of all workers.)",
        "Take more memory, or fewer workers.",
        _memory,
    ),
)
