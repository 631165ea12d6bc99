"""The worker: answers requests, one at a time, through AWS's inference toolkit."""

import inspect
import io
import json
import random
import time
import urllib.parse
from typing import Any, Callable, Dict, Tuple

from hotfire_worker.context import Context
from hotfire_worker.output import TaggedOutput
from hotfire_worker.wire import Channel, Header

Answer = Tuple[Header, bytes]

_FORM = "application/x-www-form-urlencoded"


def main(
    spec: Dict[str, Any], context: Context, transformer: Any, printed: TaggedOutput, channel: Channel
) -> None:
    """Answer requests until the region closes the channel."""
    _settle_in(spec["threads"])
    channel.send({"event": "ready"})
    while True:
        received = channel.receive()
        if received is None:
            return
        header, body = received
        printed.tag = header["id"].encode()
        answer_header, answer_body = answer(context, transformer, header, body)
        printed.finish()
        printed.tag = b""
        channel.send(answer_header, answer_body)


def answer(context: Context, transformer: Any, header: Header, body: bytearray) -> Answer:
    """One request's answer, as AWS's stack would give it."""
    headers = header["headers"]
    content_type = _content_type(headers)
    request = context.begin(header["id"], {"body": {"content-type": content_type}, **headers})
    transformer.times.clear()
    try:
        result = transformer.transform([_fields(content_type, body)], context)
    except Exception:  # noqa: BLE001  # the toolkit catches what handlers raise; this is what it trips over itself
        return _refusal(503, "Prediction failed")
    return _encode(result[0], request, transformer.times)


def timed_transformer(default_handler: Any) -> Any:
    """The toolkit's transformer, which also notes how long each function of the handler took."""
    import sagemaker_inference.transformer as toolkit

    class TimedTransformer(toolkit.Transformer):  # type: ignore[misc]
        """Same behaviour; `times` holds seconds by function name."""

        def __init__(self) -> None:
            super().__init__(default_handler)
            self.times: Dict[str, float] = {}

        def _run_handler_function(self, func: Callable[..., Any], *argv: Any) -> Any:
            started = time.perf_counter()
            try:
                return super()._run_handler_function(func, *argv)
            finally:
                self.times[getattr(func, "__name__", "handler")] = time.perf_counter() - started

    toolkit.signature = _memoised_signature()
    return TimedTransformer()


def _memoised_signature() -> Callable[[Any], inspect.Signature]:
    """`inspect.signature`, which the toolkit asks for several times a request, asked once a function."""
    known: Dict[Any, inspect.Signature] = {}

    def signature(function: Any) -> inspect.Signature:
        try:
            return known[function]
        except KeyError:
            return known.setdefault(function, inspect.signature(function))
        except TypeError:  # a callable that cannot be hashed
            return inspect.signature(function)

    return signature


def _settle_in(threads: int) -> None:
    """What processes forked from one parent must not have in common."""
    import numpy
    import torch

    torch.set_num_threads(threads)
    random.seed()
    numpy.random.seed()
    torch.seed()


def _content_type(headers: Dict[str, str]) -> str:
    for name, value in headers.items():
        if name.lower() == "content-type":
            return value
    return ""


def _fields(content_type: str, body: bytearray) -> Dict[str, Any]:
    """The request's fields: `body`, or those of a form, whose body the toolkit then does not find."""
    if content_type.split(";")[0].strip().lower() != _FORM:
        return {"body": body}
    pairs = urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: bytearray(value.encode()) for name, value in pairs}


def _encode(result: Any, request: Any, times: Dict[str, float]) -> Answer:
    try:
        body = _body(result)
    except TypeError:
        return _refusal(503, "Unsupported model output data type.")
    if not all(isinstance(value, str) for value in request.get_response_headers().values()):
        # TorchServe cannot put such an answer on its wire either, and its worker dies of it.
        raise TypeError("a header of the answer is not a string")
    header = {
        "status": request.get_response_status_code(),
        "headers": request.get_response_headers(),
        "times": times,
    }
    return header, body


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
    return json.dumps(result, indent=2).encode("utf-8")


def refusal_body(status: int, message: str) -> bytes:
    """The body by which the container says that it, not the handler, failed."""
    return (
        json.dumps({"code": status, "type": "InternalServerException", "message": message}, indent=2) + "\n"
    ).encode()


def _refusal(status: int, message: str) -> Answer:
    header: Header = {"status": status, "headers": {"content-type": "application/json"}, "times": {}}
    return header, refusal_body(status, message)
