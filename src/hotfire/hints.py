"""Known failures of handlers and containers, each with one sentence on what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from hotfire.distributions import distribution_of

Sentence = Callable[[re.Match[str]], str]


@dataclass(frozen=True, slots=True)
class Hint:
    """What is seen in a traceback, a log or a failure reason, and the sentence for it."""

    name: str
    pattern: re.Pattern[str]
    sentence: Sentence


def advice(text: str) -> str | None:
    """The sentence for the failure that a traceback, a log or a reason tells of; None if it is not known.

    Of several the most telling one counts: what is said of a missing module goes before what came of it.
    """
    for hint in HINTS:
        match = hint.pattern.search(text)
        if match:
            return hint.sentence(match)
    return None


def _hint(name: str, pattern: str, sentence: str | Sentence) -> Hint:
    if isinstance(sentence, str):
        told: Sentence = lambda _: sentence  # noqa: E731 -- a constant function needs no name
    else:
        told = sentence
    return Hint(name, re.compile(pattern, re.IGNORECASE), told)


def _missing_module(match: re.Match[str]) -> str:
    module = match["module"]
    if module.split(".")[0] in ("numpy", "torch") and "." in module:
        top = module.split(".")[0]
        return (
            f"What was pickled needs another version of {top} than is installed: pin the version of training "
            "in requirements.txt, or save it again by this one."
        )
    return (
        f"Add the line `{distribution_of(module)}` to the requirements.txt beside the handler; if {module} "
        "is a file of yours, see that it is packed (`hotfire pack --list`)."
    )


def _pickled_class(match: re.Match[str]) -> str:
    return (
        f"The weights were saved with the class {match['name']} of the training script: save "
        "`model.state_dict()` in place of the model, or import that class in the handler from its own module."
    )


HINTS = (
    _hint(
        "numpy-abi",
        r"compiled using numpy 1\.x cannot be run in\s+numpy 2|numpy\.(?:dtype|ndarray) size changed|"
        r"_ARRAY_API not found|numpy\.core\.multiarray failed to import",
        "A package was built for another numpy: write `numpy<2` (or a newer version of that package) in "
        "requirements.txt.",
    ),
    _hint(
        "numpy-pickle",
        r"No module named '?numpy\._core",
        "The file was pickled by numpy 2 and this is numpy 1: write `numpy>=2` in requirements.txt, or save "
        "it again by numpy 1.",
    ),
    _hint(
        "missing-library",
        r"ImportError: lib(?P<library>[\w+-]+)\.so[\w.]*: cannot open shared object file",
        lambda match: (
            f"The system library lib{match['library']} is not in the image: use a package that brings its "
            "own (opencv-python-headless in place of opencv-python), or an image of your own by `image:`."
        ),
    ),
    _hint("missing-module", r"No module named '?(?P<module>[A-Za-z_][\w.]*[A-Za-z0-9_])'?", _missing_module),
    _hint(
        "missing-name",
        r"ImportError: cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'",
        lambda match: (
            f"The installed version of {distribution_of(match['module'])} has no {match['name']}: pin the "
            "version that you tested with in requirements.txt."
        ),
    ),
    _hint(
        "weights-only",
        r"Weights only load failed|weights_only.{0,80}(?:default|True)|WeightsUnpickler error",
        "Since torch 2.6 `torch.load` takes tensors only: save `model.state_dict()`, or pass "
        "`weights_only=False` if you trust the file.",
    ),
    _hint(
        "newer-torch",
        r"version_ <= kMaxSupportedFileFormatVersion|is newer than the (?:latest|current) supported|"
        r"Attempted to read a PyTorch file with version|Unknown builtin op|"
        r"not support serialization version|produced by a newer version of PyTorch",
        "The weights were saved by a newer torch than the one that loads them: set `framework_version` to "
        "it, or save them again by the image's torch.",
    ),
    _hint(
        "no-cuda",
        r"deserialize object on a CUDA device but torch\.cuda\.is_available\(\) is False|"
        r"Torch not compiled with CUDA enabled|Found no NVIDIA driver|No CUDA GPUs are available|"
        r"libcudart\.so|libcuda\.so",
        "There is no GPU here: load with `map_location='cpu'` and choose the device by "
        "`torch.cuda.is_available()`, or take a GPU instance type.",
    ),
    _hint(
        "gpu-memory",
        r"CUDA out of memory|CUDA error: out of memory|OutOfMemoryError: CUDA",
        "The GPU's memory is too small: take a larger GPU instance, smaller batches or half precision; each "
        "worker holds its own copy (SAGEMAKER_MODEL_SERVER_WORKERS).",
    ),
    _hint(
        "two-devices",
        r"Expected all tensors to be on the same device|Input type \(.{0,60}\) and weight type",
        "The model and its input are on different devices: move the input by `.to(device)` in predict_fn.",
    ),
    _hint(
        "memory",
        r"DefaultCPUAllocator: can't allocate memory|\bMemoryError\b|Cannot allocate memory|"
        r"\bOOM\b|oom-?kill|killed by signal 9|\bSIGKILL\b|exit(?:ed with)? (?:code|status) 137|"
        r"java\.lang\.OutOfMemoryError",
        "There was not enough memory: take an instance with more, or fewer workers "
        "(SAGEMAKER_MODEL_SERVER_WORKERS), each of which holds the model.",
    ),
    _hint(
        "architecture",
        r"exec format error|exec user process caused",
        "The image is for another processor than the instance's: build it by `docker build --platform "
        "linux/amd64` (linux/arm64 for Graviton types).",
    ),
    _hint(
        "data-permission",
        r"(?:AccessDenied|Access Denied|not authorized to perform: s3:|Forbidden).{0,200}"
        r"(?:s3|model ?data|GetObject|ListBucket)|"
        r"Could not access model data|(?:s3|model ?data).{0,120}(?:AccessDenied|Access Denied)",
        "The endpoint's role (`aws_role`) cannot read the model data: allow it s3:GetObject on the archive "
        "and s3:ListBucket on the bucket (and kms:Decrypt if it is encrypted by a key of yours).",
    ),
    _hint(
        "image-permission",
        r"(?:Requested image .{0,200} not found|image .{0,200} does not exist|repository .{0,120} not found|"
        r"ecr:.{0,80}not authorized|not authorized .{0,80}ecr:)",
        "The image is not there or `aws_role` may not read it: see `image` or `framework_version`, and allow "
        "the role ecr:BatchGetImage and ecr:GetDownloadUrlForLayer.",
    ),
    _hint(
        "state-dict",
        r"Error\(s\) in loading state_dict|size mismatch for [\w.]+|Missing key\(s\) in state_dict|"
        r"Unexpected key\(s\) in state_dict",
        "The weights are of a model of another shape than the one that model_fn builds: build it by the "
        "settings of that training (keep them beside the weights), or train it again.",
    ),
    _hint("pickled-class", r"Can't get attribute '(?P<name>\w+)' on <module '__main__'", _pickled_class),
    _hint(
        "no-model-file",
        r"FileNotFoundError: \[Errno 2\][^\n]*'(?P<path>[^'\n]+)'",
        lambda match: (
            f"{match['path']} is not in the model data: open files under `model_dir`, the folder that "
            "model_fn gets, and see by `hotfire pack --list` what is packed."
        ),
    ),
    _hint(
        "read-only",
        r"Read-only file system|PermissionError: \[Errno 13\][^\n]*'/opt/ml/model",
        "The model folder cannot be written to: put what is written into /tmp (`tempfile.gettempdir()`).",
    ),
    _hint(
        "no-space",
        r"No space left on device",
        "The instance's disk is full: set `VolumeSizeInGB` of the variant under `endpoint_config:`, or make "
        "the archive smaller.",
    ),
    _hint(
        "ping",
        r"did not pass the ping health check|ping health check|health check (?:failed|timed? ?out)",
        "The model was not ready in time: look for a traceback in `hotfire logs`; if it only loads slowly, "
        "raise `startup_timeout`.",
    ),
    _hint(
        "worker-time-out",
        r"Worker (?:died|did not respond)|response timed? ?out|"
        r"Your invocation timed out|model did not respond in time|Backend worker did not respond",
        "The handler took too long: make predict_fn faster or take a larger instance; SageMaker itself ends "
        "a real-time request after 60 s, the container by TS_DEFAULT_RESPONSE_TIMEOUT in `container_env`.",
    ),
    _hint(
        "archive",
        r"(?:not in gzip format|invalid tar|unexpected EOF|Unable to (?:extract|untar))",
        "The archive is damaged or not a model.tar.gz: pack it again by `hotfire pack`.",
    ),
    _hint(
        "quota",
        r"ResourceLimitExceeded|account-level service limit",
        "The account may not run so many of these instances: ask for a higher quota in the console of "
        "Service Quotas, or take another instance type.",
    ),
    _hint(
        "capacity",
        r"InsufficientInstanceCapacity|Insufficient capacity|unable to provision requested ML compute",
        "AWS has no such instance free in this region now: try again later, or take another instance type.",
    ),
    _hint(
        "no-load",
        r"NotImplementedError[^\n]*default_model_fn|Please provide a model_fn implementation",
        "Write `def model_fn(model_dir):` in the handler, which loads the model and returns it.",
    ),
    _hint(
        "not-json",
        r"is not JSON serializable",
        "output_fn must return text or bytes: turn tensors and arrays into lists (`.tolist()`) before "
        "json.dumps.",
    ),
)
"""The most telling first: of two that match, the earlier counts."""
