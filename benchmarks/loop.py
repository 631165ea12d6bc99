"""A handler in a loop in one process, without any server: `loop.py MODEL_DIR BODY SECONDS transform|plain`.

`transform` calls the toolkit's own transformer, as its server would; `plain` the handler's functions. Prints
predictions a second.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

JSON = "application/json"


class Processor:
    """One request's headers."""

    def get_request_properties(self) -> dict[str, str]:
        """What the toolkit looks at."""
        return {"Content-Type": JSON, "Accept": JSON}


class Context:
    """The least that the toolkit wants of a server's context."""

    model_name = "model"
    request_processor: ClassVar = [Processor()]

    def __init__(self, model_dir: str) -> None:
        self.system_properties = {"model_dir": model_dir}

    def set_response_content_type(self, index: int, value: str) -> None:
        """Nobody sees the answer."""

    def set_response_status(self, **status: Any) -> None:
        """Only called for an error."""
        raise SystemExit(str(status))


def by_toolkit(model_dir: str, body: bytes) -> Callable[[], object]:
    """A call of the toolkit's transformer."""
    from sagemaker_inference.transformer import Transformer
    from sagemaker_pytorch_serving_container import default_pytorch_inference_handler as defaults

    os.environ["SAGEMAKER_PROGRAM"] = "serve.py"
    transformer = Transformer(defaults.DefaultPytorchInferenceHandler())
    context = Context(model_dir)
    return lambda: transformer.transform([{"body": bytearray(body)}], context)


def plainly(model_dir: str, body: bytes) -> Callable[[], object]:
    """A call of the four functions."""
    import serve  # type: ignore[import-not-found]

    model = serve.model_fn(model_dir)

    def call() -> object:
        data = serve.input_fn(body.decode(), JSON)
        return serve.output_fn(serve.predict_fn(data, model), JSON)

    return call


def main() -> None:
    import torch

    _, model_dir, body, seconds, how = sys.argv
    torch.set_num_threads(1)
    sys.path[:0] = [str(Path(model_dir, "code")), model_dir]
    call = (plainly if how == "plain" else by_toolkit)(model_dir, body.encode())
    for _ in range(200):
        call()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < float(seconds):
        call()
        count += 1
    print(count / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
