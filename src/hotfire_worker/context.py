"""The context object that the toolkit and handlers see.

Its surface is that of TorchServe's, which handlers were written against; one object serves the worker's
whole life, because the toolkit keeps the one that it saw first. Only its request part changes.
"""

import json
import os
from typing import Any, Dict, List, Optional, Tuple

from hotfire_worker.metrics import Metrics

_SERVER_NAME = "MMS"
"""TorchServe still says so of itself; handlers may look."""
_SERVER_VERSION = "0.12.0"
"""The last TorchServe that AWS's images carried."""


class RequestProcessor:
    """One request's headers, and what its answer shall be besides the body."""

    def __init__(self, headers: Dict[str, Any]) -> None:
        self._headers = headers
        self._status = 200
        self._phrase: Optional[str] = None
        self._answer_headers: Dict[str, str] = {}

    def get_request_property(self, key: str) -> Any:
        """A header, by its name as it was sent."""
        return self._headers.get(key)

    def get_request_properties(self) -> Dict[str, Any]:
        """All headers."""
        return self._headers

    def report_status(self, code: int, reason_phrase: Optional[str] = None) -> None:
        """Set the answer's status."""
        self._status, self._phrase = code, reason_phrase

    def get_response_status_code(self) -> int:
        """The answer's status."""
        return self._status

    def get_response_status_phrase(self) -> Optional[str]:
        """The answer's reason phrase."""
        return self._phrase

    def add_response_property(self, key: str, value: str) -> None:
        """Set a header of the answer."""
        self._answer_headers[key] = value

    def get_response_headers(self) -> Dict[str, str]:
        """The answer's headers."""
        return self._answer_headers

    def get_response_header(self, key: str) -> Optional[str]:
        """One of the answer's headers."""
        return self._answer_headers.get(key)


class Context:
    """What a handler function is given when it takes one argument more than it must."""

    def __init__(self, model_name: str, model_dir: str, gpu_id: Optional[int] = None) -> None:
        self.model_name = model_name
        self.manifest = _manifest(model_dir)
        self.system_properties: Dict[str, Any] = {
            "model_dir": model_dir,
            "gpu_id": gpu_id,
            "batch_size": _batch_size(),
            "server_name": _SERVER_NAME,
            "server_version": _SERVER_VERSION,
            "limit_max_image_pixels": True,
        }
        self.model_yaml_config: Dict[str, Any] = {}
        self.metrics = Metrics(model_name)
        self.request_processor: Optional[List[RequestProcessor]] = None
        self.request_ids: Optional[Dict[int, str]] = None
        self.stopping_criteria: Any = None
        self.header_key_sequence_id = os.getenv("TS_REQUEST_SEQUENCE_ID", "ts_request_sequence_id")
        self.header_key_sequence_start = os.getenv("TS_REQUEST_SEQUENCE_START", "ts_request_sequence_start")
        self.header_key_sequence_end = os.getenv("TS_REQUEST_SEQUENCE_END", "ts_request_sequence_end")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and self.__dict__ == other.__dict__

    def begin(self, request_id: str, headers: Dict[str, Any]) -> RequestProcessor:
        """Turn to a new request."""
        request = RequestProcessor(headers)
        self.request_ids = self.metrics.request_ids = {0: request_id}
        self.request_processor = [request]
        return request

    def get_request_id(self, idx: int = 0) -> Optional[str]:
        """The request's id."""
        return None if self.request_ids is None else self.request_ids.get(idx)

    def get_request_header(self, idx: int, key: str) -> Any:
        """One header of the request, by its name as it was sent."""
        return self._request(idx).get_request_property(key)

    def get_all_request_header(self, idx: int) -> Dict[str, Any]:
        """All headers of the request."""
        return self._request(idx).get_request_properties()

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the answer's content type; the toolkit does so after `output_fn`."""
        self._request(idx).add_response_property("content-type", value)

    def get_response_content_type(self, idx: int) -> Optional[str]:
        """The answer's content type."""
        return self._request(idx).get_response_header("content-type")

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Set the answer's status; without effect while the model is loaded."""
        if self.request_processor is not None:
            self.request_processor[idx].report_status(code, reason_phrase=phrase)

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        """Set the status of every answer of the batch."""
        self._request(0).report_status(code, reason_phrase=phrase)

    def get_response_status(self, idx: int) -> Tuple[int, Optional[str]]:
        """The answer's status and reason phrase."""
        request = self._request(idx)
        return request.get_response_status_code(), request.get_response_status_phrase()

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Set a header of the answer."""
        self._request(idx).add_response_property(key, value)

    def get_response_headers(self, idx: int) -> Dict[str, str]:
        """The answer's headers."""
        return self._request(idx).get_response_headers()

    def get_sequence_id(self, idx: int) -> Any:
        """The id of a stateful sequence, by the header that the environment names."""
        return self._request(idx).get_request_property(self.header_key_sequence_id)

    def _request(self, idx: int) -> RequestProcessor:
        if self.request_processor is None:
            raise TypeError("there is no request yet: the model is being loaded")
        return self.request_processor[idx]


def _batch_size() -> int:
    """How many requests AWS's server would hand over at once; ours hands over one."""
    try:
        return int(os.environ["SAGEMAKER_TS_BATCH_SIZE"])
    except (KeyError, ValueError):
        return 1


def _manifest(model_dir: str) -> Optional[Dict[str, Any]]:
    """What `torch-model-archiver` wrote about the model: nothing, in a SageMaker archive."""
    try:
        with open(os.path.join(model_dir, "MAR-INF", "MANIFEST.json"), encoding="utf-8") as file:
            manifest: Dict[str, Any] = json.load(file)
    except FileNotFoundError:
        return None
    return manifest
