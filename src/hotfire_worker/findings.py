"""What can be told of a failure to whoever works on the handler, besides what its client is answered.

Read off the exception itself: who raised it is not touched, and no frame of ours comes into its traceback.
"""

import linecache
import os
import re
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any, Dict, Iterator, List, Optional, Tuple

from hotfire_worker.values import cut, described, masked, masked_source

Findings = Dict[str, Any]
"""`function`: the handler's that failed; `errors`: each `type` and `message`, the last one raised first;
`frames`: each `file`, `place` (of the handler's own: where it lies in the model data), `line` and
`function`, the innermost last; `source`: lines around the one in `focus`, a frame's number; `locals`: names
and values there."""

_Frame = Tuple[FrameType, int]

_MOST_FRAMES, _MOST_LOCALS, _MOST_MESSAGE = 60, 40, 2000
_BEFORE, _AFTER = 2, 1
_DEFINITIONS = (ModuleType, type, FunctionType, BuiltinFunctionType)
_HELPER = "_run_handler_function"
"""The toolkit's method that calls each function of the handler."""


def of_error(error: BaseException, folder: str) -> Findings:
    """What is found about an error of the handler whose model data lies in this folder."""
    try:
        return _of_error(error, folder)
    except Exception as mishap:  # noqa: BLE001  # the failure itself must be told, whatever it is made of
        return of_reason(f"{type(error).__name__} (which cannot be looked into: {mishap!r})")


def _of_error(error: BaseException, folder: str) -> Findings:
    frames = list(_frames(error.__traceback__))
    folders = (folder, os.path.realpath(folder))
    told = [_told(frame, line, folders) for frame, line in frames]
    findings: Findings = {
        "function": _function(frames),
        "errors": [_error(one) for one in _chain(error)],
        "frames": told[-_MOST_FRAMES:],
        "source": [],
        "locals": {},
        "focus": None,
    }
    if isinstance(error, SyntaxError) and error.filename:
        place = _place(error.filename, folders)
        focus = {"file": error.filename, "place": place, "line": error.lineno or 1, "function": ""}
        return {**findings, **_focus(focus), "locals": {}}
    at = _where(frames, told)
    if at is not None:
        findings.update(_focus(told[at]))
        findings["locals"] = _locals(frames[at])
    return findings


def of_reason(message: str) -> Findings:
    """What is found about a failure that is no exception of the handler's."""
    error = {"type": "", "message": cut(masked(message), _MOST_MESSAGE)}
    return {"function": "", "errors": [error], "frames": [], "source": [], "locals": {}, "focus": None}


def of_answer(value: Any, message: str) -> Findings:
    """What is found about a value that cannot be sent."""
    return {**of_reason(message), "locals": {"answer": described(value)}}


def doubts(model: Any, prediction: Any) -> List[str]:
    """What is wrong though an answer was given: that the model trains, that gradients are recorded."""
    try:
        return list(_doubts(model, prediction))
    except Exception:  # noqa: BLE001  # whatever the handler's objects do when they are looked at
        return []


def _doubts(model: Any, prediction: Any) -> Iterator[str]:
    if any(module.training for module in _modules(model)):
        yield "training"
    if any(tensor.requires_grad for tensor in _tensors(prediction)):
        yield "gradients"


def _modules(model: Any) -> Iterator[Any]:
    """The modules of torch that `model_fn` returned, at once or in something."""
    import torch

    if isinstance(model, (list, tuple)):
        held: Any = model
    elif isinstance(model, dict):
        held = model.values()
    else:
        held = [model, *getattr(model, "__dict__", {}).values()]
    return (one for one in held if isinstance(one, torch.nn.Module))


def _tensors(value: Any, depth: int = 0) -> Iterator[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif depth < 3 and isinstance(value, (list, tuple, dict)):
        for one, _ in zip(value.values() if isinstance(value, dict) else value, range(20)):  # noqa: B905
            yield from _tensors(one, depth + 1)


def _frames(trace: Optional[TracebackType]) -> Iterator[_Frame]:
    while trace is not None:
        if trace.tb_frame.f_globals.get("__package__") != __package__:
            yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _told(frame: FrameType, line: int, folders: Tuple[str, ...]) -> Dict[str, Any]:
    file = frame.f_code.co_filename
    return {"file": file, "place": _place(file, folders), "line": line, "function": frame.f_code.co_name}


def _place(file: str, folders: Tuple[str, ...]) -> Optional[str]:
    for folder in folders:
        if file.startswith(folder + os.sep):
            return file[len(folder) + 1 :].replace(os.sep, "/")
    return None


def _function(frames: List[_Frame]) -> str:
    """The handler's function in which it happened: that which the toolkit called last."""
    called = [frame for frame, _ in frames if frame.f_code.co_name == _HELPER and "func" in frame.f_locals]
    return str(getattr(called[-1].f_locals["func"], "__name__", "")) if called else ""


def _where(frames: List[_Frame], told: List[Dict[str, Any]]) -> Optional[int]:
    """The frame to look at: the innermost of the handler's own, else the toolkit's own function's."""
    own = [number for number, one in enumerate(told) if one["place"] is not None]
    if own:
        return own[-1]
    toolkits = [number for number, (frame, _) in enumerate(frames) if _is_default(frame.f_code.co_name)]
    return toolkits[-1] if toolkits else None


def _is_default(name: str) -> bool:
    return name.startswith("default_") and name.endswith("_fn")


def _focus(told: Dict[str, Any]) -> Findings:
    # A file of an earlier edit may be remembered.
    linecache.checkcache(told["file"])
    first = max(told["line"] - _BEFORE, 1)
    lines = [linecache.getline(told["file"], line) for line in range(first, told["line"] + _AFTER + 1)]
    source = [
        [first + number, cut(masked_source(line.rstrip("\n")), 200)]
        for number, line in enumerate(lines)
        if line
    ]
    return {"focus": told, "source": source}


def _locals(at: _Frame) -> Dict[str, str]:
    """What the frame's names stand for, those of the line in question first."""
    frame, line = at
    text = linecache.getline(frame.f_code.co_filename, line)
    named = set(re.findall(r"[^\W\d]\w*", text))
    is_module = frame.f_code.co_name == "<module>"
    found = {
        name: value
        for name, value in frame.f_locals.items()
        if name.isidentifier()  # which what a comprehension goes through is not
        and not (name.startswith("__") or _is_definition(value) or (is_module and name not in named))
    }
    names = sorted(found, key=lambda name: name not in named)
    return {name: described(found[name], name) for name in names[:_MOST_LOCALS]}


def _is_definition(value: Any) -> bool:
    # By its type alone: to ask the value itself may run the handler's code.
    return issubclass(type(value), _DEFINITIONS)


def _chain(error: BaseException) -> List[BaseException]:
    found: List[BaseException] = []
    at: Optional[BaseException] = error
    while at is not None and not any(at is one for one in found) and len(found) < 10:
        found.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return found


def _error(error: BaseException) -> Dict[str, str]:
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # noqa: BLE001  # an exception of the handler's own that cannot be worded
        message = ""
    # Half a surrogate pair can be in a message, and not in a frame.
    message = masked(message).encode("utf-8", "backslashreplace").decode()
    return {"type": type(error).__name__, "message": cut(message, _MOST_MESSAGE)}
