"""A loaded handler: one request in, one answer out, through AWS's inference toolkit."""

import contextlib
import inspect
import io
import json
import re
import sys
import time
import traceback
from typing import Any, Dict, Iterator, List, Optional, Tuple

from hotfire_worker import findings
from hotfire_worker.context import Context, RequestProcessor
from hotfire_worker.edits import Edit, apply
from hotfire_worker.fields import BadRequest, read_fields
from hotfire_worker.streaming import Frames, close, handlers_own, pieces, rest
from hotfire_worker.wire import Header

Answer = Tuple[Header, bytes]

_HEADER_NAME = re.compile(r"[!#$%&'*+\-./?^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


class Unsendable(Exception):
    """What a handler wants answered cannot be sent; AWS's server loses its worker over it."""


class Refused(Exception):
    """A request that is answered without what a handler returns."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Unsupported(Exception):
    """What `output_fn` returned has no form as JSON."""


class Service:
    """The toolkit, the handler that it has imported and the model that it has loaded."""

    def __init__(self, model_dir: str) -> None:
        import sagemaker_inference.transformer as toolkit
        from sagemaker_pytorch_serving_container.default_pytorch_inference_handler import (
            DefaultPytorchInferenceHandler,
        )

        self._context = Context("model", model_dir)
        self._stopwatch = Stopwatch()
        toolkit.signature = self._stopwatch
        self._transformer = toolkit.Transformer(DefaultPytorchInferenceHandler())
        self._transformer.handle_error = self._handle_error
        self._model_dir = model_dir
        self._findings: Optional[Dict[str, Any]] = None
        self._transformer.validate_and_initialize(model_dir=model_dir, context=self._context)

    def edit(self, edits: List[Edit]) -> None:
        """Give the handler's functions newer code; the model stays as it is."""
        apply(edits)
        self._stopwatch.forget()
        # Functions of the handler's may have come or gone.
        self._transformer._validate_user_module_and_set_functions()

    def answer(self, header: Header, body: bytearray) -> Answer:
        """One request's answer, as AWS's stack would give it."""
        self._examine(header)
        try:
            result, request = self._ask(header, body)
        except Refused as refused:
            return self._examined(refused.answer)
        return self._examined(self._encode(result, request))

    def stream(self, header: Header, body: bytearray) -> Frames:
        """One request's answer in parts, if the handler returns an iterator; else whole, in one frame.

        An iterator that fails before its first part is answered as a function that fails. Closing the frames
        closes the iterator.
        """
        self._examine(header)
        try:
            result, request = self._ask(header, body)
        except Refused as refused:
            yield self._examined(refused.answer)
            return
        if not isinstance(result, Iterator):
            yield self._examined(self._encode(result, request))
            return
        try:
            following = pieces(result)
            try:
                first = next(following, b"")
            except Exception as error:  # noqa: BLE001  # the handler's
                yield self._examined(self._encode(self._failure(error, request), request))
                return
            head, start = self._examined(self._encode(first, request, more=True))
            yield head, start
            if "more" in head:
                yield from rest(following)
        finally:
            close(result)

    def _ask(self, header: Header, body: bytearray) -> Tuple[Any, RequestProcessor]:
        """What the toolkit and the handler make of a request; raises Refused."""
        try:
            fields = read_fields(_content_type(header["headers"]), header["query"], body)
        except BadRequest as error:
            if self._findings is not None:
                self._findings["failure"] = findings.of_reason(error.message)
            raise Refused(_refusal(error.status, error.message, error.kind)) from error
        kinds = {name: {"content-type": kind} for name, (kind, _) in fields.items()}
        request = self._context.begin(header["id"], {**kinds, **header["headers"]})
        self._stopwatch.start()
        try:
            data = {name: value for name, (_, value) in fields.items()}
            with self._profiled(header):
                results = self._transformer.transform([data], self._context)
        except Exception as error:  # the toolkit catches what handlers raise; this is its own stumbling
            self._note(error)
            raise Refused(_stumbled(error)) from error
        return results[0], request

    def _failure(self, error: Exception, request: RequestProcessor) -> str:
        """What the toolkit answers where a function of the handler raises this."""
        from sagemaker_inference.errors import BaseInferenceToolkitError, GenericInferenceToolkitError

        trace = "".join(traceback.format_exception(type(error), error, handlers_own(error)))
        request.get_response_headers().pop("content-type", None)
        if not isinstance(error, BaseInferenceToolkitError):
            error = GenericInferenceToolkitError(500, str(error))
        answers: List[str] = self._transformer.handle_error(self._context, error, trace)
        return answers[0]

    def _encode(self, result: Any, request: RequestProcessor, more: bool = False) -> Answer:
        """What a handler returned as an answer, to which parts are to be added if `more`."""
        try:
            header = {
                "status": _status(request),
                "headers": _headers(request.get_response_headers()),
                "times": self._stopwatch.times(),
            }
            if more:
                header["more"] = True
            return header, _body(result)
        except Unsupported as error:
            self._note_unsent(result, error)
            if isinstance(result, Iterator):
                sys.stderr.write(
                    f"hotfire: {error}: only InvokeEndpointWithResponseStream takes it in parts\n"
                )
            elif self._findings is None:
                traceback.print_exc()
            return _refusal(503, "Unsupported model output data type.")
        except Exception as error:  # noqa: BLE001  # a value may refuse in any way to become bytes
            self._note_unsent(result, error)
            traceback.print_exc()
            sys.stderr.write(f"hotfire: the answer cannot be sent: {error}\n")
            return _refusal(500, "Worker died.")

    def _handle_error(self, context: Context, error: Any, trace: str) -> Any:
        """Stands before the toolkit's own, which is called while what the handler raised is handled."""
        raised = sys.exc_info()[1]
        if raised is not None:
            self._note(raised)
        return type(self._transformer).handle_error(context, error, trace)

    def _examine(self, header: Header) -> None:
        """From now on, look at what befalls a request if its sender wants to be told."""
        self._findings = {} if "examined" in header else None
        self._stopwatch.looks_on = self._findings is not None

    @contextlib.contextmanager
    def _profiled(self, header: Header) -> Iterator[None]:
        """Look where the time of the function goes that predicts, if the request's sender wants to know."""
        if "profiled" not in header or self._findings is None:
            yield
            return
        from hotfire_worker.profiling import Profile

        default = self._transformer._default_transform_fn
        name = "_predict_fn" if self._transformer._transform_fn == default else "_transform_fn"
        function, profile = getattr(self._transformer, name), Profile()
        setattr(self._transformer, name, profile.of(function))
        try:
            yield
        finally:
            setattr(self._transformer, name, function)
            self._findings["profile"] = profile.lines

    def _note(self, error: BaseException) -> None:
        if self._findings is not None:
            self._findings["failure"] = findings.of_error(error, self._model_dir)

    def _note_unsent(self, result: Any, error: Exception) -> None:
        if self._findings is not None:
            self._findings["failure"] = findings.of_answer(result, str(error))

    def _examined(self, answer: Answer) -> Answer:
        """The answer with what was found, if anybody wants to know."""
        if self._findings is None:
            return answer
        header, body = answer
        if "failure" not in self._findings:
            self._findings["doubts"] = findings.doubts(self._transformer._model, self._prediction())
        self._stopwatch.start()  # which keeps nothing of the request any longer
        return {**header, "findings": self._findings}, body

    def _prediction(self) -> Any:
        """What `output_fn` was given, None if there is none."""
        called, arguments = self._stopwatch.last
        return arguments[0] if arguments and called == self._transformer._output_fn else None


class Stopwatch:
    """Notes when each function of the handler begins.

    It stands in for `inspect.signature` in the toolkit, which asks it for a function's parameters just before
    each call: same result, asked of Python once a function, and no frame of ours in a traceback.
    """

    def __init__(self) -> None:
        self._known: Dict[Any, inspect.Signature] = {}
        self._begun: List[Tuple[str, float]] = []
        self.looks_on = False
        """Whether to keep what the functions are called with: `last` is the latest call."""
        self.last: Tuple[Any, Any] = (None, ())

    def __call__(self, function: Any) -> inspect.Signature:
        """The function's signature."""
        if self.looks_on:
            self.last = function, sys._getframe(1).f_locals.get("argv", ())
        self._begun.append((getattr(function, "__name__", "handler"), time.perf_counter()))
        try:
            return self._known[function]
        except KeyError:
            return self._known.setdefault(function, inspect.signature(function))
        except TypeError:  # a callable that cannot be hashed
            return inspect.signature(function)

    def forget(self) -> None:
        """Ask Python anew for signatures, which may have changed."""
        self._known.clear()

    def start(self) -> None:
        """Forget the last request."""
        self._begun.clear()
        self.last = None, ()

    def times(self) -> Dict[str, float]:
        """Seconds from each function's beginning to the next one's, the last one's to now."""
        ends = [moment for _, moment in self._begun[1:]] + [time.perf_counter()]
        return {
            name: end - moment
            for (name, moment), end in zip(self._begun, ends)  # noqa: B905  # not in Python 3.9
            if name != "_default_transform_fn"  # the toolkit's own, which only calls the others
        }


def _content_type(headers: Dict[str, str]) -> str:
    for name, value in headers.items():
        if name.lower() == "content-type":
            return value
    return ""


def _status(request: RequestProcessor) -> int:
    status, phrase = request.get_response_status_code(), request.get_response_status_phrase()
    if status is None:
        status = 200
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise Unsendable(f"{status!r} is not the status of an answer")
    if phrase is None:
        return status
    if not isinstance(phrase, str) or not phrase.isascii() or "\r" in phrase or "\n" in phrase:
        # It is not sent by us either; but AWS's server takes the length of its letters for that of its bytes.
        raise Unsendable(f"the reason phrase {phrase!r} is not one line of ASCII")
    return status


def _headers(given: Dict[Any, Any]) -> Dict[str, str]:
    """The answer's headers, each name once, as it was given last."""
    names: Dict[str, str] = {}
    for name, value in given.items():
        if not (isinstance(name, str) and _HEADER_NAME.fullmatch(name)):
            raise Unsendable(f"{name!r} is not the name of a header")
        if not (isinstance(value, str) and _HEADER_VALUE.fullmatch(value)):
            raise Unsendable(f"{value!r} is not the value of a header, {name}")
        if name == "content-type" and not value.isascii():
            raise Unsendable(f"the content type {value!r} is not ASCII")
        # The toolkit sets `content-type` after the handler; AWS's server lets the handler's spelling win.
        if names.get(name.lower()) != "Content-Type":
            names[name.lower()] = name
    return {name: given[name] for name in names.values()}


def _body(result: Any) -> bytes:
    import torch

    if isinstance(result, (bytes, bytearray)):
        return bytes(result)
    if isinstance(result, str):
        return result.encode("utf-8")
    if isinstance(result, torch.Tensor):
        stream = io.BytesIO()
        torch.save(result, stream)
        return stream.getvalue()
    try:
        return json.dumps(result, indent=2).encode("utf-8")
    except TypeError as error:
        raise Unsupported(str(error)) from error


def _stumbled(error: Exception) -> Answer:
    """What AWS's server says where the toolkit itself raises."""
    if isinstance(error, MemoryError) or "CUDA" in str(error):
        return _refusal(507, "Out of resources")
    return _refusal(503, "Prediction failed")


def refusal_body(status: int, message: str, kind: str = "InternalServerException") -> bytes:
    """The body by which the container says that it, not the handler, failed."""
    return (json.dumps({"code": status, "type": kind, "message": message}, indent=2) + "\n").encode()


def _refusal(status: int, message: str, kind: str = "InternalServerException") -> Answer:
    header: Header = {"status": status, "headers": {"content-type": "application/json"}, "times": {}}
    return header, refusal_body(status, message, kind)
