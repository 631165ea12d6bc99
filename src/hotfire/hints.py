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


def _absent_file(match: re.Match[str]) -> str:
    path = match["path"]
    if not path.startswith("/"):
        return (
            f"The handler runs in the model's folder, where there is no {path}: open it as "
            f"`os.path.join(model_dir, {path!r})` and name it under `artifacts:` in config.yml."
        )
    return (
        f"{path} is not in the model data: open files under `model_dir`, the folder that "
        "model_fn gets, and see by `hotfire pack --list` what is packed."
    )


_SIGNATURES = {
    "model_fn": "model_dir",
    "input_fn": "body, content_type",
    "predict_fn": "data, model",
    "output_fn": "prediction, accept",
    "transform_fn": "model, body, content_type, accept",
}


def _signature(match: re.Match[str]) -> str:
    name = match["name"]
    parameters = _SIGNATURES.get(name, "model_dir")
    return (
        f"Write `def {name}({parameters}):`, or with `context` as one parameter more: the toolkit gives it "
        "no others."
    )


def _not_json(match: re.Match[str]) -> str:
    kind = match["kind"]
    if kind in ("set", "frozenset"):
        return f"output_fn must return text or bytes: turn the {kind} into a list before json.dumps."
    if re.fullmatch(r"u?int\d+|float\d+|bool_?", kind):
        return (
            f"JSON has no {kind} of numpy's: turn it into a number of Python's by `.item()`, or the array "
            "into a list by `.tolist()`, before json.dumps."
        )
    return (
        f"JSON has no {kind}: output_fn must return text or bytes, so turn tensors and arrays into lists "
        "(`.tolist()`) before json.dumps."
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
    _hint("pickled-class-safely", r"GLOBAL __main__\.(?P<name>\w+)", _pickled_class),
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
        "The weights were saved by a newer torch than the one that loads them: save them again by the "
        "image's torch, or have theirs in the image (`framework_version`; `own_image.torch` with "
        "`serving: hotfire`).",
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
        r"Expected all tensors to be on the same device|is not on the expected device|"
        r"Input type \(.{0,60}\) and weight type",
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
        "The image is not there or `aws_role` may not read it: see `image`, `serving` or "
        "`framework_version`, and allow the role ecr:BatchGetImage and ecr:GetDownloadUrlForLayer.",
    ),
    _hint(
        "state-dict",
        r"Error\(s\) in loading state_dict|size mismatch for [\w.]+|Missing key\(s\) in state_dict|"
        r"Unexpected key\(s\) in state_dict",
        "The weights are of a model of another shape than the one that model_fn builds: build it by the "
        "settings of that training (keep them beside the weights), or train it again.",
    ),
    _hint(
        "shapes",
        r"mat1 and mat2 shapes cannot be multiplied \(\d+x(?P<given>\d+) and (?P<taken>\d+)x\d+\)",
        lambda match: (
            f"The layer takes {match['taken']} numbers a row and is given {match['given']}: make the input "
            "in input_fn just as in training."
        ),
    ),
    _hint("pickled-class", r"Can't get attribute '(?P<name>\w+)' on <module '__main__'", _pickled_class),
    _hint(
        "no-model-file",
        r"FileNotFoundError: \[Errno 2\][^\n]*'(?P<path>[^'\n]+)'",
        _absent_file,
    ),
    _hint(
        "no-torchscript-file",
        r"The provided filename (?P<path>[^\n]+) does not exist",
        _absent_file,
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
        "no-torchscript",
        r"Please ensure model is saved using torchscript",
        "Without a model_fn the file must be TorchScript (`torch.jit.script(model).save('model.pt')`): save "
        "it so, or write `def model_fn(model_dir):` in the handler, which builds the model and loads its "
        "weights.",
    ),
    _hint(
        "no-weights",
        r"Exactly one \.pth or \.pt file is required",
        "Without a model_fn there must be `model.pt` in TorchScript, or one .pt or .pth file alone: name it "
        "under `artifacts:` in config.yml, or write `def model_fn(model_dir):` in the handler.",
    ),
    _hint("not-json", r"Object of type (?P<kind>\w+) is not JSON serializable", _not_json),
    _hint(
        "default-accept",
        r"in default_output_fn\n[\s\S]*?Content type (?P<kind>[^\n]*) is not supported by this framework",
        lambda match: (
            f"The default output_fn makes JSON, CSV and NPY, and the request accepts {match['kind']}: ask "
            "for `application/json`, or write `def output_fn(prediction, accept):` in the handler."
        ),
    ),
    _hint(
        "accept",
        r"in output_fn\n[\s\S]*?Content type (?P<kind>[^\n]*) is not supported by this framework",
        lambda match: (
            f"output_fn does not make {match['kind']}: ask for what it makes by `accept`, or have it make "
            "that."
        ),
    ),
    _hint(
        "content-type-parameter",
        r"Content type (?P<kind>[^;\n]*);(?P<parameter>[^\n]*) is not supported by this framework|"
        r"(?:content|media)[ _-]?type[\s\S]*\nContent-Type: (?P<sent>[^;\n]+);",
        lambda match: (
            f"What follows the `;` belongs to the content type as it is compared: send "
            f"`{match['kind'] or match['sent']}` alone, or write an input_fn that looks at "
            "`content_type.split(';')[0]`."
        ),
    ),
    _hint(
        "content-type",
        r"in input_fn\n[\s\S]*?Content type (?P<kind>[^\n]*) is not supported by this framework",
        lambda match: (
            f"input_fn does not read {match['kind']}: send what it reads by `content_type`, or have it read "
            "that."
        ),
    ),
    _hint(
        "default-content-type",
        r"Content type (?P<kind>[^\n]*) is not supported by this framework",
        lambda match: (
            f"The default input_fn reads JSON, CSV, NPY and NPZ, and {match['kind']} is none of them: send "
            "one that it reads, or write `def input_fn(body, content_type):` in the handler."
        ),
    ),
    _hint(
        "default-strings",
        r"can't convert np\.ndarray of type numpy\.(?:str_|object_)|too many dimensions 'str'|"
        r"in default_input_fn\n[^\n]*(?:new\(\): data must be|inhomogeneous)",
        "The default input_fn makes a tensor of numbers of every request: write "
        "`def input_fn(body, content_type):` in the handler, which turns the text into what the model takes.",
    ),
    _hint(
        "malformed-json",
        r"JSONDecodeError: (?P<what>[^\n]*: line (?P<line>\d+) column (?P<column>\d+))",
        lambda match: (
            f"What was read is not JSON at line {match['line']}, column {match['column']}: mend what is sent "
            "(names and texts stand in double quotes), or have input_fn say what it expects."
        ),
    ),
    _hint("signature", r"TypeError: (?P<name>\w+_fn) takes \d+ arguments but \d+ were given", _signature),
    _hint(
        "gradients",
        r"Can't call numpy\(\) on Tensor that requires grad|"
        r"Only Tensors created explicitly by the user[^\n]*deepcopy",
        "The model was called with gradients: call it under `with torch.inference_mode():` in predict_fn.",
    ),
    _hint(
        "unsupported-answer",
        r"Unsupported model output data type",
        "output_fn must return text, bytes or what json.dumps takes: turn tensors and arrays into lists "
        "(`.tolist()`).",
    ),
    _hint(
        "late",
        r"no answer within (?P<seconds>\d+) s\b",
        lambda match: (
            f"Make predict_fn faster than {match['seconds']} s or take a larger instance; what takes longer "
            "belongs to an asynchronous endpoint (`async:` in config.yml)."
        ),
    ),
    _hint(
        "large-request",
        r"is over TS_MAX_REQUEST_SIZE",
        "A request may have 6 MB at SageMaker: send less (fewer rows, a compressed form), or take an "
        "asynchronous endpoint (`async:` in config.yml), whose requests lie in S3.",
    ),
    _hint(
        "large-answer",
        r"is over TS_MAX_RESPONSE_SIZE",
        "An answer may have 6 MB at SageMaker: answer less (the best labels, fewer digits), or take an "
        "asynchronous endpoint (`async:` in config.yml), whose answers lie in S3.",
    ),
    _hint(
        "crash",
        r"killed by signal \d+(?: \((?P<name>SIG(?:SEGV|BUS|ILL|FPE|ABRT))\))",
        lambda match: (
            f"{match['name']} comes from compiled code, as of a package for another processor or version of "
            "torch: print before and after each call to find which, and pin that package's version."
        ),
    ),
    _hint(
        "ended-while-loading",
        r"the process (?:ended|was killed).{0,80}? while it loaded the model",
        "model_fn ended its process, or the kernel did for want of memory: load with less (one copy, "
        "`mmap=True`, half precision), and see by prints how far it comes.",
    ),
    _hint(
        "slow-load",
        r"the model was not loaded within \d+ s|it was not ready within",
        "model_fn takes longer than it may: have it load less, or raise `startup_timeout` in config.yml.",
    ),
    _hint(
        "exit",
        r"process that answers ended with exit code (?P<code>\d+)",
        "The handler ends its own process: take `sys.exit`, `os._exit` and `quit` out of it, and raise an "
        "exception in their place.",
    ),
)
"""The most telling first: of two that match, the earlier counts."""
