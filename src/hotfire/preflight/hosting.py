"""Rules about where it is to run: image, instance, serverless limits, the container's variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from hotfire import images
from hotfire.environment import Environment
from hotfire.errors import ImageError
from hotfire.instance_types import GIB, hosting_types, memory
from hotfire.preflight.finding import Found, Rule
from hotfire.preflight.subject import Subject

SERVERLESS_MEMORY_MB = tuple(range(1024, 6145, 1024))
SERVERLESS_CONCURRENCY = 200
REAL_TIME_SECONDS = 60
MOST_VARIABLES, LONGEST_VARIABLE = 100, 1024

_NUMBERS = (
    *("SAGEMAKER_MODEL_SERVER_WORKERS", "SAGEMAKER_MODEL_SERVER_TIMEOUT", "SAGEMAKER_TS_BATCH_SIZE"),
    *("SAGEMAKER_TS_MAX_BATCH_DELAY", "SAGEMAKER_TS_MIN_WORKERS", "SAGEMAKER_TS_MAX_WORKERS"),
    "SAGEMAKER_TS_RESPONSE_TIMEOUT",
)
_TS = tuple(name for name in _NUMBERS if name.startswith("SAGEMAKER_TS_"))
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_TAG = re.compile(r"[\w\s_.:/=+\-@]*")


def _kind(environment: Environment) -> str:
    """The instance type; a CPU's where it is serverless."""
    return "" if environment.serverless else environment.instance_type or ""


def _image(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    if environment is None or environment.image or environment.serving == "hotfire":
        return
    region, kind = environment.region or "us-east-1", _kind(environment)
    try:
        if environment.serving == "ray":
            images.ray_uri(region=region, instance_type=kind)
            return
        images.image_uri(
            region=region,
            instance_type=kind,
            framework_version=environment.framework_version,
            py_version=environment.py_version,
            serverless=environment.serverless is not None,
        )
    except ImageError as error:
        yield Found(
            f"{_sentence(error.message)}.", error.advice, environment.file, subject.line_of(error.key)
        )


def _image_patches(subject: Subject) -> Iterator[Found]:
    line = subject.image
    if line is None or subject.environment is None or line.is_patched(subject.today):
        return
    ended = f"since {line.patched_until:%Y-%m-%d}" if line.patched_until else "for years"
    if line == images.RAY:
        message = f"AWS has not patched its Ray Serve image, as Hotfire knows it, {ended}."
        advice = "A newer Hotfire may know a newer one; or name an image of your own by `image:`."
        place = subject.line_of("serving") or subject.line_of("image")
        yield Found(message, advice, subject.config, place)
        return
    newest = images.DEFAULT
    newer = f"The newest line that serves a handler is {newest.version}. " if line != newest else ""
    yield Found(
        f"AWS has not patched the image line PyTorch {line.version} {ended}.",
        newer + images.ALTERNATIVES,
        subject.config,
        subject.line_of("framework_version") or subject.line_of("image"),
    )


def _instance_type(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    kind = _kind(environment) if environment else ""
    if environment is None or not kind.startswith("ml."):
        return
    known = hosting_types()
    if kind not in known:
        near = get_close_matches(kind, known, n=3, cutoff=0.6)
        advice = f"Did you mean {' or '.join(near)}?" if near else "Mend `instance_type`."
        message = f"The installed botocore knows no hosting on {kind}."
        yield Found(message, advice, environment.file, subject.line_of("instance_type"))


def _serverless(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    if environment is None or environment.serverless is None:
        return
    sizes, file = environment.serverless, environment.file

    def found(message: str, advice: str, *keys: str) -> Found:
        return Found(message, advice, file, subject.line_of(*keys))

    if sizes.memory_mb not in SERVERLESS_MEMORY_MB:
        choices = ", ".join(map(str, SERVERLESS_MEMORY_MB))
        message = f"A serverless endpoint cannot have {sizes.memory_mb} MB of memory."
        yield found(message, f"Choose one of {choices}.", "serverless", "memory_mb")
    if sizes.max_concurrency > SERVERLESS_CONCURRENCY:
        message = f"A serverless endpoint takes at most {SERVERLESS_CONCURRENCY} requests at once."
        yield found(message, "Lower `serverless.max_concurrency`.", "serverless", "max_concurrency")
    if environment.instance_type and images.is_gpu(environment.instance_type):
        message = f"A serverless endpoint has no GPU: {environment.instance_type} is not used."
        yield found(message, "Leave out `serverless`, or the GPU instance type.", "instance_type")


def _weights_memory(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    if environment is None or subject.sizes is None:
        return
    total = sum(size for place, size in subject.sizes.items() if not place.startswith("code/"))
    room = (
        environment.serverless.memory_mb * (1 << 20)
        if environment.serverless
        else memory(environment.instance_type or "")
    )
    if room is not None and total > room:
        kind = "the serverless endpoint" if environment.serverless else environment.instance_type
        key = ("serverless", "memory_mb") if environment.serverless else ("instance_type",)
        message = (
            f"The model data holds {total / GIB:.1f} GiB, and {kind} has {room / GIB:.1f} GiB of memory."
        )
        advice = "Take one with more, or leave out what the handler does not load (.hotfireignore)."
        yield Found(message, advice, environment.file, subject.line_of(*key))


def _environment_variables(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    if environment is None:
        return
    variables = environment.container_env
    if len(variables) > MOST_VARIABLES:
        message = f"container_env has {len(variables)} variables; SageMaker takes {MOST_VARIABLES}."
        advice = "Put them into a file of the model data."
        yield Found(message, advice, environment.file, subject.line_of("container_env"))
    for name, value in variables.items():
        line = subject.line_of("container_env", name)
        if not _VARIABLE.fullmatch(name):
            message = f"{name!r} is not a name of a variable that SageMaker takes."
            yield Found(message, "Use letters, digits and `_`, no digit first.", environment.file, line)
        if len(value) > LONGEST_VARIABLE:
            message = f"The variable {name} has {len(value)} characters; SageMaker takes {LONGEST_VARIABLE}."
            yield Found(message, "Put it into a file of the model data.", environment.file, line)


def _names(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    if environment is None:
        return
    for name, value in environment.tags.items():
        if name.lower().startswith("aws:") or not _TAG.fullmatch(name + value) or len(name) > 128:
            message = f"{name!r} cannot be a tag: AWS takes letters, digits, spaces and _.:/=+-@, not `aws:`."
            yield Found(message, "Rename it.", environment.file, subject.line_of("tags", name))
    path = environment.model_data_path or ""
    bucket = path.removeprefix("s3://").partition("/")[0]
    if path.startswith("s3://") and (not _BUCKET.fullmatch(bucket) or ".." in bucket):
        message = f"{bucket!r} is not a name that S3 takes for a bucket."
        advice = "Use 3 to 63 lower-case letters, digits and hyphens."
        yield Found(message, advice, environment.file, subject.line_of("model_data_path"))


def _ts_variables(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    if environment is None or environment.serving != "toolkit":
        return
    variables = environment.container_env
    for name in _NUMBERS:
        if name in variables and not variables[name].strip().lstrip("-").isdigit():
            message = (
                f"{name} is {variables[name]!r}; the container ends at once if it is not a whole number."
            )
            line = subject.line_of("container_env", name)
            yield Found(message, "Write a whole number.", environment.file, line, "error")
    given = [name for name in _TS if name in variables]
    if given and "SAGEMAKER_TS_MIN_WORKERS" not in variables:
        message = f"{given[0]} alone makes the container start one worker, whatever its cores."
        advice = "Set SAGEMAKER_TS_MIN_WORKERS and SAGEMAKER_TS_MAX_WORKERS, too."
        yield Found(message, advice, environment.file, subject.line_of("container_env", given[0]))


def _batches(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    if environment is None or environment.serving != "toolkit":
        return
    name = "SAGEMAKER_TS_BATCH_SIZE"
    value = environment.container_env.get(name, "")
    if value.isdigit() and int(value) > 1:
        message = (
            f"{name} is {value}: requests wait for each other, are all read by the first one's content type "
            "and headers, and an error in one fails all. The handler is still called for each by itself."
        )
        advice = "Leave it out; several texts or rows in one request are one batch."
        yield Found(message, advice, environment.file, subject.line_of("container_env", name))


def _server_timeout(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    if environment is None or environment.serving != "toolkit":
        return
    variables = environment.container_env
    name = "SAGEMAKER_MODEL_SERVER_TIMEOUT"
    if name in variables:
        message = f"{name} has no effect on the PyTorch images: their server does not read it."
        advice = "Set TS_DEFAULT_RESPONSE_TIMEOUT (seconds; 120 without it) in its place."
        yield Found(message, advice, environment.file, subject.line_of("container_env", name))
    for name in ("TS_DEFAULT_RESPONSE_TIMEOUT", "SAGEMAKER_TS_RESPONSE_TIMEOUT"):
        value = variables.get(name, "")
        if value.isdigit() and int(value) > REAL_TIME_SECONDS and not environment.async_:
            message = f"{name} is {value} s, but SageMaker ends a real-time request after 60 s."
            advice = "Longer answers need `async:`; it may stay if the container is to finish them."
            line = subject.line_of("container_env", name)
            yield Found(message, advice, environment.file, line, "information")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


RULES = (
    Rule(
        "image",
        "error",
        "AWS has no image for the framework_version, py_version, region or instance type.",
        "Take the nearest, which the message names, or name an `image`.",
        _image,
    ),
    Rule(
        "image-patches",
        "information",
        "AWS does not patch the image line any more.",
        "Take a newer line, an image of your own, or AWS's Ray Serve image (`serving: ray`).",
        _image_patches,
    ),
    Rule(
        "instance-type",
        "warning",
        "The installed botocore does not know the instance type.",
        "Mend it; if it is new, a newer botocore knows it.",
        _instance_type,
    ),
    Rule(
        "serverless",
        "error",
        "Memory, concurrency or instance type that a serverless endpoint cannot have.",
        "Take what the message names.",
        _serverless,
    ),
    Rule(
        "weights-memory",
        "error",
        "The model data is larger than the memory of the instance or of the serverless endpoint.",
        "Take one with more memory, or pack less.",
        _weights_memory,
    ),
    Rule(
        "environment-variables",
        "error",
        "container_env holds more, longer or other names than SageMaker takes.",
        "Rename them, or put them into a file of the model data.",
        _environment_variables,
    ),
    Rule(
        "names",
        "error",
        "A tag or a bucket's name that AWS refuses.",
        "Rename it.",
        _names,
    ),
    Rule(
        "ts-variables",
        "warning",
        "One SAGEMAKER_TS_* variable makes the container start a single worker; one that is not a number "
        "ends it.",
        "Set SAGEMAKER_TS_MIN_WORKERS and SAGEMAKER_TS_MAX_WORKERS beside it.",
        _ts_variables,
    ),
    Rule(
        "batch-size",
        "warning",
        "SAGEMAKER_TS_BATCH_SIZE above 1 lets requests wait for each other and mixes them up, for no gain.",
        "Leave it out, and send several inputs in one request.",
        _batches,
    ),
    Rule(
        "server-timeout",
        "warning",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT has no effect; a time-out over SageMaker's own 60 s has little.",
        "Set TS_DEFAULT_RESPONSE_TIMEOUT; longer answers need `async`.",
        _server_timeout,
    ),
)
